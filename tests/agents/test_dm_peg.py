"""dm_control's peg insertion: what dm_control itself said of the same states, and what is missing
without it.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from agents.tasks import make_task
from agents.tasks.mujoco import dm_peg
from lqr import InputError

here = pytest.mark.skipif(
    find_spec("dm_control") is None, reason="dm_control is not installed: extra tasks"
)


@pytest.fixture(scope="module")
def said():
    """What dm_control says: columns (12, ...), by `dm_peg_reference.py`."""
    rows = json.loads(Path(__file__).with_name("dm_peg_reference.json").read_text())
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


@here
def test_observation_reward_and_step_are_those_of_dm_control(said):
    task = make_task("dm_peg")
    x = task.start(said["qpos"], said["qvel"], said["goal"])
    np.testing.assert_allclose(task.observe(), said["observation"], atol=1e-5)
    assert (said["observation"][:, 24:29] > 0).sum() >= 3  # some fingers touch
    T = task.horizon
    paid = task.metrics(np.repeat(x[:, None], T + 1, axis=1), np.zeros((12, T, 5)))["return"] / T
    np.testing.assert_allclose(paid, said["reward"], atol=1e-5)
    assert len(np.unique(said["reward"].round(3))) >= 6
    x = task.step(said["control"])
    np.testing.assert_allclose(x[:, :22], said["after"], atol=2e-4)  # another version of MuJoCo


@here
def test_the_peg_stays_in_a_hand_that_holds_still_and_falls_from_one_that_opens():
    task = make_task("dm_peg", conditions=8)
    ends = []
    for grip in (0.5, -0.5):
        x = task.reset(np.arange(8), np.random.default_rng(0))
        start = x[:, :4]
        np.testing.assert_allclose(x[:, 26:28], 0.0, atol=1e-6)  # the pommel in the palm
        for _ in range(task.horizon):
            u = np.c_[2 * (start - x[:, :4]) - 0.1 * x[:, 11:15], np.full(8, grip)]
            x = task.step(np.clip(u, -1, 1))
        ends.append(np.linalg.norm(x[:, 26:28], axis=1))
    assert (ends[0] < 0.01).all()
    assert (ends[1] > 0.03).all()  # from some it falls onto the slot


@here
def test_it_starts_before_the_slot_and_is_done_when_the_peg_is_at_its_goal():
    task = make_task("dm_peg", conditions=8)
    x = task.reset(np.arange(8), np.random.default_rng(0))
    across, along = x[:, 24], x[:, 25]
    assert (along > np.abs(across)).all()
    assert (np.hypot(across, along) < 0.3).all()
    T, inside = task.horizon, np.c_[x[:, :22], np.zeros((8, 8))]
    at_goal = np.concatenate([task.layout[:, :8], task.layout[:, 11:]], 1)
    y = task.start(at_goal, np.zeros((8, 11)), task.layout[:, 11:])
    np.testing.assert_allclose(y[:, 22:26], 0.0, atol=1e-6)
    rest = np.zeros((8, T, 5))
    costs = [task.cost(np.repeat(z[:, None], T + 1, axis=1), rest).sum(1) for z in (x, inside)]
    assert (costs[1] < costs[0]).all()
    measured = task.metrics(np.repeat(inside[:, None], T + 1, axis=1), rest)
    np.testing.assert_allclose(measured["return"], T)  # paid in full, whatever the hand does
    np.testing.assert_array_equal(measured["success"], 1.0)


def test_without_dm_control_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(dm_peg, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"dm_control is not installed.*pip install -c constraints.txt dm_control"
    ):
        make_task("dm_peg")
