"""Three swing-ups with known equations, for tests and tables: pendulum, cart-pole, two-link arm."""

from typing import NamedTuple

import numpy as np
from numba import njit

from lqr import QuadraticCost


class System(NamedTuple):
    """A problem for `ilqr`: dynamics and their Jacobian, cost, start, first actions and limits."""

    dynamics: object
    jacobian: object
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
    """x = [position, angle, velocity, rate], angle 0 upright; cart 1 kg, pole 0.1 kg at 0.5 m, 0.05
    s.
    """
    y = np.empty(4)
    s, c, m, l = np.sin(x[1]), np.cos(x[1]), 0.1, 0.5
    a = (u[0] + m * s * (l * x[3] ** 2 - 9.81 * c)) / (1.0 + m * s * s)
    b = (9.81 * s - a * c) / l
    y[2], y[3] = x[2] + 0.05 * a, x[3] + 0.05 * b
    y[0], y[1] = x[0] + 0.05 * y[2], x[1] + 0.05 * y[3]
    return y


@njit
def arm(x, u):
    """x = [two angles, two rates], both links 1 kg and 1 m in the horizontal plane, damping 0.1,
    0.02 s.
    """
    y = np.empty(4)
    c, s = np.cos(x[1]), np.sin(x[1])
    a, b, d = 5.0 / 3.0 + c, 1.0 / 3.0 + 0.5 * c, 1.0 / 3.0
    r0 = u[0] + 0.5 * s * (2 * x[2] * x[3] + x[3] ** 2) - 0.1 * x[2]
    r1 = u[1] - 0.5 * s * x[2] ** 2 - 0.1 * x[3]
    det = a * d - b * b
    y[2], y[3] = x[2] + 0.02 * (d * r0 - b * r1) / det, x[3] + 0.02 * (a * r1 - b * r0) / det
    y[0], y[1] = x[0] + 0.02 * y[2], x[1] + 0.02 * y[3]
    return y


@njit
def integrate(A, dt, F):
    """Writes the Jacobian F (2 m, n) of semi-implicit Euler from that of the accelerations, A (m,
    n).
    """
    m, n = A.shape
    for i in range(m):
        for j in range(n):
            F[m + i, j] = dt * A[i, j] + (1.0 if j == m + i else 0.0)
            F[i, j] = dt * F[m + i, j] + (1.0 if j == i else 0.0)


@njit
def pendulum_jacobian(X, U):
    F, A = np.empty((len(U), 2, 3)), np.zeros((1, 3))
    for t in range(len(U)):
        A[0, 0], A[0, 2] = 9.81 * np.cos(X[t, 0]), 1.0
        integrate(A, 0.05, F[t])
    return F


@njit
def cartpole_jacobian(X, U):
    F, A, m, l, g = np.empty((len(U), 4, 5)), np.zeros((2, 5)), 0.1, 0.5, 9.81
    for t in range(len(U)):
        s, c, v = np.sin(X[t, 1]), np.cos(X[t, 1]), X[t, 3]
        d = 1.0 + m * s * s
        a = (U[t, 0] + m * s * (l * v * v - g * c)) / d
        A[0, 1] = (m * c * l * v * v - m * g * (c * c - s * s) - 2 * m * s * c * a) / d
        A[0, 3], A[0, 4] = 2 * m * s * l * v / d, 1 / d
        A[1, 1] = (g * c - A[0, 1] * c + a * s) / l
        A[1, 3], A[1, 4] = -A[0, 3] * c / l, -A[0, 4] * c / l
        integrate(A, 0.05, F[t])
    return F


@njit
def arm_jacobian(X, U):
    F, A, R = np.empty((len(U), 4, 6)), np.zeros((2, 6)), np.zeros((2, 6))
    for t in range(len(U)):
        c, s, v, w = np.cos(X[t, 1]), np.sin(X[t, 1]), X[t, 2], X[t, 3]
        a, b, d = 5.0 / 3.0 + c, 1.0 / 3.0 + 0.5 * c, 1.0 / 3.0
        r0 = U[t, 0] + 0.5 * s * (2 * v * w + w * w) - 0.1 * v
        r1 = U[t, 1] - 0.5 * s * v * v - 0.1 * w
        det = a * d - b * b
        p, q = (d * r0 - b * r1) / det, (a * r1 - b * r0) / det
        R[0, 1] = 0.5 * c * (2 * v * w + w * w) + s * p + 0.5 * s * q  # of M a = r: dr - dM a
        R[1, 1] = -0.5 * c * v * v + 0.5 * s * p
        R[0, 2], R[0, 3], R[0, 4] = s * w - 0.1, s * (v + w), 1.0
        R[1, 2], R[1, 3], R[1, 5] = -s * v, -0.1, 1.0
        for j in range(6):
            A[0, j], A[1, j] = (d * R[0, j] - b * R[1, j]) / det, (a * R[1, j] - b * R[0, j]) / det
        integrate(A, 0.02, F[t])
    return F


def quadratic(T, running, final, goal):
    """Returns sum 1/2 (xu - goal)' diag(weights) (xu - goal)."""
    C = np.tile(np.diag(running), (T + 1, 1, 1)).astype(float)
    C[T] = np.diag(final)
    goal = np.asarray(goal, dtype=float)
    return QuadraticCost(C, -C @ goal, 0.5 * np.einsum("i,tij,j->t", goal, C, goal))


SYSTEMS = {
    "pendulum": System(
        pendulum,
        pendulum_jacobian,
        quadratic(60, [0.01] * 3, [100, 10, 0], [0] * 3),
        np.array([np.pi, 0.0]),
        np.full((60, 1), 0.01),
        5.0,
    ),
    "cartpole": System(
        cartpole,
        cartpole_jacobian,
        quadratic(60, [0.01, 0.01, 0.01, 0.01, 0.01], [100, 100, 10, 10, 0], [0] * 5),
        np.array([0.0, np.pi, 0.0, 0.0]),
        np.full((60, 1), 0.01),
        12.0,
    ),
    "arm": System(
        arm,
        arm_jacobian,
        quadratic(
            75, [0.01] * 4 + [0.01] * 2, [100, 100, 10, 10, 0, 0], [np.pi / 2, 1.0, 0, 0, 0, 0]
        ),
        np.array([-np.pi / 2, 0.0, 0.0, 0.0]),
        np.zeros((75, 2)),
        6.0,
    ),
}
