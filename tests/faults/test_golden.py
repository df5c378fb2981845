"""What earlier code saved still loads, to the bit; what later code saved is refused."""

import shutil

import numpy as np
import pytest
from golden import GOLDEN, META, TREE, policies

from agents import load_policy
from agents.policies import POLICIES
from dynamics.storage.tree import FORMAT, load_tree
from experiments.engine.run_folder import RunFolder
from experiments.engine.tables import read
from lqr import CheckpointError

FORMATS = sorted(path.name for path in GOLDEN.glob("format_*"))


def alike(one, other):
    if isinstance(one, dict):
        return set(one) == set(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def test_the_present_format_has_golden_files_of_every_kind_of_policy():
    found = {path.name for path in (GOLDEN / f"format_{FORMAT}").iterdir()}
    missing = {"tree", "run", *(f"policy_{kind}" for kind in POLICIES)} - found
    assert not missing, (
        f"{missing} is missing; add it to tests/faults/golden.py and run python -m tests.faults golden"
    )


@pytest.mark.parametrize("name", FORMATS)
def test_a_golden_tree_is_what_was_saved(name):
    tree, meta = load_tree(GOLDEN / name / "tree")
    assert alike(tree, TREE)
    assert meta == META


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("format_*/policy_*")), ids=lambda path: path.name
)
def test_a_golden_policy_acts_as_it_did(path):
    _, where = policies()[path.name.removeprefix("policy_")]
    np.testing.assert_allclose(
        load_policy(path).act(*where), load_tree(path)[1]["acts"], rtol=1e-12
    )


@pytest.mark.parametrize("name", FORMATS)
def test_a_golden_run_goes_on_from_its_last_checkpoint(name, tmp_path):
    shutil.copytree(GOLDEN / name / "run", tmp_path / "r")
    with RunFolder(tmp_path / "r") as folder:
        folder.reopen()
        checkpoint = folder.newest()
        folder.cut_back(checkpoint)
    assert checkpoint.meta["iteration"] == 3
    assert [row["iteration"] for row in read(tmp_path / "r" / "metrics.csv")] == [1, 2, 3]


def test_a_golden_file_of_a_later_format_is_refused_by_number():
    with pytest.raises(CheckpointError, match=rf"format {FORMAT + 1}, expected {FORMAT}"):
        load_tree(GOLDEN / "newer")
