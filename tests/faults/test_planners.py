"""A saved planner that asks for absurd amounts, for strange parts or for another task is refused before it plans."""

import json
import shutil

import pytest
from fuzz import sign
from golden import GOLDEN

from agents import load_policy
from dynamics.storage import FORMAT
from lqr import CheckpointError

CHANGES = {
    "a billion plans": lambda tree: tree["planner"].update(samples=10**9),
    "more than memory can count": lambda tree: tree["planner"].update(samples=10**40),
    "less than none": lambda tree: tree["planner"].update(samples=-1),
    "a word": lambda tree: tree["planner"].update(samples="many"),
    "a setting of another planner": lambda tree: tree["planner"].update(elites=3),
    "another planner": lambda tree: tree["planner"].update(word="cem"),
    "no planner": lambda tree: tree["planner"].update(word="os:system"),
    "endless foresight": lambda tree: tree["numbers"].update(horizon=10**9),
    "a billion particles": lambda tree: tree["numbers"].update(particles=10**9),
    "no particles": lambda tree: tree["numbers"].update(particles=0),
    "particles of nothing": lambda tree: tree.update(propagation="evil"),
    "a module": lambda tree: tree.update(task="gymnasium:evilmod:Foo-v0"),
    "another task": lambda tree: tree.update(task="cartpole"),
    "no task": lambda tree: tree.update(task="randomised:" * 2000 + "pendulum"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_planner_out_of_a_hostile_file_is_refused(change, tmp_path):
    shutil.copytree(GOLDEN / f"format_{FORMAT}" / "policy_mpc", tmp_path / "p")
    path = tmp_path / "p" / "meta.json"
    meta = json.loads(path.read_text())
    CHANGES[change](meta["tree"])
    path.write_text(json.dumps(meta))
    sign(tmp_path / "p")
    with pytest.raises(CheckpointError):
        load_policy(tmp_path / "p")
