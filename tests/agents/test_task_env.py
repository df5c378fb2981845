"""A task as an environment of Gymnasium: the same physics, costs and ends as in a rollout, each
state paid for once.
"""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.seeding import np_random

from agents.policies import make_policy
from agents.rollout import run
from agents.tasks import make_task
from agents.tasks.adapters.gymnasium_env import TaskEnv
from agents.tasks.base.ode_task import MapTask
from agents.tasks.costs.user_cost import UserCost
from lqr import Quadratic


def episode(env, policy, seed):
    seen, _ = env.reset(seed=seed)
    rewards, actions, over = [], [], False
    while not over:
        actions.append(policy(seen))
        seen, reward, terminated, truncated, told = env.step(actions[-1])
        rewards.append(reward)
        over = terminated or truncated
    return np.array(rewards), np.array(actions), terminated, truncated, told


@pytest.mark.parametrize("name", ["pendulum_v1", "pets_cartpole", "hopper", "reacher_four"])
def test_costs_are_those_of_the_rollout_and_an_end_is_an_end(name):
    task, rng = make_task(name), np.random.default_rng(1)
    env = TaskEnv(make_task(name), per_reward=2.0)
    rewards, actions, terminated, truncated, told = episode(
        env, lambda o: rng.uniform(-1, 1, task.du), seed=3
    )
    same, _ = np_random(3)
    where = same.integers(task.conditions, size=1)
    low, high = task.action_low, task.action_high

    def again(x, o, t):
        return (
            (low + 0.5 * (actions[t] + 1) * (high - low))[None]
            if t < len(actions)
            else np.zeros((1, task.du))
        )

    found = run(task, again, where, same)
    assert found.length[0] == len(rewards)
    assert told == {"cost": pytest.approx(found.cost.sum(), rel=1e-9), "diverged": False}
    paid = found.cost[0, : len(rewards)]
    paid[-1] += (
        found.cost[0, len(rewards)] if terminated else 0.0
    )  # what a critic tells of a last state has its cost
    np.testing.assert_allclose(-2.0 * rewards, paid, rtol=1e-9, atol=1e-12)
    assert (terminated, truncated) == (len(rewards) < task.horizon, len(rewards) == task.horizon)
    assert terminated == (name == "hopper")


class Cliff(MapTask):
    """A point that is pushed, until its numbers end."""

    name, dt, horizon, dx, du, do = "cliff", 0.1, 20, 1, 1, 1
    action_low = np.array([-1.0])
    action_high = np.array([1.0])
    cost = Quadratic(np.diag([2.0, 0.0]))

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
    breaks = [np.array([1.0 if i == step else 0.0]) for i in range(20)]
    rewards, _, terminated, truncated, told = episode(env, lambda o: breaks[next(t)], seed=0)
    assert (len(rewards), terminated, truncated) == (step + 1, False, True)
    assert rewards.sum() == pytest.approx(-21.0)  # as for resting, 20 steps and the last state
    assert told == {"cost": pytest.approx(21.0), "diverged": True}
    shaped = TaskEnv(task, shaping=0.9)
    shaped.reset(seed=0)
    *_, last = (shaped.step(u) for u in breaks[: step + 1])
    assert rewards[-1] < -1.5  # a critic goes on from where a rest does, which is paid with -1
    assert last[1] < -0.5  # and here with 0


def test_where_a_simulation_says_that_it_diverged_what_it_shows_is_not_believed():
    task = Cliff()
    env, task.diverged = TaskEnv(task), np.zeros(1, bool)
    env.reset(seed=0)
    task.diverged, task.advance = (
        np.ones(1, bool),
        lambda s, u: 0.0 * s,
    )  # as MuJoCo, which begins anew
    seen, reward, *ends, told = env.step(np.zeros(1))
    assert (seen.tolist(), ends, told["diverged"]) == ([1.0], [False, True], True)
    assert reward == pytest.approx(-21.0)


def test_what_is_seen_has_to_be_numbers_too():
    task = Cliff()
    env, task.see = TaskEnv(task), lambda s: np.where(np.abs(s - 1) < 0.05, s, np.nan)
    env.reset(seed=0)
    assert env.step(np.zeros(1))[2:] == (
        False,
        False,
        {"cost": pytest.approx(1.0), "diverged": False},
    )
    seen, _, terminated, truncated, told = env.step(-np.ones(1))
    assert (seen.tolist(), terminated, truncated, told["diverged"]) == ([1.0], False, True, True)


