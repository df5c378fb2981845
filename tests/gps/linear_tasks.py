"""Worlds small enough that the right answer follows from dense algebra: a pushed point, and random
linear systems.
"""

import numpy as np

from gps.steps.local_data import LocalData
from lqr import Gaussian, LinearGaussianController, LinearGaussianDynamics, Quadratic, QuadraticCost


class Point:
    """x = [position - target (2), velocity (2)], u a force; the policy sees the target and x."""

    name, horizon, dt, dx, du, do = "point", 15, 0.2, 4, 2, 6
    action_low, action_high = -3 * np.ones(2), 3 * np.ones(2)
    targets = np.array([[1.0, 0.0], [-0.5, 1.0], [0.3, -1.0]])

    def __init__(self, conditions=3):
        self.conditions = conditions
        self.cost = Quadratic(np.diag([2.0, 2.0, 0.1, 0.1, 0.2, 0.2]))

    def reset(self, conditions, rng):
        self.goal = self.targets[conditions]
        self.x = np.concatenate([-self.goal, 0.002 * rng.standard_normal((len(conditions), 2))], 1)
        return self.x.copy()

    def step(self, u):
        position, velocity = self.x[:, :2], self.x[:, 2:]
        self.x = np.concatenate([position + self.dt * velocity, velocity + self.dt * u], 1)
        return self.x.copy()

    def observe(self):
        return np.concatenate([self.goal, self.x], 1)

    def done(self):
        return np.zeros(len(self.x), bool)

    def metrics(self, x, u):
        return {"distance": np.linalg.norm(x[:, -1, :2], axis=1)}

    def optimum(self):
        """Returns the least cost of each condition from rest, by one dense least-squares
        problem.
        """
        T, h = self.horizon, self.dt
        V = np.tril(np.ones((T + 1, T)), -1) * h  # velocities from forces
        P = np.tril(np.ones((T + 1, T + 1)), -1) @ V * h  # positions from forces
        costs = []
        for goal in self.targets[: self.conditions]:
            total = 0.0
            for g in goal:
                A = np.vstack([np.sqrt(2.0) * P, np.sqrt(0.1) * V, np.sqrt(0.2) * np.eye(T)])
                b = np.concatenate([np.sqrt(2.0) * np.full(T + 1, g), np.zeros(2 * T + 1)])
                force = np.linalg.lstsq(A, b, rcond=None)[0]
                total += 0.5 * ((A @ force - b) ** 2).sum()
            costs.append(total)
        return np.array(costs)


class ObservedPoint(Point):
    """A point that says what is seen in a state: the goal is not in it, but one of three."""

    name, do = "seen point", 4

    def observation_of(self, x):
        return x.copy()

    def observe(self):
        return self.x.copy()


class Fragile(ObservedPoint):
    """Ends in no number after a few steps in condition 1."""

    def step(self, u):
        x, lost = super().step(u), self.goal[:, 0] < 0  # of condition 1 alone
        self.count = self.count + 1
        return np.where(lost[:, None] & (self.count > 3), np.nan, x)

    def reset(self, conditions, rng):
        self.count = 0
        return super().reset(conditions, rng)


F = np.block(
    [[np.eye(2), 0.2 * np.eye(2), np.zeros((2, 2))], [np.zeros((2, 2)), np.eye(2), 0.2 * np.eye(2)]]
)


class TrueWorld:
    """The point itself as the model."""

    def step(self, x, u):
        return x @ F[:, :4].T + u @ F[:, 4:].T

    def jacobian(self, X, U):
        return np.broadcast_to(F, (*X.shape, 6))


def rolled(x, U):
    """Returns the point's states (T+1, 4) from x under U (T, 2), and these actions."""
    X = [x]
    for u in U:
        X.append(TrueWorld().step(X[-1], u))
    return np.array(X), U


class Exact:
    """A policy linear in its observation, u = o B, whose weighted regression is solved exactly."""

    def __init__(self, do, du):
        self.B, self.cov = np.zeros((do, du)), np.eye(du)

    def mean(self, o):
        return o @ self.B

    def fit(self, o, target, precision, rng, steps, rate, weight):
        rows = weight > 0
        o, target, weight = o[rows], target[rows], weight[rows][:, None, None] * precision[rows]
        left = np.einsum("mi,mab,mj->iajb", o, weight, o)
        right = np.einsum("mi,mab,mb->ia", o, weight, target)
        size = self.B.size
        self.B = np.linalg.lstsq(left.reshape(size, size), right.reshape(size), rcond=None)[
            0
        ].reshape(self.B.shape)
        return 0.0


