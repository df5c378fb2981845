"""A reward that is learned for plans: its values, derivatives and ends against the function that paid,
and a planner that is kept with it.
"""

from dataclasses import replace

import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.learners.learned_reward import LearnedReward, by_reward
from agents.mpc import pets
from agents.planners import CEM
from agents.rollout import Trajectories
from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.tasks.costs.user_cost import UserCost, WithCost
from lqr import CheckpointError, window


def paid(x, u):
    """A smooth reward, (..., 2) and (..., 1) -> (...)."""
    return 3.0 - x[..., 0] ** 2 + 0.5 * x[..., 0] * x[..., 1] - 0.1 * u[..., 0] ** 2


def episodes(count, rng, end=None):
    """Episodes of ten steps that jump about in the square; they end where x_0 > `end`."""
    x, u = rng.uniform(-1, 1, (count, 11, 2)), rng.uniform(-1, 1, (count, 10, 1))
    over = x[:, 1:, 0] > end if end is not None else np.zeros((count, 10), bool)
    length = np.where(over.any(1), over.argmax(1) + 1, 10)
    cost = np.zeros((count, 11))
    cost[:, :10] = np.where(np.arange(10) < length[:, None], -paid(x[:, :-1], u), 0.0)
    return Trajectories(x, u, x, cost, length, np.zeros(count, bool))


def test_values_and_derivatives_are_those_of_the_function_that_paid():
    rng = np.random.default_rng(0)
    reward = LearnedReward((32, 32), steps=800)
    assert not reward.ready
    reward.fit(episodes(150, rng), rng)
    X, U = rng.uniform(-0.7, 0.7, (20, 4, 2)), rng.uniform(-0.7, 0.7, (20, 3, 1))
    cost = reward(X, U)
    assert cost.shape == (20, 4)
    assert (cost[:, -1] == 0).all()
    np.testing.assert_allclose(cost[:, :-1], -paid(X[:, :-1], U), atol=0.05)
    np.testing.assert_array_equal(window(reward, 5, 3, 10)(X, U), cost)
    C, c, const = reward.expand(X, U)
    xu = np.concatenate([X[:, :-1], U], -1)
    x, g, H = X[:, :-1], np.zeros((20, 3, 3)), np.array([[2.0, -0.5, 0], [-0.5, 0, 0], [0, 0, 0.2]])
    g[..., 0], g[..., 1] = 2 * x[..., 0] - 0.5 * x[..., 1], -0.5 * x[..., 0]
    g[..., 2] = 0.2 * U[..., 0]
    slope = (C[:, :-1] @ xu[..., None])[..., 0] + c[:, :-1]
    assert np.abs(slope - g).mean() < 0.05
    assert np.abs(C[:, :-1] - H).mean() < 0.2
    assert (C[:, -1] == 0).all()
    assert (const[:, -1] == 0).all()
    value = 0.5 * np.einsum("nti,ntij,ntj->nt", xu, C[:, :-1], xu)
    value += (c[:, :-1] * xu).sum(-1) + const[:, :-1]
    np.testing.assert_allclose(value, cost[:, :-1], atol=1e-9)


def test_an_end_costs_what_the_planned_steps_would_have_paid():
    rng = np.random.default_rng(0)
    found = episodes(300, rng, end=0.9)
    x = found.x.copy()  # a state at 0.85 is followed by the end, none below 0.5 is
    over = np.arange(10) == np.where(found.length < 10, found.length - 1, -1)[:, None]
    x[:, :-1, 0] = np.where(over, 0.85, np.minimum(x[:, :-1, 0], 0.5))
    found = found._replace(x=x, cost=np.pad(np.where(found.mask, -1.0, 0.0), ((0, 0), (0, 1))))
    reward = LearnedReward((32, 32), steps=600)
    reward.fit(found, rng)
    X = np.zeros((2, 6, 2))
    X[0, :, 0] = 0.85
    fallen, up = reward(X, np.zeros((2, 5, 1)))
    np.testing.assert_allclose(up[:5], -1.0, atol=0.3)
    np.testing.assert_allclose(fallen[:5], -1.0 + 5.0, atol=1.0)


def test_a_task_with_a_cost_is_planned_by_it_and_one_without_by_what_it_paid(tmp_path):
    task = GymnasiumTask("Pendulum-v1", horizon=8)
    own = WithCost(task, UserCost(lambda x, u: (u**2).sum(-1), task.dx, task.du))
    assert LearnedReward.of(own) is None
    assert by_reward(own, None) is own
    config = pets.Config(iterations=2, planner=CEM(8, 2, 2), horizon=3, fit_steps=20, hidden=(8,))
    cases = ((own, "task", False), (own, "learned", True), (task, "task", True))
    for given, known, learns in cases:
        c = replace(config, reward=known)
        row = list(pets.train(given, c, np.random.default_rng(0)))[-1]
        assert ("reward" in row.state) is learns
        assert isinstance(row.policy.cost, LearnedReward) is learns
    save_policy(tmp_path / "policy", row.policy, task=task.name)
    other = load_policy(tmp_path / "policy", task=task)
    x = task.reset([0], np.random.default_rng(0))[0]
    np.testing.assert_array_equal(other.act(x, 0), row.policy.act(x, 0))
    with pytest.raises(CheckpointError):
        load_policy(tmp_path / "policy", task=GymnasiumTask("Reacher-v5", horizon=8))
