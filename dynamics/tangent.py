"""Tangent coordinates of states on a manifold, about a reference trajectory of each condition.

With d_t = x_t (-) reference_t, trajectories, models, costs and controllers are those of ordinary
vectors, and nothing that works on them need know of the manifold. What is global, the prior, sees
tangent coordinates about one fixed state, with the change of state taken in the tangent space of
the state itself, and is carried over to first order.
"""

from typing import Any

import numpy as np

from lqr import LinearGaussianController, QuadraticCost

from .asking import prior_at
from .capabilities import manifold_of
from .manifold import Array, Manifold
from .normal_inverse_wishart import NormalInverseWishart, Prior

RIDGE = 1e-6  # least variance of a prior, relative to that of each coordinate


class Chart:
    """A manifold with a reference trajectory of each condition, origin (C, T+1, size)."""

    def __init__(self, manifold: Manifold, origin: Array):
        self.manifold, self.origin = manifold, origin

    def to_tangent(self, x: Array) -> Array:
        """Returns the tangent coordinates (C, N, T+1, dim) of states x (C, N, T+1, size), or of
        fewer steps.
        """
        return self.manifold.difference(x, self.origin[:, None, : x.shape[2]])

    def from_tangent(self, d: Array) -> Array:
        """Returns the states (C, N, T+1, size) at the tangent coordinates d (C, N, T+1, dim)."""
        return self.manifold.retract(self.origin[:, None], d)

    def tangent_at(self, x: Array, t: int, rows: Any = slice(None)) -> Array:
        """Returns the tangent coordinates (..., dim) at step t of states x (..., size), of the
        conditions `rows`.
        """
        return self.manifold.difference(x, self.origin[rows, t])

    def retracted(self, d: Array) -> "Chart":
        """Returns the chart about the states at the tangent coordinates d (C, T+1, dim)."""
        return Chart(self.manifold, self.manifold.retract(self.origin, d))

    def express(
        self, controller: LinearGaussianController, into: "Chart"
    ) -> LinearGaussianController:
        """Returns the controllers in the coordinates of another chart, to first order about its
        reference.

        Between references that are less than half a turn apart, nothing is lost on angles and real
        numbers.
        """
        here, there = self.origin[:, :-1], into.origin[:, :-1]
        offset = self.manifold.difference(there, here)
        K = controller.K @ self.manifold.jacobian(there, here)
        return controller._replace(K=K, k=controller.k + (controller.K @ offset[..., None])[..., 0])

    def cost(self, cost: QuadraticCost, x: Array, u: Array) -> QuadraticCost:
        """Returns expansions at states x (C, N, T+1, size), u (C, N, T, du) in the coordinates [d;
        u], d of x.

        Value and slope are exact. The Hessian is that along the geodesics from x, so it is exact
        where x is on the reference; elsewhere the chart's own curvature, which grows with the
        distance from there, is left out.
        """
        d, size, dim = self.to_tangent(x), self.manifold.size, self.manifold.dim
        xu = _stack(x, u)
        slope = (cost.C @ xu[..., None])[..., 0] + cost.c
        value = cost.const + 0.5 * ((slope + cost.c) * xu).sum(-1)
        J = self.manifold.jacobian(x, self.origin[:, None])
        P = np.zeros((*xu.shape, xu.shape[-1] - size + dim))  # of [x; u] by [d; u]
        P[..., :size, :dim] = np.swapaxes(
            np.linalg.solve(
                np.swapaxes(J, -1, -2), np.swapaxes(self.manifold.embedding(x), -1, -2)
            ),
            -1,
            -2,
        )
        P[..., size:, dim:] = np.eye(xu.shape[-1] - size)
        C = np.swapaxes(P, -1, -2) @ cost.C @ P
        bend = self.manifold.curvature(x, slope[..., :size])  # in tangent vectors at x
        C[..., :dim, :dim] += np.linalg.solve(np.swapaxes(J, -1, -2), bend) @ np.linalg.inv(J)
        slope, du = (np.swapaxes(P, -1, -2) @ slope[..., None])[..., 0], _stack(d, u)
        c = slope - (C @ du[..., None])[..., 0]
        return QuadraticCost(C, c, value - 0.5 * ((slope + c) * du).sum(-1))

    def transitions(self, x: Array, u: Array, xnext: Array) -> tuple[Array, Array, Array]:
        """Returns transitions of states (..., size) as a prior sees them: about one fixed state,
        (..., dim).
        """
        about = self.manifold.difference(x, self.manifold.zero)
        return about, u, about + self.manifold.difference(xnext, x)

    def state_distribution(self, mean: Array, cov: Array) -> tuple[Array, Array]:
        """Returns mean (C, T+1, n) and covariance of [d; u] as those of [x; u], to first order."""
        size, dim = self.manifold.size, self.manifold.dim
        x = self.manifold.retract(self.origin, mean[..., :dim])
        P = np.zeros((*mean.shape[:-1], mean.shape[-1] - dim + size, mean.shape[-1]))
        P[..., :size, :dim] = self.manifold.embedding(x) @ np.linalg.inv(
            self.manifold.jacobian(x, self.origin)
        )
        P[..., size:, dim:] = np.eye(mean.shape[-1] - dim)
        return np.concatenate([x, mean[..., dim:]], -1), P @ cov @ np.swapaxes(P, -1, -2)


