"""The Lagrangian of KL-constrained LQR: for given multipliers it is maximum-entropy LQR around the
anchor.
"""

from typing import NamedTuple

import numpy as np

from .batching import flatten, restore, temperatures
from .divergence import expand_log_density, inverse
from .kernels.jit import kernel
from .passes import backward_flat, divergence_flat, forward_flat, room
from .types import (
    Array,
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    TrajectoryDistribution,
)


class KLResult(NamedTuple):
    """What `minimise_cost_within_kl` found; every array has the leading axes of the problem."""

    controller: LinearGaussianController
    distribution: TrajectoryDistribution  # marginals of that controller under the dynamics given
    eta: Array  # the multiplier of the KL constraint
    kl: Array  # nats per trajectory, never above epsilon
    active: Array  # bool: does the constraint bind?
    converged: Array  # bool: is KL within the tolerance of epsilon (or the constraint inactive)?
    passes: Array  # int: backward-forward passes spent


class Problem:
    """A batch of problems with one batch axis, the anchor in the forms that the dual needs, and
    room for solutions.
    """

    def __init__(
        self,
        lead: tuple[int, ...],
        anchor: LinearGaussianController,
        dynamics: tuple[Array, ...],
        cost: tuple[Array, ...],
        x0: tuple[Array, ...],
        tau: Array,
    ) -> None:
        self.lead = lead
        self.dynamics = dynamics
        self.cost = cost
        self.x0 = x0
        self.tau = tau
        precision, logdet = inverse(anchor.cov, "the anchor's cov")
        self.anchor = anchor.K, anchor.k, precision, logdet
        self.pull = expand_log_density(anchor, precision, logdet)[:2]
        B, T, du, dx = anchor.K.shape
        self.out = room(B, T, dx, du)
        self.augmented = np.empty_like(cost[0]), np.empty_like(cost[1]), np.empty((B, T))
        self.kl = np.empty((B, T))

    def solve(self, todo: Array, eta: Array) -> Array:
        """Returns the divergences (b, T) of the minimisers of cost - sum eta_t log anchor_t, for
        problems `todo`.

        `eta` is (B, T). The minimisers stay in `out`; the divergence is infinite where there is no
        minimum.
        """
        (F, f, W), (C, c, tau) = self.dynamics, self.augmented
        _augment(todo, *self.cost[:2], *self.pull, self.tau, eta, C, c, tau)
        failed = backward_flat(F, f, W, C, c, self.cost[2], tau, self.out, todo)[-1][todo] >= 0
        self.kl[todo[failed]] = np.inf
        divergence_flat(
            todo[~failed], self.out[:3], self.anchor, (*self.dynamics, *self.x0), self.kl
        )
        kl = self.kl[todo]
        kl[np.isnan(kl)] = np.inf
        return kl


def prepare(
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    anchor: LinearGaussianController,
    x0: Gaussian,
    temperature: float | Array,
) -> Problem:
    """Returns the problem in flat form, after checking it."""
    lead, (model, costs, old, start) = flatten(
        ("dynamics", "cost", "anchor", "x0"), dynamics, cost, anchor, x0
    )
    tau = temperatures(temperature, lead, old[1].shape[1])
    return Problem(
        lead, LinearGaussianController(*old), tuple(model), tuple(costs), tuple(start), tau
    )


class Best:
    """Collects, for each problem, the last solution that kept its bound."""

    def __init__(self, p: Problem) -> None:
        self.p, self.controller = p, [np.zeros_like(a) for a in p.out[:3]]
        self.eta, self.kl = np.full(p.tau.shape, np.nan), np.full(len(p.tau), np.nan)

    def keep(self, ids: Array, eta: Array) -> None:
        """Copies the solutions of the problems `ids` that `p.solve` left, found with eta (B, T)."""
        for mine, new in zip(self.controller, self.p.out, strict=False):
            mine[ids] = new[ids]
        self.eta[ids], self.kl[ids] = eta[ids], self.p.kl[ids].sum(-1)

    def result(self, active: Array, converged: Array, passes: Array, per_step: bool) -> KLResult:
        """Returns it all in the caller's shapes, with the marginals."""
        mean, cov = forward_flat(*self.controller, *self.p.dynamics, *self.p.x0)
        eta = self.eta if per_step else self.eta[:, 0]
        K, k, S, mean, cov = restore(self.p.lead, *self.controller, mean, cov)
        rest = restore(self.p.lead, eta, self.kl, active, converged, passes)
        return KLResult(LinearGaussianController(K, k, S), TrajectoryDistribution(mean, cov), *rest)


@kernel
def _augment(todo, C, c, D, d, tau, eta, C_out, c_out, tau_out):
    """Writes C + eta_t D, c + eta_t d and tau + eta; at the last step C and c themselves."""
    S, n = c.shape[1:]
    for b in todo:
        for t in range(S):
            weight = eta[b, t] if t + 1 < S else 0.0
            if t + 1 < S:
                tau_out[b, t] = tau[b, t] + weight
            for i in range(n):
                c_out[b, t, i] = c[b, t, i] + weight * d[b, t, i]
                for j in range(n):
                    C_out[b, t, i, j] = C[b, t, i, j] + weight * D[b, t, i, j]