def test_a_library_that_knows_the_value_of_resting_has_nothing_to_learn_from_it():
    """For ever at a cost of 1 is worth -1 / (1 - discount), at the end of an episode as in its
    middle.
    """
    torch, model_free = pytest.importorskip("torch"), pytest.importorskip("agents.learners.sb3")
    pytest.importorskip("sb3_contrib")
    task = Cliff()
    task.advance = lambda s, u: s.copy()
    policy = make_policy("mlp", task, (8,), np.ones(1), np.random.default_rng(0))
    model = model_free.learner("trpo", task, policy, 1.0, 0.9, 60)
    with torch.no_grad():
        model.policy.value_net.weight.zero_()
        model.policy.value_net.bias.fill_(-10.0)
    model.train = lambda: None
    model.learn(60)
    np.testing.assert_allclose(model.rollout_buffer.advantages, 0.0, atol=1e-5)


def test_a_last_state_that_weighs_more_is_paid_for_beyond_what_the_critic_tells():
    task = Cliff()
    task.cost = UserCost(lambda x, u, t: np.where(t == 20, 7.0, 1.0) * x[:, 0] ** 2, 1, 1)
    rewards, _, _, truncated, told = episode(TaskEnv(task), lambda o: np.zeros(1), seed=0)
    assert truncated
    np.testing.assert_allclose(rewards, -np.r_[np.ones(19), 1.0 + 7.0 - 1.0])
    assert told["cost"] == pytest.approx(20.0 + 7.0)


@pytest.mark.parametrize("name", ["pendulum_v1", "hopper", "reacher_four"])
def test_shaping_takes_off_what_staying_at_the_start_would_cost_and_adds_it_where_the_episode_goes_on(
    name,
):
    task, rng, gamma = make_task(name), np.random.default_rng(1), 0.9
    u = rng.uniform(-1, 1, (task.horizon, task.du))
    envs = [TaskEnv(make_task(name), per_reward=2.0, shaping=given) for given in (None, gamma)]
    acts = [iter(u), iter(u)]
    (plain, _, ended, _, _), (shaped, *_) = (
        episode(env, lambda o, mine=mine: next(mine), seed=3)
        for env, mine in zip(envs, acts, strict=True)
    )
    n = len(plain)
    middle = 0.5 * (task.action_low + task.action_high)
    half = 0.5 * (task.action_high - task.action_low)
    same, _ = np_random(3)
    x = run(
        task,
        lambda x, o, t: (middle + half * u[t])[None],
        same.integers(task.conditions, size=1),
        same,
    ).x[0]

    def resting(
        state,
    ):  # the cost of a rest in that state; as a whole episode, of which the last step counts
        rest = np.repeat(state[None], task.horizon + 1, 0)
        return float(task.cost(rest, np.zeros((task.horizon, task.du)))[task.horizon - 1]) / (
            1 - gamma
        )

    goes_on = 0.0 if ended else gamma**n * resting(x[n])
    discounts = gamma ** np.arange(n)
    assert ended == (name == "hopper")
    assert -2.0 * discounts @ (shaped - plain) == pytest.approx(goes_on - resting(x[0]), rel=1e-6)


def test_with_shaping_a_rest_costs_nothing_and_progress_is_paid_for():
    env = TaskEnv(Cliff(), shaping=0.9)
    np.testing.assert_allclose(episode(env, lambda o: np.zeros(1), seed=0)[0], 0.0, atol=1e-12)
    env.reset(seed=0)
    assert env.step(np.array([-1.0]))[1] == pytest.approx(
        0.9 * (1.0 - 0.9**2) / (1 - 0.9)
    )  # from 1 to 0.9


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
    plain = TaskEnv(make_task("pendulum_v1"))
    scaled = TaskEnv(make_task("pendulum_v1"), np.r_[1, 2, 3], np.r_[2, 1, 4])
    a, b = plain.reset(seed=0)[0], scaled.reset(seed=0)[0]
    np.testing.assert_allclose(b, (a - [1, 2, 3]) / [2, 1, 4], rtol=1e-5)