def linear_task(rng, C=2, T=4, dx=3, du=2):
    """Returns dynamics, a convex cost with cross and linear terms, and x0, for C conditions."""
    n = dx + du
    A = np.eye(dx) + 0.2 * rng.normal(size=(C, T, dx, dx))
    F = np.concatenate([A, rng.normal(size=(C, T, dx, du))], -1)
    root = rng.normal(size=(C, T + 1, n, n))
    cost = QuadraticCost(
        root @ root.swapaxes(-1, -2) / n + 0.3 * np.eye(n),
        rng.normal(size=(C, T + 1, n)),
        rng.normal(size=(C, T + 1)),
    )
    dynamics = LinearGaussianDynamics(
        F, rng.normal(size=(C, T, dx)), np.tile(0.01 * np.eye(dx), (C, T, 1, 1))
    )
    return dynamics, cost, Gaussian(rng.normal(size=(C, dx)), np.tile(0.02 * np.eye(dx), (C, 1, 1)))


def controllers(rng, C=2, T=4, dx=3, du=2, std=0.5):
    root = 0.3 * rng.normal(size=(C, T, du, du)) + np.eye(du)
    return LinearGaussianController(
        0.3 * rng.normal(size=(C, T, du, dx)),
        rng.normal(size=(C, T, du)),
        std**2 * root @ root.swapaxes(-1, -2),
    )


def sampled(rng, controller, dynamics, x0, N):
    """Returns x (C, N, T+1, dx) and u (C, N, T, du) drawn from the system itself."""
    C, T, du, dx = controller.K.shape
    x, u = np.zeros((C, N, T + 1, dx)), np.zeros((C, N, T, du))

    def noise(cov, d):
        return np.einsum("cij,cnj->cni", np.linalg.cholesky(cov), rng.standard_normal((C, N, d)))

    x[:, :, 0] = x0.mean[:, None] + noise(x0.cov, dx)
    for t in range(T):
        K, k, S = (a[:, t] for a in controller)
        u[:, :, t] = np.einsum("cij,cnj->cni", K, x[:, :, t]) + k[:, None] + noise(S, du)
        xu = np.concatenate([x[:, :, t], u[:, :, t]], -1)
        x[:, :, t + 1] = (
            np.einsum("cij,cnj->cni", dynamics.F[:, t], xu)
            + dynamics.f[:, None, t]
            + noise(dynamics.cov[:, t], dx)
        )
    return x, u


def mean_action_cost(dynamics, cost, x0):
    """Returns H (C, Tdu, Tdu), g (C, Tdu), const (C,) of 1/2 U'HU + g'U + const, the noiseless cost
    of actions U.
    """
    C, T, dx, n = dynamics.F.shape
    du = n - dx
    out = []
    for c in range(C):
        H, g, const = np.zeros((T * du, T * du)), np.zeros(T * du), 0.0
        M, m = np.zeros((dx, T * du)), x0.mean[c]  # x_t = M U + m
        for t in range(T + 1):
            E = np.zeros((du, T * du))
            if t < T:
                E[:, t * du : (t + 1) * du] = np.eye(du)
            Z, z = np.vstack([M, E]), np.concatenate([m, np.zeros(du)])
            Ct, ct = cost.C[c, t].copy(), cost.c[c, t].copy()
            if t == T:
                Ct[dx:], Ct[:, dx:], ct[dx:] = 0, 0, 0
            H, g = H + Z.T @ Ct @ Z, g + Z.T @ (Ct @ z + ct)
            const += 0.5 * z @ Ct @ z + ct @ z + cost.const[c, t]
            if t < T:
                M, m = dynamics.F[c, t] @ Z, dynamics.F[c, t] @ z + dynamics.f[c, t]
        out.append((H, g, const))
    return tuple(np.array(a) for a in zip(*out, strict=True))


def local_of(controller, x, u, cost=0.0, used=None, **fields):
    """Returns a Local around these episodes."""
    C, N, T = u.shape[:3]
    used = np.ones((C, N, T)) if used is None else used
    cost = np.broadcast_to(np.asarray(cost, dtype=float), (C,))
    return LocalData(controller, x, u, x, used, cost, np.ones(C), *np.zeros((4, C)))._replace(
        **fields
    )
