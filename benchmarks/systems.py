"""Three swing-ups with known equations, for tests and tables: pendulum, cart-pole, two-link arm."""

from typing import NamedTuple

import numpy as np
from numba import njit

from lqr import QuadraticCost


class System(NamedTuple):
    """A problem for `ilqr`: dynamics, cost, start, first actions and limits."""

    dynamics: object
    cost: QuadraticCost
    x0: np.ndarray
    U: np.ndarray
    limit: float


@njit
def pendulum(x, u):
    """Angle 0 is upright; unit mass and length, semi-implicit Euler with 0.05 s."""
    y = np.empty(2)
    y[1] = x[1] + 0.05 * (9.81 * np.sin(x[0]) + u[0])
    y[0] = x[0] + 0.05 * y[1]
    return y


@njit
def cartpole(x, u):
    """x = [position, angle, velocity, rate], angle 0 upright; cart 1 kg, pole 0.1 kg at 0.5 m, 0.05 s."""
    y = np.empty(4)
    s, c, m, l = np.sin(x[1]), np.cos(x[1]), 0.1, 0.5
    a = (u[0] + m * s * (l * x[3] ** 2 - 9.81 * c)) / (1.0 + m * s * s)
    b = (9.81 * s - a * c) / l
    y[2], y[3] = x[2] + 0.05 * a, x[3] + 0.05 * b
    y[0], y[1] = x[0] + 0.05 * y[2], x[1] + 0.05 * y[3]
    return y


@njit
def arm(x, u):
    """x = [two angles, two rates], both links 1 kg and 1 m in the horizontal plane, damping 0.1, 0.02 s."""
    y = np.empty(4)
    c, s = np.cos(x[1]), np.sin(x[1])
    a, b, d = 5.0 / 3.0 + c, 1.0 / 3.0 + 0.5 * c, 1.0 / 3.0
    r0 = u[0] + 0.5 * s * (2 * x[2] * x[3] + x[3] ** 2) - 0.1 * x[2]
    r1 = u[1] - 0.5 * s * x[2] ** 2 - 0.1 * x[3]
    det = a * d - b * b
    y[2], y[3] = x[2] + 0.02 * (d * r0 - b * r1) / det, x[3] + 0.02 * (a * r1 - b * r0) / det
    y[0], y[1] = x[0] + 0.02 * y[2], x[1] + 0.02 * y[3]
    return y


def quadratic(T, running, final, goal):
    """Returns sum 1/2 (xu - goal)' diag(weights) (xu - goal)."""
    C = np.tile(np.diag(running), (T + 1, 1, 1)).astype(float)
    C[T] = np.diag(final)
    goal = np.asarray(goal, dtype=float)
    return QuadraticCost(C, -C @ goal, 0.5 * np.einsum("i,tij,j->t", goal, C, goal))


SYSTEMS = {
    "pendulum": System(
        pendulum, quadratic(60, [0.01] * 3, [100, 10, 0], [0] * 3), np.array([np.pi, 0.0]), np.full((60, 1), 0.01), 5.0
    ),
    "cartpole": System(
        cartpole,
        quadratic(60, [0.01, 0.01, 0.01, 0.01, 0.01], [100, 100, 10, 10, 0], [0] * 5),
        np.array([0.0, np.pi, 0.0, 0.0]),
        np.full((60, 1), 0.01),
        12.0,
    ),
    "arm": System(
        arm,
        quadratic(75, [0.01] * 4 + [0.01] * 2, [100, 100, 10, 10, 0, 0], [np.pi / 2, 1.0, 0, 0, 0, 0]),
        np.array([-np.pi / 2, 0.0, 0.0, 0.0]),
        np.zeros((75, 2)),
        6.0,
    ),
}
