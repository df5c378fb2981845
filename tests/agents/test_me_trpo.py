"""Imagined episodes cost what real ones do, members are asked one by one, a round ends where they no
longer agree, and steps of PPO follow the derivatives of its objective.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from agents.imagination import me_trpo
from agents.imagination.steps import on_policy
from agents.imagination.steps.environment_model import EnvironmentModel
from agents.imagination.steps.imagined_episodes import imagined_episodes, member_costs
from agents.learners.clipped import clipped_gradient, clipped_objective, clipped_update
from agents.learners.gaussian_layers import GaussianLayers
from agents.learners.trust_region import Batch
from agents.policies.mlp import NeuralPolicy
from agents.rollout import rollout
from agents.tasks import make_task
from dynamics import ReplayBuffer


class Constant:
    """A policy of one action."""

    def __init__(self, u):
        self.u = np.array([u])

    def sample(self, o, t, rng):
        return np.broadcast_to(self.u, (*o.shape[:-1], 1))


class Members:
    """Member k adds u - k to x; a step costs the square of where it begins, an end 10 more."""

    c, true, learns_reward = SimpleNamespace(members=3), None, False
    model = SimpleNamespace(
        normaliser=SimpleNamespace(mean=np.zeros(2), inverse_std=np.full(2, 0.01))
    )
    task = SimpleNamespace(
        dx=1, du=1, horizon=4, action_low=np.array([-99.0]), action_high=np.array([99.0])
    )

    def step(self, x, u, rng, member=None):
        return x + u - member[..., None]

    def observation_of(self, x):
        return x

    extended = observation_of

    def ends(self, x):
        return x[..., 0] > 100.0

    def rewards(self, x, u, xnext, end):
        return -(x[..., 0] ** 2) - 10.0 * end


def test_with_the_simulator_imagined_episodes_cost_what_real_ones_do():
    task, rng = make_task("pendulum_v1"), np.random.default_rng(0)
    policy = NeuralPolicy.create(3, 1, (4,), 0.1, rng, task.action_low, task.action_high)
    real = rollout(task, policy, np.zeros(3, int), 1, rng, noise=0.0)
    env_model = EnvironmentModel(task, me_trpo.Config(model="simulator"))
    found = imagined_episodes(
        env_model, policy, real.x[:, 0], task.horizon, rng, deterministic=True
    )
    np.testing.assert_allclose(found.x, real.x, atol=1e-6)
    np.testing.assert_allclose(found.cost[:, 1:-1], real.cost[:, 1:-1], atol=1e-6)
    assert found.cost[0, -1] == pytest.approx(found.cost[:, :-1].mean())


def test_each_member_is_asked_by_itself():
    """x_t = x_0 + t (u - k): the sums of their squares, by hand, from 0 and from 2."""
    found = member_costs(Members(), Constant(1.0), np.array([[0.0], [2.0]]), 3, seed=0)
    first, second = [0 + 1 + 4, 0, 0 + 1 + 4], [4 + 9 + 16, 4 + 4 + 4, 4 + 1 + 0]
    np.testing.assert_allclose(found, np.add(first, second) / 2)


def test_an_end_is_paid_for_and_nothing_after_it():
    found = imagined_episodes(
        Members(), Constant(60.0), np.zeros((1, 1)), 4, None, np.zeros(1, int), True
    )
    assert found.length[0] == 2
    np.testing.assert_allclose(found.cost[0], [0.0, 3610.0, 1805.0, 0.0, 0.0])  # the mean, once


def test_imagined_states_go_no_further_than_twenty_deviations_of_the_data():
    """The deviation of the data is 100."""
    found = imagined_episodes(
        Members(), Constant(99.0), np.full((1, 1), -7000.0), 2, None, np.zeros(1, int), True
    )
    np.testing.assert_allclose(found.x[0, :, 0], [-7000.0, -2000.0, -1901.0])


@pytest.mark.parametrize(
    ("agreement", "action", "updates"), [(1.0, 0.15, 4), (0.6, 0.95, 12), (0.3, 2.15, 20)]
)
def test_a_round_ends_with_the_last_policy_that_enough_members_agreed_about(
    agreement, action, updates
):
    """u costs (u - k)^2 in member k: 0, 1 and 2. Steps of 0.1 from 0.15 are asked about at 0.55, worse
    in member 0; 0.95, the same; 1.35, worse in members 0 and 1; 1.75 and 2.15, the same.
    """
    c = me_trpo.Config(
        updates=20, validate_every=4, agreement=agreement, imagined_steps=2, validation=1,
        imagined=1, member_of="episode", members=3,
    )  # fmt: skip
    buffer, zero = ReplayBuffer(), np.zeros((1, 1))
    buffer.add(zero, zero, zero, zero, zero, np.zeros(1), np.zeros(1, bool))

    def update(policy, episodes, rng):
        return Constant(policy.u[0] + 0.1)

    rng = np.random.default_rng(0)
    found = on_policy.improve(Constant(0.15), Members(), buffer, update, c, rng)
    assert found.policy.u[0] == pytest.approx(action)
    assert found.updates == updates
    np.testing.assert_allclose(found.first, (0.15 - np.arange(3.0)) ** 2, atol=1e-12)
    np.testing.assert_allclose(found.last, (action - np.arange(3.0)) ** 2, atol=1e-12)


def test_a_step_of_ppo_follows_the_derivative_of_the_clipped_objective():
    rng = np.random.default_rng(0)
    policy = NeuralPolicy.create(3, 2, (5,), 0.4, rng, -np.ones(2), np.ones(2))
    policy.weights[-1] = 0.4 * rng.standard_normal(policy.weights[-1].shape)
    layers = GaussianLayers(policy)
    theta, x = layers.flat(policy), rng.standard_normal((60, 3))
    u = np.clip(0.5 * rng.standard_normal((60, 2)), -1, 1)
    batch = Batch(x, u, rng.standard_normal(60))
    before = layers.log_density(layers.gaussians(theta, x), u)[0]
    new = theta + 0.1 * rng.standard_normal(len(theta))

    def ratio(theta):
        return np.exp(layers.log_density(layers.gaussians(theta, x), u)[0] - before)

    def objective(theta):
        return clipped_objective(ratio(theta), batch.advantage, 0.2)

    assert 5 < (np.abs(ratio(new) - 1) > 0.2).sum() < 55
    h = 1e-6 * np.eye(len(theta))
    expected = [(objective(new + row) - objective(new - row)) / 2e-6 for row in h]
    np.testing.assert_allclose(
        clipped_gradient(layers, new, batch, before, 0.2), expected, atol=1e-7
    )
    better = clipped_update(layers, theta, batch, rng, rate=1e-2)
    assert objective(better) > objective(theta) + 0.05
    assert np.abs(np.log(ratio(better))).max() < 2


@pytest.mark.parametrize("optimiser", ["trpo", "ppo"])
def test_it_learns_to_go_to_a_point_from_a_few_episodes_and_goes_on_to_the_same_bits(optimiser):
    task, rng = make_task("point_mass"), np.random.default_rng(10)
    config = me_trpo.Config(
        iterations=2, iteration_steps=100, warm_up=100, updates=12, imagined=30, imagined_steps=50, hidden=(8,),
        model_hidden=(16,), members=2, fit_steps=60, optimiser=optimiser, kl_step=0.03, rate=1e-2,
        evaluation_samples=4,
    )  # fmt: skip
    rows, at = [], []
    for row in me_trpo.train(task, config, rng):
        rows.append(row)
        at.append(rng.bit_generator.state)
    assert rows[1].scalars["cost"] < rows[0].scalars["sampled_cost"]
    again = np.random.default_rng()
    again.bit_generator.state = at[0]
    (last,) = me_trpo.train(task, config, again, rows[0].state)
    assert last.scalars == rows[1].scalars
