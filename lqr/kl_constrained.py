"""KL-constrained LQR: the best controller within a trust region around another one.

    minimise  E_p [ cost ] - sum_t tau_t H(p(u_t | x_t))    subject to   KL(p || anchor) <= epsilon

with the divergence of the whole trajectory. For a multiplier eta the minimiser is maximum-entropy LQR on
cost - eta log anchor with temperature tau + eta, and its divergence falls as eta grows (Levine & Abbeel 2014,
section 3), so eta is found by bracketing log KL against log eta.
"""

from typing import NamedTuple

import numpy as np

from .batching import flatten, restore, with_batch
from .divergence import kl_divergence, negative_log_density
from .errors import InputError, NumericalError
from .passes import backward_flat, forward_flat, temperatures
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


def minimise_cost_within_kl(
    anchor: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    x0: Gaussian,
    epsilon: float | Array,
    temperature: float | Array = 0.0,
    eta: float | Array = 1.0,
    tolerance: float = 1e-3,
    max_passes: int = 60,
) -> KLResult:
    """Returns the controller that minimises the expected cost within epsilon nats of the anchor.

    `epsilon` (...,) is in nats per trajectory, `temperature` weighs the entropy (a number or (..., T)), `eta` is a first
    guess. The result is feasible always, and within `tolerance` (relative) of epsilon where the constraint binds.
    Raises InputError for epsilon <= 0, NumericalError where no eta in range gives a positive definite problem.
    """
    lead, ((Ka, ka, Sa), (F, f, W), (C, c, const), (m0, P0)) = flatten(anchor, dynamics, cost, x0)
    B, T, dx, _ = F.shape
    old = LinearGaussianController(Ka, ka, Sa)
    bound = with_batch(np.asarray(epsilon, dtype=float), lead, 0)
    if not (np.isfinite(bound) & (bound > 0)).all():
        raise InputError(f"epsilon is {bound.min()} nats; expected a finite number above 0")
    tau = temperatures(temperature, lead, T)
    pull = negative_log_density(old)
    log_eta = np.log(with_batch(np.asarray(eta, dtype=float), lead, 0)).clip(*LOG_ETA_RANGE)

    low, high = np.full(B, -np.inf), np.full(B, np.inf)  # KL too large at low, small enough at high
    gap_low, gap_high = np.full(B, np.inf), np.full(B, -np.inf)  # log KL - log target there
    target = bound * (1 - 0.5 * tolerance)
    best: dict[str, Array] = {}
    kl, found, active = np.full(B, np.nan), np.full(B, np.nan), np.ones(B, bool)
    passes = np.zeros(B, int)
    todo = np.arange(B)

    def attempt(ids: Array, weight: Array) -> Array:
        """Solves the problems `ids` with multipliers `weight`; keeps those that are feasible and returns every KL."""
        e = weight[:, None]
        K, k, S, _, _, _, failed = backward_flat(
            F[ids], f[ids], W[ids], C[ids] + e[..., None, None] * pull.C[ids], c[ids] + e[..., None] * pull.c[ids],
            const[ids], tau[ids] + e,
        )  # fmt: skip
        divergence = np.full(len(ids), np.inf)
        good = np.flatnonzero(failed < 0)
        if len(good):
            at = ids[good]
            new = LinearGaussianController(K[good], k[good], S[good])
            mean, cov = forward_flat(*new, F[at], f[at], W[at], m0[at], P0[at])
            of_old = LinearGaussianController(Ka[at], ka[at], Sa[at])
            total = kl_divergence(new, of_old, TrajectoryDistribution(mean, cov)).sum(-1)
            divergence[good] = np.where(np.isfinite(total), np.maximum(total, 0.0), np.inf)
            keep = divergence[good] <= bound[at]
            for name, value in {"K": K, "k": k, "S": S}.items():
                best.setdefault(name, np.empty((B, *value.shape[1:])))[at[keep]] = value[good][keep]
            for name, value in {"mean": mean, "cov": cov}.items():
                best.setdefault(name, np.empty((B, *value.shape[1:])))[at[keep]] = value[keep]
            kl[at[keep]], found[at[keep]] = divergence[good][keep], weight[good][keep]
        passes[ids] += 1
        return divergence

    free = np.flatnonzero((tau > 0).all(-1))
    if len(free):  # with entropy in the objective the constraint may not bind at all
        inside = attempt(free, np.zeros(len(free))) <= bound[free]
        active[free[inside]] = False
        todo = np.setdiff1d(todo, free[inside])

    for _ in range(max_passes):
        if not len(todo):
            break
        at = log_eta[todo]
        divergence = attempt(todo, np.exp(at))
        with np.errstate(divide="ignore"):
            gap = np.log(divergence) - np.log(target[todo])
        above = divergence > bound[todo]
        low[todo[above]], gap_low[todo[above]] = at[above], gap[above]
        high[todo[~above]], gap_high[todo[~above]] = at[~above], gap[~above]
        done = ~above & (divergence >= bound[todo] * (1 - tolerance))
        done |= (high[todo] - low[todo] < 1e-12) | (~above & (at <= LOG_ETA_RANGE[0]))
        todo = todo[~done]
        log_eta[todo] = _next(low[todo], high[todo], gap_low[todo], gap_high[todo])
        if (low[todo] >= LOG_ETA_RANGE[1]).any():
            break

    if np.isnan(found).any():
        b = int(np.argmax(np.isnan(found)))
        raise NumericalError(
            f"no eta up to {np.exp(LOG_ETA_RANGE[1]):.0e} keeps KL within {bound[b]:.3g} nats of the anchor (problem {b}); "
            "is the anchor's covariance singular, or the cost far from convex?"
        )
    converged = ~active | (kl >= bound * (1 - tolerance))
    K, k, S, mean, cov, found, kl, active, converged, passes = restore(
        lead, best["K"], best["k"], best["S"], best["mean"], best["cov"], found, kl, active, converged, passes
    )
    return KLResult(
        LinearGaussianController(K, k, S), TrajectoryDistribution(mean, cov), found, kl, active, converged, passes
    )


LOG_ETA_RANGE = (np.log(1e-12), np.log(1e16))


def _next(low: Array, high: Array, gap_low: Array, gap_high: Array) -> Array:
    """Returns the next log eta: grow the bracket by the slope -2 of log KL in log eta, else interpolate inside it."""
    out = np.empty_like(low)
    no_high, no_low = np.isinf(high), np.isinf(low)
    step_up = np.where(np.isfinite(gap_low), np.clip(0.6 * gap_low, 0.3, 4.0), 2.0)
    step_down = np.where(np.isfinite(gap_high), np.clip(-0.6 * gap_high, 0.3, 4.0), 4.0)
    both = ~no_high & ~no_low
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(gap_low) & np.isfinite(gap_high), gap_low / (gap_low - gap_high), 0.5)
        inside = low + np.clip(share, 0.02, 0.98) * (high - low)
    out[both] = inside[both]
    out[no_high] = (low + step_up)[no_high]
    out[no_low & ~no_high] = (high - step_down)[no_low & ~no_high]
    return np.clip(out, *LOG_ETA_RANGE)