class InChart:
    """A prior that knows states about one fixed state, asked about the tangent coordinates of a
    chart.
    """

    careful = True  # it writes to nothing that it gets; see `asking`

    def __init__(self, prior: Prior, chart: Chart):
        self.prior, self.chart = prior, chart

    def at(self, d: Array, u: Array, dnext: Array) -> NormalInverseWishart:
        """Returns the prior over [d; u; d' - d] of each step, from the samples there, (C, T, N,
        .).
        """
        M, now, after = self.chart.manifold, self.chart.origin[:, :-1], self.chart.origin[:, 1:]
        middle, push, end = d.mean(2), u.mean(2), dnext.mean(2)
        x, xnext = M.retract(now, middle), M.retract(after, end)
        change = M.difference(M.retract(after[:, :, None], dnext), M.retract(now[:, :, None], d))
        about = M.difference(x, M.zero)
        turn = M.jacobian(x, M.zero) @ np.linalg.inv(
            M.jacobian(x, now)
        )  # of what the prior sees, by d
        g = about[:, :, None] + (d - middle[:, :, None]) @ np.swapaxes(
            turn, -1, -2
        )  # does not wrap between samples
        guess = prior_at(self.prior, g, u, g + change)
        spread = np.concatenate([g, u, change], -1).var(
            (0, 1, 2)
        )  # about the reference, the fit sees less of it
        Phi = guess.Phi + guess.n0[..., None, None] * np.diag(RIDGE * np.maximum(spread, 1e-12))
        A = np.zeros(Phi.shape)
        dim, n = M.dim, M.dim + u.shape[-1]
        D, E = np.linalg.inv(turn), M.jacobian(xnext, after) @ np.linalg.inv(M.jacobian(xnext, x))
        A[..., :dim, :dim], A[..., dim:n, dim:n], A[..., n:, n:] = D, np.eye(n - dim), E
        A[..., n:, :dim] = E @ M.jacobian(x, xnext) @ np.linalg.inv(M.jacobian(x, M.zero)) - D
        gap = guess.mean - np.concatenate([about, push, change.mean(2)], -1)
        mean = np.concatenate([middle, push, end - middle], -1) + (A @ gap[..., None])[..., 0]
        return guess._replace(mean=mean, Phi=A @ Phi @ np.swapaxes(A, -1, -2))


def chart_of(task: Any) -> Chart | None:
    """Returns a chart about the zero of the manifold that a task declares, None where its states
    are plain vectors.
    """
    manifold = manifold_of(task)
    if manifold is None:
        return None
    return Chart(manifold, np.tile(manifold.zero, (task.conditions, task.horizon + 1, 1)))


def _stack(x: Array, u: Array) -> Array:
    """Returns [x; u] of each step; there is no action at the last."""
    return np.concatenate([x, np.concatenate([u, np.zeros_like(u[..., :1, :])], -2)], -1)
