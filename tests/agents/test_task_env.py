"""A task as an environment of Gymnasium: the same physics, rewards that sum up to the cost, ends as in a rollout."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.seeding import np_random

from agents.rollout import run
from agents.task_env import TaskEnv
from agents.tasks import make_task
from agents.tasks.equations import MapTask
from lqr import Quadratic


def episode(env, policy, seed):
    seen, _ = env.reset(seed=seed)
    rewards, actions, over = [], [], False
    while not over:
        actions.append(policy(seen))
        seen, reward, terminated, truncated, _ = env.step(actions[-1])
        rewards.append(reward)
        over = terminated or truncated
    return np.array(rewards), np.array(actions), terminated, truncated


@pytest.mark.parametrize("name", ["pendulum_v1", "pets_cartpole", "hopper", "reacher_four"])
def test_rewards_sum_up_to_the_cost_of_the_rollout_and_an_end_is_an_end(name):
    task, rng = make_task(name), np.random.default_rng(1)
    env = TaskEnv(make_task(name), per_reward=2.0)
    rewards, actions, terminated, truncated = episode(env, lambda o: rng.uniform(-1, 1, task.du), seed=3)
    same, _ = np_random(3)
    where = same.integers(task.conditions, size=1)
    low, high = task.action_low, task.action_high

    def again(x, o, t):
        return (low + 0.5 * (actions[t] + 1) * (high - low))[None] if t < len(actions) else np.zeros((1, task.du))

    trial = run(task, again, where, same)
    assert trial.length[0] == len(rewards)
    assert -2.0 * rewards.sum() == pytest.approx(trial.cost.sum(), rel=1e-9)
    np.testing.assert_allclose(-2.0 * rewards[:-1], trial.cost[0, : len(rewards) - 1], rtol=1e-9, atol=1e-12)
    assert (terminated, truncated) == (len(rewards) < task.horizon, len(rewards) == task.horizon)
    assert terminated == (name == "hopper")


class Cliff(MapTask):
    """A point that is pushed, until its numbers end."""

    name, dt, horizon, dx, du, do = "cliff", 0.1, 20, 1, 1, 1
    action_low, action_high, cost = np.array([-1.0]), np.array([1.0]), Quadratic(np.diag([2.0, 0.0]))

    def starts(self, conditions, rng):
        return np.ones((len(conditions), 1))

    def advance(self, s, u):
        return np.where(u > 0.5, np.nan, s + 0.1 * u)

    states = see = staticmethod(np.copy)

    def metrics(self, x, u):
        return {}


@pytest.mark.parametrize("step", [0, 4, 19])
def test_nothing_is_gained_by_breaking_the_simulation(step):
    task = Cliff()
    env, t = TaskEnv(task), iter(range(20))
    rewards, _, terminated, _ = episode(env, lambda o: np.array([1.0 if next(t) == step else 0.0]), seed=0)
    assert (len(rewards), terminated) == (step + 1, True)
    assert rewards.sum() == pytest.approx(-21.0)  # as for resting, 20 steps and the last state


def test_it_is_gymnasiums_own_pendulum():
    env, other = TaskEnv(make_task("pendulum_v1")), gymnasium.make("Pendulum-v1")
    seen, _ = env.reset(seed=0)
    other.reset(seed=0)
    other.unwrapped.state = np.array([np.arctan2(seen[1], seen[0]), seen[2]])
    rng = np.random.default_rng(0)
    for _ in range(30):
        u = rng.uniform(-1, 1, 1)
        seen, reward, *_ = env.step(u)
        theirs, their_reward, *_ = other.step(np.float32(2 * u))
        np.testing.assert_allclose(seen, theirs, atol=1e-4)
        assert reward == pytest.approx(their_reward, abs=1e-4)


@pytest.mark.filterwarnings("ignore:.*space m:UserWarning")  # that observations have no limits
def test_gymnasiums_checker_finds_nothing():
    check_env(TaskEnv(make_task("pendulum_v1"), centre=0.1, scale=2.0), skip_render_check=True)


def test_observations_are_in_the_units_that_were_asked_for():
    plain, scaled = TaskEnv(make_task("pendulum_v1")), TaskEnv(make_task("pendulum_v1"), np.r_[1, 2, 3], np.r_[2, 1, 4])
    a, b = plain.reset(seed=0)[0], scaled.reset(seed=0)[0]
    np.testing.assert_allclose(b, (a - [1, 2, 3]) / [2, 1, 4], rtol=1e-5)
