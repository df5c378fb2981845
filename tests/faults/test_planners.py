"""A saved planner that asks for absurd amounts, for strange parts or for another task is refused
before it plans.
"""

import json
import shutil

import numpy as np
import pytest
from fuzz import sign
from golden import GOLDEN

from agents import load_policy, save_policy
from agents.mpc.steps.saving import TaskMPC
from agents.planners import RandomShooting
from agents.planners.models import SimulatorModel
from agents.tasks import make_task
from agents.tasks.costs.user_cost import WithCost
from dynamics.storage.tree import FORMAT
from lqr import CheckpointError
from lqr.costs import Action, WeightedNorm

CHANGES = {
    "a billion plans": lambda tree: tree["planner"].update(samples=10**9),
    "more than memory can count": lambda tree: tree["planner"].update(samples=10**40),
    "less than none": lambda tree: tree["planner"].update(samples=-1),
    "a word": lambda tree: tree["planner"].update(samples="many"),
    "a setting of another planner": lambda tree: tree["planner"].update(elites=3),
    "another planner": lambda tree: tree["planner"].update(word="cem"),
    "no planner": lambda tree: tree["planner"].update(word="os:system"),
    "an endless horizon": lambda tree: tree["numbers"].update(horizon=10**9),
    "a billion particles": lambda tree: tree["numbers"].update(particles=10**9),
    "no particles": lambda tree: tree["numbers"].update(particles=0),
    "particles of nothing": lambda tree: tree.update(propagation="evil"),
    "a module": lambda tree: tree.update(task="gymnasium:evilmod:Foo-v0"),
    "another task": lambda tree: tree.update(task="cartpole"),
    "costs of another length": lambda tree: tree.update(cost=[1.0]),
    "more members than memory can count": lambda tree: tree["model"].update(
        word="ensemble", settings={"members": 10**40}
    ),
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


def one(task):
    """Returns MPC that plans in the task's own physics."""
    return TaskMPC(task, SimulatorModel(task), RandomShooting(4), "simulator", 3)


def test_a_planner_for_a_cost_of_the_users_own_is_not_taken_for_one_of_the_tasks_own_cost(tmp_path):
    mine = WithCost(make_task("pendulum"), WeightedNorm([1.0, 0.0], l2=3.0) + Action(0.1))
    save_policy(tmp_path / "p", one(mine))
    with pytest.raises(CheckpointError, match=r"another cost than that of pendulum.*task=TASK"):
        load_policy(tmp_path / "p")
    assert load_policy(tmp_path / "p", task=mine).cost is mine.cost


def test_a_planner_for_a_shorter_episode_plans_for_that_again(tmp_path):
    save_policy(tmp_path / "p", one(make_task("inverted_pendulum", horizon=7)))
    assert load_policy(tmp_path / "p").steps == 7


def test_a_saved_planner_acts_as_the_one_that_was_saved(tmp_path):
    task = make_task("pendulum")
    made = one(task)
    save_policy(tmp_path / "p", made)
    x = np.array([0.3, -0.2])
    for found in (load_policy(tmp_path / "p"), load_policy(tmp_path / "p", task=task)):
        made.reset()
        np.testing.assert_array_equal(found.act(x, 0), made.act(x, 0))
