"""Worlds to plan in: the simulator is the task itself, and a task that goes on is not disturbed."""

import numpy as np
import pytest

from agents.planners.models import LearnedModel, LocalModel, ProjectedModel, SimulatorModel
from agents.tasks import TASKS, make_task
from dynamics import GaussianProcess, Network
from lqr import InputError, LinearGaussianDynamics

KNOWN = [
    "pendulum",
    "cartpole",
    "acrobot",
    "mountain_car",
    "inverted_pendulum",
    "half_cheetah",
    "hopper",
    "swimmer",
]
KNOWN += ["pets_cartpole", "pendulum_v1", "pets_reacher", "pets_pusher", "pusher", "reacher_v5"]
KNOWN += [
    name for name in TASKS if name.startswith("mbbl_") and "_o0" not in name and "_a0" not in name
]
# MuJoCo leaves the fingertip where the last stage of its Runge-Kutta step saw it
LOOSE = {"mbbl_reacher": 1e-5, "reacher_v5": 1e-5}


@pytest.mark.parametrize("name", KNOWN)
def test_the_simulated_world_does_what_the_task_does(name):
    task, rng = make_task(name), np.random.default_rng(0)
    world = SimulatorModel(task)
    x = task.reset(np.zeros(2, int), rng)
    U = rng.uniform(task.action_low, task.action_high, size=(2, 8, task.du))
    for t in range(3):  # into the episode
        x = task.step(U[:, t])
    ahead = world.roll(x[1], U[:, 3:], 3, rng)
    assert ahead.shape == (2, 1, 6, task.dx)
    np.testing.assert_array_equal(ahead[:, 0, 0], np.stack([x[1]] * 2))
    for t in range(3, 8):
        x = task.step(U[:, t])
        np.testing.assert_allclose(
            ahead[1, 0, t - 2], x[1], rtol=1e-7, atol=LOOSE.get(name, 1e-7)
        )  # the task went on


@pytest.mark.parametrize("name", ["pendulum", "mbbl_acrobot", "half_cheetah"])
def test_step_and_jacobian_agree_with_roll(name):
    task, rng = make_task(name), np.random.default_rng(0)
    world = SimulatorModel(task)
    x = task.reset(np.zeros(3, int), rng)
    u = 0.1 * rng.uniform(task.action_low, task.action_high, size=(3, task.du))
    after = world.step(x, u)
    for i in range(3):
        np.testing.assert_allclose(
            after[i], world.roll(x[i], u[i][None, None], 0, rng)[0, 0, 1], rtol=1e-9, atol=1e-9
        )
    J = world.jacobian(x, u)
    assert J.shape == (3, task.dx, task.dx + task.du)
    if name == "pendulum":
        move = 1e-4 * rng.normal(size=(3, 3))
        there = world.step(x + move[:, :2], u + move[:, 2:])
        np.testing.assert_allclose(there - after, (J @ move[..., None])[..., 0], atol=1e-6)


def test_a_learned_world_is_kept_to_the_states_that_a_task_calls_possible():
    task, rng = make_task("mbbl_cartpole"), np.random.default_rng(0)
    x, u = task.states(rng.normal(size=(200, 4))), rng.uniform(-1, 1, size=(200, 1))
    model = GaussianProcess(iterations=5)
    model.fit(x, u, task.states(task.advance(x[:, :4], u)), rng)
    world = LearnedModel.of(task, model)
    assert isinstance(world, ProjectedModel)
    after = world.step(x[:5], u[:5])
    np.testing.assert_allclose(
        after[:, 4:], np.column_stack([np.cos(after[:, 2]), np.sin(after[:, 2])]), atol=1e-12
    )
    move = 1e-5 * rng.normal(size=(5, 7))
    there, back = (world.step(x[:5] + s * move[:, :6], u[:5] + s * move[:, 6:]) for s in (1, -1))
    expected = (world.jacobian(x[:5], u[:5]) @ move[..., None])[..., 0]
    np.testing.assert_allclose((there - back) / 2, expected, atol=1e-9)
    assert type(LearnedModel.of(make_task("pendulum"), model)) is LearnedModel


def test_a_task_that_does_not_tell_its_physical_state_is_refused():
    with pytest.raises(InputError, match="does not tell its physical state"):
        SimulatorModel(make_task("gymnasium:Pendulum-v1"))


def test_local_models_roll_as_their_equations_say_and_their_noise_has_its_covariance():
    rng = np.random.default_rng(0)
    F, f = rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 2))
    cov = np.tile([[0.2, 0.05], [0.05, 0.1]], (5, 1, 1))
    dynamics = LinearGaussianDynamics(F, f, cov)
    U = rng.normal(size=(2, 3, 1))
    x = np.array([0.3, -0.2])
    X = LocalModel(dynamics).roll(x, U, 2, rng)
    for t in range(3):
        x = F[2 + t] @ np.r_[x, U[1, t]] + f[2 + t]
        np.testing.assert_allclose(X[1, 0, t + 1], x)
    many = LocalModel(dynamics, particles=20_000).roll(np.zeros(2), U[:1, :1], 0, rng)[0, :, 1]
    np.testing.assert_allclose(np.cov(many.T, bias=True), cov[0], atol=0.01)
    with pytest.raises(InputError, match="local models of 5"):
        LocalModel(dynamics).roll(np.zeros(2), U, 3, rng)


@pytest.mark.parametrize(
    "model", [Network(steps=50), GaussianProcess(iterations=5)], ids=["nn", "gp"]
)
def test_a_learned_world_rolls_its_models_means_or_draws(model):
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(80, 2)), rng.normal(size=(80, 1))
    model.fit(x, u, x + 0.1 * np.sin(x) + 0.2 * u + 0.1 * rng.normal(size=x.shape), rng)
    U = rng.normal(size=(4, 3, 1))
    X = LearnedModel(model).roll(x[0], U, 0, rng)
    at = np.tile(x[0], (4, 1))
    for t in range(3):
        at = model.predict(at, U[:, t]).mean
        np.testing.assert_allclose(X[:, 0, t + 1], at, atol=1e-4)
    many = LearnedModel(model, "sample", 4000).roll(x[0], U[:1, :1], 0, rng)[0, :, 1]
    expected = model.predict(x[:1], U[:1, 0])
    np.testing.assert_allclose(many.mean(0), expected.mean[0], atol=0.02)
    np.testing.assert_allclose(
        np.cov(many.T, bias=True), expected.cov[0], atol=0.1 * expected.cov[0].max()
    )
