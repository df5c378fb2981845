from typing import NamedTuple

import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.policies.mlp import NeuralPolicy
from agents.saving import KINDS
from dynamics.storage.tree import save_tree
from lqr import CheckpointError, InputError


class Unknown:
    def state(self):
        return {"kind": "os:system", "command": "true"}


def test_a_folder_without_a_policy_is_an_error_that_says_what_was_expected(tmp_path):
    with pytest.raises(CheckpointError, match="expected the folder of a run"):
        load_policy(tmp_path)


def test_a_policy_of_an_unknown_kind_is_refused_when_it_is_saved(tmp_path):
    with pytest.raises(InputError, match="neural"):
        save_policy(tmp_path / "p", Unknown())


class Tuple(NamedTuple):
    gain: np.ndarray

    def sample(self, o, t, rng):
        return o @ self.gain


def test_a_tuple_of_arrays_is_kept_by_its_fields(tmp_path, monkeypatch):
    policy = Tuple(np.arange(6.0).reshape(3, 2))
    with pytest.raises(InputError, match=r"kind 'Tuple'.*KINDS\['a name'\] = Tuple"):
        save_policy(tmp_path / "p", policy)
    monkeypatch.setitem(KINDS, "mine", Tuple)
    save_policy(tmp_path / "p", policy)
    found = load_policy(tmp_path / "p")
    assert type(found) is Tuple
    np.testing.assert_array_equal(found.gain, policy.gain)
    save_tree(tmp_path / "q", {"kind": "mine", "gian": policy.gain})
    with pytest.raises(CheckpointError, match="gian"):
        load_policy(tmp_path / "q")


@pytest.mark.parametrize("kind", ["os:system", "subprocess.Popen", None, 3, "Neural"])
def test_a_kind_in_a_file_names_nothing_that_is_not_in_the_table(tmp_path, kind):
    save_tree(tmp_path / "p", {"kind": kind, "command": "true"})
    with pytest.raises(CheckpointError, match=", ".join(sorted(KINDS))):
        load_policy(tmp_path / "p")


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_does_not_fit_its_kind_is_an_error_that_names_the_folder(tmp_path, kind):
    save_tree(tmp_path / "p", {"kind": kind, "K": np.ones(3), "layers": {"0": 1}})
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_policy(tmp_path / "p")


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path):
    policy = NeuralPolicy.create(3, 2, (4,), np.ones(2), np.random.default_rng(0))
    for step in (1, 2):
        save_tree(tmp_path / "checkpoints" / f"step_{step}", {"policy": policy.state()})
    newest = max(
        (tmp_path / "checkpoints" / "step_2").iterdir(), key=lambda path: path.stat().st_size
    )
    newest.write_bytes(newest.read_bytes()[:-8])
    np.testing.assert_array_equal(load_policy(tmp_path).act(np.ones(3)), policy.act(np.ones(3)))
    older = max(
        (tmp_path / "checkpoints" / "step_1").iterdir(), key=lambda path: path.stat().st_size
    )
    older.write_bytes(b"")
    with pytest.raises(CheckpointError, match="step_2"):
        load_policy(tmp_path)
