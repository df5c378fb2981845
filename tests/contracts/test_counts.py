"""The tables tell as many episodes and steps as the world was asked for, and the returns that it
paid.
"""

import numpy as np
import pytest
from every_method import METHODS, Cart, learned, small

from agents.tasks.adapters.user_task import OwnTask
from lqr import WeightedNorm

PRETENDED = {
    "ilqg_gps",
    "ilqg_mf",
    "black_drops",
    "gp_mi",
    "mc_pilco",
    "pilco",
}  # which look at three starts, and take no step from them

TUNED = {"ilqg_mf", "mbmf"}


@pytest.mark.parametrize("word", METHODS)
def test_resets_and_steps_are_those_that_the_table_tells(word):
    task = Cart()
    last = learned(word, task)[-1].scalars
    looked = 3 if word in PRETENDED else 0
    told = last["episodes"] + last["evaluation_episodes"]
    begun = 1 if word in TUNED else 0  # an episode that a library begins and does not end
    assert 0 <= task.counted["resets"] - looked - told <= begun
    steps = last["env_steps"] + last["evaluation_episodes"] * task.horizon
    assert task.counted["steps"] == steps


@pytest.mark.parametrize("word", METHODS)
def test_without_evaluation_no_episode_is_made_but_those_that_are_learned_from(word):
    task, off = Cart(), {"evaluate_every": 0}
    off = off if hasattr(small(word)[1], "evaluate_every") else {}  # planners make none
    last = learned(word, task, **off)[-1].scalars
    assert last["evaluation_episodes"] == 0
    begun = 1 if word in TUNED else 0
    looked = 3 if word in PRETENDED else 0
    assert 0 <= task.counted["resets"] - looked - last["episodes"] <= begun
    assert task.counted["steps"] == last["env_steps"]


def test_the_first_the_last_and_every_third_iteration_are_evaluated():
    rows = learned("lqr_flm", Cart(), iterations=6, evaluate_every=3)
    cost = np.array([row.scalars["cost"] for row in rows])
    np.testing.assert_array_equal(np.isfinite(cost), [True, False, False, True, False, True])
    assert [row.scalars["evaluation_episodes"] for row in rows] == [2, 2, 2, 4, 4, 6]
    assert len({tuple(row.scalars) for row in rows}) == 1  # the same columns


class Clocked:
    """Pays its clock: the same state and action at another time is paid otherwise."""

    paid: list

    def reset(self, condition, rng):
        self.x, self.t = np.zeros(2), 0  # as many as the cart's, whose kernels are there
        self.paid.append(0.0)
        return self.x

    def step(self, u):
        self.t += 1
        self.reward = float(self.t)
        self.paid[-1] += self.reward
        return self.x


@pytest.mark.parametrize("word", ["lqr_flm", "badmm", "pi2", "ilqg_gps"])
def test_the_return_that_is_told_is_what_the_world_paid(word):
    Clocked.paid = []
    task = OwnTask(Clocked, action_low=[-0.01], action_high=[0.01], horizon=4)
    row = learned(word, task)[-1]
    assert set(Clocked.paid) == {0.0, 10.0}  # the first reset looks only
    assert row.scalars["return"] == pytest.approx(10.0)
    assert row.scalars["cost"] == pytest.approx(-10.0)


class Robot:
    """One robot on a line."""

    def reset(self, condition, rng):
        self.x = np.array([1.0, 0.01 * rng.standard_normal()])
        return self.x

    def step(self, u):
        self.x = self.x + 0.3 * np.array([self.x[1], float(u[0])])
        self.reward = -float(self.x @ self.x)
        return self.x


@pytest.mark.parametrize("by", ["cost", "rewards"])
@pytest.mark.parametrize("word", METHODS)
def test_every_method_learns_on_one_robot_by_its_cost_or_its_rewards(word, by):
    cost = WeightedNorm([1.0, 1.0]) if by == "cost" else None
    task = OwnTask(Robot, cost, action_low=[-1], action_high=[1], horizon=6)
    rows = learned(word, task)
    assert task.serial
    assert all(np.isfinite(list(row.scalars.values())).all() for row in rows)
