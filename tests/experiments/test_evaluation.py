from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agents.rollout import rollout
from agents.tasks import make_task
from agents.tasks.mujoco.peg import NINE
from experiments.engine.episodes import FIRST_SEED, episodes_in_task
from experiments.engine.evaluation import (
    evaluate_held_out,
    evaluate_policy,
    evaluate_random,
    evaluation_row,
)
from experiments.engine.load_run import Opened
from lqr import SimulationError


class Still:
    def act(self, observation):
        return np.zeros(2)


class Broken:
    def act(self, observation):
        return np.full(2, np.nan)


def test_the_grade_is_the_mean_of_the_returns_of_the_unmodified_environment():
    env, returns, distances = gymnasium.make("Reacher-v5"), [], []
    for seed in range(FIRST_SEED, FIRST_SEED + 4):
        env.reset(seed=seed)
        steps = [env.step(np.zeros(2)) for _ in range(50)]
        returns.append(sum(step[1] for step in steps))
        place = env.unwrapped.data.body("fingertip").xpos - env.unwrapped.data.body("target").xpos
        distances.append(np.linalg.norm(place))
    got = evaluate_policy("Reacher-v5", Still(), episodes=4)
    assert got.mean_return == pytest.approx(np.mean(returns), abs=1e-12)
    assert got.standard_error == pytest.approx(np.std(returns, ddof=1) / 2)
    assert got.final_distance == pytest.approx(np.mean(distances), rel=1e-6)
    assert (got.worst_return, got.best_return) == (min(returns), max(returns))


def test_a_grade_is_the_same_every_time():
    assert evaluate_policy("Reacher-v5", Still(), episodes=2) == evaluate_policy(
        "Reacher-v5", Still(), episodes=2
    )


def test_random_actions_get_about_minus_43_on_reacher():
    assert evaluate_random("Reacher-v5").mean_return == pytest.approx(-43, abs=4)  # as published


def test_a_policy_that_answers_nan_is_an_error_and_not_a_good_grade():
    with pytest.raises(SimulationError, match="Reacher-v5"):
        evaluate_policy("Reacher-v5", Broken(), episodes=1)


class Hanging:
    """Leaves the arm where it starts."""

    def sample(self, o, t, rng):
        return np.zeros((len(o), 7))


def test_the_unseen_holes_lie_between_those_of_training_and_are_where_the_policy_is_evaluated():
    task = make_task("peg_nine")
    holes = task.held_out().offsets
    assert len(np.unique(holes, axis=0)) == 16
    assert np.abs(holes).max() < np.abs(NINE).max()
    assert np.linalg.norm(holes[:, None] - NINE, axis=-1).min() > 0.02
    got = evaluate_held_out(task, Hanging())
    start = task.held_out().reset(np.arange(16), np.random.default_rng(0))
    assert (got["conditions"], got["success"]) == (16, 0.0)
    assert got["distance"] == pytest.approx(
        np.linalg.norm(start[:, 14:17], axis=1).mean(), abs=1e-3
    )


def test_a_policy_is_judged_by_return_and_by_the_distance_that_gymnasium_tells():
    class Idle:
        def act(self, observation):
            return np.zeros(7)

    found, same = (
        evaluation_row(make_task("pusher"), Idle(), 3),
        evaluate_policy("Pusher-v5", Idle(), 3),
    )
    assert found == {
        "evaluated_return": same.mean_return,
        "evaluated_error": same.standard_error,
        "evaluated_distance": same.final_distance,
    }
    assert 0.17 < found["evaluated_distance"] < 0.36  # where the object begins
    told = {"evaluated_return", "evaluated_error"}
    assert set(evaluation_row(make_task("pendulum"), ZeroPolicy(), 1)) == told


class ZeroPolicy:
    input = "x"

    def sample(self, x, t, rng):
        return np.zeros((len(x), 1))


def test_an_episode_that_is_repeated_from_a_fixed_start_makes_no_error_smaller():
    """25 times the same four episodes are four."""
    once, often = (evaluation_row(make_task("reacher_four"), Still2(), n) for n in (4, 100))
    assert often["evaluated_return"] == pytest.approx(once["evaluated_return"])
    totals = [-np.sum(rollout_of(c).cost) for c in range(4)]
    assert often["evaluated_error"] == pytest.approx(np.std(totals, ddof=1) / 2)


def rollout_of(condition):
    task = make_task("reacher_four")
    rng = np.random.default_rng(0)
    return rollout(task, Still2(), np.array([condition]), 1, rng, noise=0.0)


class Still2:
    input = "o"

    def sample(self, o, t, rng):
        return np.zeros((len(o), 2))


def test_another_first_episode_is_another_start_and_the_condition_whose_turn_it_is():
    drawn = Opened(Path("r"), {}, make_task("reacher_reset_free"), Still2())
    a, b = (episodes_in_task(drawn, 3, first) for first in (0, 40))
    assert not {e.digest for e in a} & {e.digest for e in b}
    assert [e.digest for e in episodes_in_task(drawn, 3, 40)] == [e.digest for e in b]
    fixed = Opened(Path("r"), {}, make_task("reacher_four"), Still2())
    found = [e.total for e in episodes_in_task(fixed, 3, 2)]
    expected = [-np.sum(rollout_of(c).cost) for c in (2, 3, 0)]
    assert found == pytest.approx(expected, rel=1e-12)
