"""The gradient through a step of adaptation is that of differences and, in a quadratic world, the
closed form; where members contradict each other a step makes the policy better in each of them.
"""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest

from agents.imagination import mb_mpo
from agents.imagination.steps.meta_policy import MetaPolicy
from agents.imagination.steps.on_policy import OnPolicy
from agents.learners.gaussian_layers import GaussianLayers
from agents.learners.meta_gradient import (
    Inner,
    divergence,
    meta_gradient,
    meta_step,
    objective,
    task_of,
)
from agents.learners.trust_region import Batch, gradient
from agents.policies.mlp import NeuralPolicy
from agents.tasks import make_task
from dynamics import ReplayBuffer


def two_tasks(rate=0.3):
    """Returns the parameters of a policy, and two tasks of random episodes."""
    rng = np.random.default_rng(0)
    policy = NeuralPolicy.create(3, 2, (4,), 0.5, rng, -np.ones(2), np.ones(2))
    policy.weights[-1] = 0.4 * rng.standard_normal(policy.weights[-1].shape)
    layers = GaussianLayers(policy)
    theta = layers.flat(policy)

    def batch():
        u = np.clip(0.6 * rng.standard_normal((30, 2)), -1, 1)
        return Batch(rng.standard_normal((30, 3)), u, rng.standard_normal(30))

    inner = [Inner(layers, theta, batch(), rate) for _ in range(2)]
    return theta, [task_of(step, theta, batch()) for step in inner]


def test_in_a_quadratic_world_the_gradient_is_the_closed_form():
    """J = b'x - x'Ax / 2, so phi = theta + alpha (b - A theta) and dJ(phi) = (1 - alpha A)(b - A phi)."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4, 4))
    A, b, theta, rate = A @ A.T, rng.standard_normal(4), rng.standard_normal(4), 0.2
    inner = Inner.__new__(Inner)
    inner.rate, inner.slope = rate, lambda x: b - A @ x
    phi = theta + rate * (b - A @ theta)
    np.testing.assert_allclose(inner.adapted(theta), phi)
    found = inner.through(theta, inner.slope(phi))
    np.testing.assert_allclose(found, (np.eye(4) - rate * A) @ (b - A @ phi), atol=1e-8)


def test_the_step_of_a_member_is_along_the_policys_gradient():
    theta, (task, _) = two_tasks()
    expected = theta + 0.3 * gradient(task.inner.layers, theta, task.inner.batch)
    np.testing.assert_allclose(task.inner.adapted(theta), expected, atol=1e-12)


def test_the_gradient_goes_through_the_steps():
    theta, tasks = two_tasks()
    h = 1e-5 * np.eye(len(theta))
    expected = [(objective(theta + r, tasks) - objective(theta - r, tasks)) / 2e-5 for r in h]
    found = meta_gradient(theta, tasks)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    _, still = two_tasks(rate=0.0)
    assert np.abs(found - meta_gradient(theta, still)).max() > 0.01  # the steps matter


def test_a_step_gains_within_the_divergence_of_the_adapted_policies():
    theta, tasks = two_tasks()
    step = meta_step(theta, tasks, 0.02)
    assert 0 < step.kl <= 0.02
    assert step.kl == pytest.approx(divergence(step.theta, tasks))
    assert step.gain == pytest.approx(objective(step.theta, tasks) - objective(theta, tasks))
    assert step.gain > 0.01


class Contrary:
    """u pushes x to the right in one member, to the left in the other; a step costs x^2."""

    c, true, learns_reward = SimpleNamespace(members=2), None, False
    model = SimpleNamespace(normaliser=SimpleNamespace(mean=np.zeros(2), inverse_std=np.ones(2)))
    task = SimpleNamespace(
        dx=1, du=1, do=1, horizon=8, action_low=-np.ones(1), action_high=np.ones(1)
    )

    def step(self, x, u, rng, member=None):
        return x + 0.3 * u * np.where(member == 0, 1.0, -1.0)[..., None]

    def observation_of(self, x):
        return x

    extended = observation_of

    def ends(self, x):
        return np.zeros(x.shape[:-1], bool)

    def rewards(self, x, u, xnext, end):
        return -(x[..., 0] ** 2)


def test_where_members_contradict_each_other_a_step_makes_the_policy_better_in_each():
    """No policy is good in both: u = -x in one is u = x in the other. Paired: the same starts."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (50, 1))
    buffer = ReplayBuffer()
    buffer.add(x, x, x, x, x, x[:, 0], np.zeros(50, bool))
    policy = NeuralPolicy.create(1, 1, (8,), 0.5, rng, -np.ones(1), np.ones(1))
    c = mb_mpo.Config(members=2, updates=15, imagined=20, inner_rate=0.3, validation=50)
    run = SimpleNamespace(
        task=Contrary.task, c=c, rng=rng, env_model=Contrary(), buffer=buffer, policy=policy,
        training=SimpleNamespace(saved={}), adapted=[],
    )  # fmt: skip
    meta = MetaPolicy(run)
    told = meta.improve()
    still = 8 * float((x**2).mean())  # what it costs to stay
    assert (told.last < 0.9 * told.first).all()
    assert (told.last < 0.9 * still).all()
    there = run.adapted[0].mean(np.array([[0.8], [-0.8]]))[:, 0]
    assert there[0] < 0 < there[1]
    here = run.adapted[1].mean(np.array([[0.8], [-0.8]]))[:, 0]
    assert here[1] < 0 < here[0]


def test_adapted_policies_have_episodes_by_turns_from_round_to_round():
    task, rng = make_task("point_mass"), np.random.default_rng(0)
    T = task.horizon
    run = OnPolicy(task, mb_mpo.Config(iteration_steps=2 * T, warm_up=1), rng, None)
    for level in (0.1, 0.2, 0.3):
        policy = NeuralPolicy.from_state(deepcopy(run.policy.state()))
        policy.weights[-1][:], policy.biases[-1][:] = 0.0, level
        policy.cov = 1e-12 * np.eye(task.du)
        run.adapted.append(policy)
    acted = np.concatenate([run.collect().u[:, 1:].mean((1, 2)) for _ in range(3)])
    np.testing.assert_allclose(acted, [0.1, 0.2, 0.3, 0.1, 0.2, 0.3], atol=1e-4)


def test_a_run_of_adapted_policies_goes_on_to_the_same_bits():
    task, rng = make_task("point_mass"), np.random.default_rng(0)
    config = mb_mpo.Config(
        iterations=3, iteration_steps=100, warm_up=100, updates=2, imagined=6, imagined_steps=10,
        hidden=(4,), model_hidden=(8,), members=2, fit_steps=30, validation=3,
    )  # fmt: skip
    rows, at = [], []
    for row in mb_mpo.train(task, config, rng):
        rows.append(row)
        at.append(rng.bit_generator.state)
    again = np.random.default_rng()
    again.bit_generator.state = at[0]
    rest = mb_mpo.train(task, config, again, rows[0].state)
    assert [row.scalars for row in rest] == [row.scalars for row in rows[1:]]
    assert len(rows[-1].state["adapted"]) == 2
