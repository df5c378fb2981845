"""A process behind a simulator: the parameters are found, and what it does not know is learned."""

from functools import cache

import numpy as np
import pytest

from agents.tasks import make_task
from agents.tasks.classic.cartpole import CartPole
from agents.tasks.classic.pendulum import Pendulum
from dynamics import IdentifiedSimulator
from dynamics.residual import Residual
from lqr import InputError


def data(task, M, rng):
    x = rng.normal(size=(M, task.dx))
    u = rng.uniform(task.action_low, task.action_high, (M, task.du))
    return x, u, task.advance(x, u)


@cache
def fitted(identify=True):
    from agents.bayesian.steps.problem import process

    task, rng = Pendulum(believed={"mass": 0.5, "length": 1.5}), np.random.default_rng(0)
    simulator = IdentifiedSimulator(identify)
    simulator.attach(task)
    model = Residual(simulator, process(task))
    model.fit(*data(task, 50, rng), rng)
    return task, model


@pytest.mark.parametrize("word", ["pendulum", "cartpole"])
def test_the_simulator_is_the_tasks_physics_with_its_constants_scaled(word):
    task, rng = make_task(word), np.random.default_rng(0)
    x, u, after = data(task, 20, rng)
    one = np.ones((20, len(task.constants)))
    np.testing.assert_allclose(task.simulator(x, u, one), after, atol=1e-12)
    other = task.simulator(x, u, one * [2.0, *one[0, 1:]])
    assert np.abs(other - after).max() > 1e-3


def test_a_rod_of_twice_the_mass_and_friction_moves_half_as_far_under_twice_the_torque_less_gravity():
    task = Pendulum()
    x, u = np.array([[0.3, 0.5]]), np.array([[1.0]])
    double = task.simulator(x, 2 * u, np.array([[2.0, 1.0, 2.0]]))
    np.testing.assert_allclose(double, task.simulator(x, u, np.ones((1, 3))), atol=1e-12)


def test_wrong_parameters_are_found_to_a_tenth():
    _, model = fitted()
    found = model.base.factors
    assert found["mass"] * 0.5 == pytest.approx(1.0, rel=0.1)
    assert found["length"] * 1.5 == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("identify", [True, False])
def test_base_and_rest_together_predict_the_world(identify):
    task, model = fitted(identify)
    x, u, after = data(task, 200, np.random.default_rng(1))
    x, u, after = (a[np.abs(x).max(1) < 1.5] for a in (x, u, after))
    change = np.abs(after - x).mean(0)
    assert (np.abs(model.predict(x, u).mean - after).mean(0) < 0.05 * change).all()
    mean, var = model.marginals(x, u)
    np.testing.assert_allclose(mean, model.predict(x, u).mean, atol=1e-9)
    np.testing.assert_allclose(mean, model.mean(x, u), atol=1e-9)
    np.testing.assert_allclose(
        var, np.diagonal(model.predict(x, u).cov, axis1=1, axis2=2), atol=1e-9
    )


def test_the_tangent_is_that_of_differences_and_a_state_comes_back():
    task, model = fitted(False)
    x, u, h = np.array([[0.2, -0.4]]), np.array([[0.5]]), 1e-4
    J = model.linearise(x, u).jacobian
    for i, move in enumerate(h * np.eye(3)):
        up, down = (model.mean(x + s * move[:2], u + s * move[2:]) for s in (1, -1))
        np.testing.assert_allclose(J[..., i], (up - down) / (2 * h), atol=1e-3)
    base = IdentifiedSimulator(False)
    base.attach(task)
    again = Residual(base, type(model.model)(type(model.model.model)(), task.angles))
    again.load_state(model.state())
    np.testing.assert_array_equal(again.mean(x, u), model.mean(x, u))


def test_constants_that_the_task_has_not_are_refused():
    with pytest.raises(InputError, match="expected of pole, cart, length, friction"):
        _ = CartPole(believed={"mass": 2.0}).simulator
