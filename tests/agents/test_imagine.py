"""Imagined episodes are what closed-loop algebra says, and what the real world does where it is the
model."""

import numpy as np
import pytest

from agents.imagine import controllers, imagine
from agents.planners.models import SimulatorModel
from agents.rollout import rollout, run
from agents.tasks import make_task
from lqr import Gaussian, LinearGaussianController, LinearGaussianDynamics, forward

WIDE = np.full(2, -1e6), np.full(2, 1e6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def linear(rng, dx=3, du=2, T=7, rows=4):
    """Returns x' = A x + B u + f, and time-varying controllers of each row."""
    A, B, f = 0.4 * rng.normal(size=(dx, dx)), rng.normal(size=(dx, du)), rng.normal(size=dx)
    K, k = 0.3 * rng.normal(size=(rows, T, du, dx)), rng.normal(size=(rows, T, du))
    return A, B, f, LinearGaussianController(K, k, np.tile(1e-9 * np.eye(du), (rows, T, 1, 1)))


def test_linear_controllers_in_a_linear_model_follow_the_mean_of_the_forward_pass(rng):
    A, B, f, controller = linear(rng)
    x0, T = rng.normal(size=(4, 3)), 7
    found = imagine(lambda x, u: x @ A.T + u @ B.T + f, controllers(controller), x0, T, *WIDE)
    for row in range(4):
        own = LinearGaussianController(*(a[row] for a in controller))
        F = np.tile(np.concatenate([A, B], 1), (T, 1, 1))
        dynamics = LinearGaussianDynamics(
            F, np.tile(f, (T, 1)), np.tile(1e-9 * np.eye(3), (T, 1, 1))
        )
        mean = forward(dynamics, own, Gaussian(x0[row], 1e-9 * np.eye(3))).mean
        np.testing.assert_allclose(found.x[row], mean[:, :3], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.u[row], mean[:-1, 3:], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found.length, T)
    assert not found.failed.any()
    np.testing.assert_array_equal(found.o, found.x)  # nothing else was said of what is seen


@pytest.mark.parametrize("name", ["pendulum", "pets_cartpole"])
def test_imagination_in_the_true_simulator_is_what_happens(name, rng):
    task = make_task(name)
    gain = 0.1 * rng.normal(size=(task.du, task.dx))

    def act(x, o, t):
        return x @ gain.T

    real = run(task, act, np.arange(task.conditions), np.random.default_rng(1))
    model = SimulatorModel(task)
    low, high = task.action_low, task.action_high
    found = imagine(model.step, act, real.x[:, 0], task.horizon, low, high, cost=task.cost)
    np.testing.assert_allclose(found.x, real.x, atol=1e-6)
    np.testing.assert_allclose(found.u, real.u, atol=1e-6)
    np.testing.assert_allclose(found.cost, real.cost, atol=1e-5)


def test_a_row_is_over_in_the_step_that_its_next_state_ends_and_the_others_go_on():
    """x counts steps; a row ends once it reaches its own bound of 3, 5, never."""
    bound = np.array([3.0, 5.0, np.inf])
    found = imagine(
        lambda x, u: x + u,
        lambda x, o, t: np.ones((3, 1)),
        np.zeros((3, 1)),
        6,
        np.array([0.0]),
        np.array([1.0]),
        cost=lambda X, U: np.ones(X.shape[:-1]),
        ended=lambda x: x[:, 0] >= bound,
    )
    np.testing.assert_array_equal(found.length, [3, 5, 6])
    np.testing.assert_array_equal(found.x[:, -1, 0], [3.0, 5.0, 6.0])  # the last state is repeated
    np.testing.assert_array_equal(found.u.sum((1, 2)), [3.0, 5.0, 6.0])  # and nothing is done there
    np.testing.assert_array_equal(
        found.costs, [4.0, 6.0, 7.0]
    )  # states 0 to the end, the end included
    np.testing.assert_array_equal(found.mask.sum(1), [3, 5, 6])


def test_actions_keep_the_limits_and_the_policy_sees_what_the_task_shows():
    shown = []

    def act(x, o, t):
        shown.append(o.copy())
        return np.full((*o.shape[:-1], 1), 9.0)

    x0 = np.arange(6.0).reshape(2, 3, 1)  # any batch axes
    low, high = np.array([-1.0]), np.array([0.5])
    found = imagine(lambda x, u: x + u, act, x0, 2, low, high, observation_of=lambda x: -2 * x)
    assert found.x.shape == (2, 3, 3, 1)
    np.testing.assert_array_equal(found.u, 0.5)
    np.testing.assert_array_equal(found.x[..., 2, :], x0 + 1.0)
    np.testing.assert_array_equal(shown[1], -2 * (x0 + 0.5))
    np.testing.assert_array_equal(found.o, -2 * found.x)


def test_a_row_that_diverges_has_failed_and_the_others_are_untouched():
    def step(x, u):
        return np.where(x > 2, np.inf, x + u)

    found = imagine(
        step,
        lambda x, o, t: np.ones((2, 1)),
        np.array([[0.0], [-9.0]]),
        6,
        np.array([-1.0]),
        np.array([1.0]),
    )
    np.testing.assert_array_equal(found.failed, [True, False])
    np.testing.assert_array_equal(found.x[1, :, 0], np.arange(-9.0, -2.0))


def test_what_is_imagined_can_be_learned_from_like_what_happened(rng):
    task = make_task("point_mass")
    real = rollout(task, _Still(task.du), np.arange(task.conditions), 1, rng)
    act = controllers(
        LinearGaussianController(
            np.zeros((task.conditions, task.horizon, task.du, task.dx)),
            np.ones((task.conditions, task.horizon, task.du)),
            np.tile(np.eye(task.du), (task.conditions, task.horizon, 1, 1)),
        )
    )
    found = imagine(
        lambda x, u: x + 0.1, act, real.x[:, 0], task.horizon, task.action_low, task.action_high
    )
    x, u, after = found.transitions
    np.testing.assert_allclose(after, x + 0.1)
    assert len(u) == task.conditions * task.horizon


class _Still:
    def __init__(self, du):
        self.du = du

    def sample(self, o, t, rng):
        return np.zeros((len(o), self.du))


def test_a_row_goes_on_only_while_the_model_is_trusted():
    """x' = 2 x from 1, 3 and 9; members disagree by |x|, and are trusted up to 10."""
    x0 = np.array([[1.0], [3.0], [9.0]])
    found = imagine(
        lambda x, u: 2 * x + 0 * u, lambda x, o, t: 0 * x, x0, 3, *(a[:1] for a in WIDE),
        cost=lambda X, U: np.ones(X.shape[:-1]),
        disagreement=lambda x, u: np.abs(x[:, 0]), until=lambda d: d <= 10.0, bonus=0.5,
    )  # fmt: skip
    np.testing.assert_array_equal(found.length, [3, 2, 1])
    assert found.mask.sum() == 6
    expected = 1.0 - 0.5 * np.array([1.0, 2.0, 4.0, 3.0, 6.0, 9.0])  # less what is not known
    np.testing.assert_allclose(found.cost[:, :-1][found.mask], expected)
    np.testing.assert_allclose(found.x[2, :, 0], [9.0, 18.0, 18.0, 18.0])
