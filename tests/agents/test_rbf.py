"""The policy of radial basis functions against a Gaussian process, torch and its limits; the
saturating reward against the tasks' own figure.
"""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from agents.policies.rbf import RBFPolicy, features, squash
from agents.tasks import make_task
from lqr import CheckpointError


def policy(du=2, angles=(1,), n=6, seed=0):
    rng = np.random.default_rng(seed)
    low, high = np.array([-1.0, 0.0])[:du], np.array([1.0, 4.0])[:du]
    parts = rng.normal(size=(n, 4)), rng.normal(size=(n, du)), np.exp(rng.normal(size=4))
    return RBFPolicy(*parts, low, high, angles)


def test_before_the_squashing_it_is_the_mean_of_a_gaussian_process():
    one, x = policy(), np.random.default_rng(1).normal(size=(20, 3))
    process = GaussianProcessRegressor(RBF(one.lengths), alpha=1e-4, optimizer=None)
    process.fit(one.centres, one.targets)
    f = np.column_stack([x[:, 0], np.cos(x[:, 1]), np.sin(x[:, 1]), x[:, 2]])
    np.testing.assert_array_equal(features(x, (1,)), f)
    expected = np.array([0.0, 2.0]) + np.array([1.0, 2.0]) * squash(process.predict(f))
    np.testing.assert_allclose(one.mean(x), expected, atol=1e-9)
    np.testing.assert_allclose(one.mean(x[0]), expected[0], atol=1e-9)


def test_its_program_in_torch_does_the_same():
    import torch

    one, x = policy(), np.random.default_rng(2).normal(size=(5, 3))
    p = {name: torch.as_tensor(a) for name, a in one.parameters().items()}
    np.testing.assert_allclose(one.torch_mean(p, torch.as_tensor(x)), one.mean(x), atol=1e-12)


def test_an_angle_and_its_next_turn_are_one_and_no_action_leaves_the_limits():
    one, x = policy(), 9 * np.random.default_rng(3).normal(size=(200, 3))
    np.testing.assert_allclose(
        one.mean(x + 2 * np.pi * np.array([0, 1, 0])), one.mean(x), atol=1e-9
    )
    assert ((one.mean(x) >= one.low - 1e-12) & (one.mean(x) <= one.high + 1e-12)).all()
    assert np.abs(squash(np.linspace(-50, 50, 9999))).max() < 1 + 1e-12


def test_it_is_built_again_to_the_bit_and_nonsense_is_refused():
    one, x = policy(), np.random.default_rng(4).normal(size=(5, 3))
    again = RBFPolicy.from_state(one.state())
    np.testing.assert_array_equal(again.mean(x), one.mean(x))
    with pytest.raises(CheckpointError, match="lengths above 0"):
        RBFPolicy.from_state(one.state() | {"lengths": -one.lengths})


@pytest.mark.parametrize("word", ["pendulum", "cartpole"])
def test_the_saturating_reward_is_the_figure_that_the_task_tells(word):
    task, rng = make_task(word), np.random.default_rng(0)
    x = rng.normal(size=(3, task.horizon + 1, task.dx)) * [0.3] + np.pi * rng.integers(0, 2)
    told = task.metrics(x, np.zeros((3, task.horizon, task.du)))["reward"]
    f = features(x, task.angles)
    np.testing.assert_allclose(task.saturating.reward(f)[:, 1:].sum(1), told, rtol=1e-9)
    np.testing.assert_array_equal(f, task.observation_of(x))
