"""The point mass against the equations of motion, and its optimum against another optimiser."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

from agents.rollout import rollout
from agents.tasks.classic.point_mass import STARTS, PointMass
from lqr import LinearGaussianController


def test_a_step_solves_the_equations_of_motion():
    task, rng = PointMass(4), np.random.default_rng(0)
    task.reset(np.arange(4), rng)
    task.x = start = rng.normal(size=(4, 4))
    u = rng.normal(size=(4, 2))
    after = task.step(u)
    for x0, force, x1 in zip(start, u, after, strict=True):
        motion = solve_ivp(
            lambda t, x, f=force: np.concatenate([x[2:], f]),
            (0, task.dt),
            x0,
            rtol=1e-10,
            atol=1e-12,
        )
        np.testing.assert_allclose(x1, motion.y[:, -1], atol=1e-9)
    assert np.array_equal(task.observe(), after)


def test_the_cost_is_what_the_task_says():
    task, rng = PointMass(), np.random.default_rng(1)
    x, u = rng.normal(size=(101, 4)), rng.normal(size=(100, 2))
    expected = np.sqrt(0.01 + (x[:, :2] ** 2).sum(1)) + 0.025 * (x[:, 2:] ** 2).sum(1)
    expected[:-1] += 0.05 * (u**2).sum(1)
    np.testing.assert_allclose(task.cost(x, u), expected)


def test_no_other_optimiser_finds_a_lower_cost():
    task = PointMass(1)

    def total(flat):
        u, x = flat.reshape(100, 2), [np.concatenate([STARTS[0], np.zeros(2)])]
        for force in u:
            x.append(task.dynamics(x[-1], force))
        x = np.array(x)
        expansion = task.cost.expand(x, u)
        slope = (expansion.C @ np.pad(np.c_[x[:-1], u], ((0, 1), (0, 0)))[..., None])[
            ..., 0
        ] + expansion.c
        slope[-1] = expansion.C[-1] @ np.r_[x[-1], 0, 0] + expansion.c[-1]
        adjoint, gradient = slope[-1, :4], np.empty((100, 2))
        A = np.kron([[1, task.dt], [0, 1]], np.eye(2))
        B = np.kron([[0.5 * task.dt**2], [task.dt]], np.eye(2))
        for t in reversed(range(100)):
            gradient[t] = slope[t, 4:] + B.T @ adjoint
            adjoint = slope[t, :4] + A.T @ adjoint
        return float(task.cost(x, u).sum()), gradient.ravel()

    other = minimize(
        total,
        np.zeros(200),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-10, 10)] * 200,
        options={"maxiter": 5000},
    )
    assert task.optimum()[0] == pytest.approx(other.fun, rel=1e-5)


def test_doing_nothing_costs_several_times_the_optimum():
    task = PointMass(4)
    still = LinearGaussianController(
        np.zeros((4, 100, 2, 4)), np.zeros((4, 100, 2)), np.tile(np.eye(2), (4, 100, 1, 1))
    )
    cost = rollout(task, still, np.arange(4), 1, np.random.default_rng(0), noise=0.0).cost.sum(-1)
    assert (cost > 3 * task.optimum()).all()
