"""KL-constrained LQR: the best controller within a trust region around another one.

    minimise  E_p [ cost ] - sum_t tau_t H(p(u_t | x_t))    subject to   KL(p || anchor) <= epsilon

with the divergence of the whole trajectory (`kl_per_step` bounds that of each step). For a multiplier eta the
minimiser is maximum-entropy LQR on cost - eta log anchor with temperature tau + eta, and its divergence falls as eta
grows (Levine & Abbeel 2014, section 3), so eta is found by a bracketed secant of log KL against log eta; a multiplier
that leaves a problem without a minimum bounds it from below.
"""

from typing import NamedTuple

import numpy as np

from .batching import flatten, restore, with_batch
from .divergence import expand_log_density, inverse
from .errors import InputError, NumericalError
from .jit import kernel
from .passes import backward_flat, forward_flat, outputs, temperatures
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

    `epsilon` (...,) is in nats per trajectory, `temperature` weighs the entropy (a number or (..., T)), `eta` is a
    first guess. The result is feasible always, and within `tolerance` (relative) of epsilon where the constraint binds.
    Raises InputError for epsilon <= 0, NumericalError where no eta in range gives a positive definite problem.
    """
    p = prepare(anchor, dynamics, cost, x0, temperature)
    B, T = p.tau.shape
    bound = positive("epsilon", epsilon, p.lead)
    target = bound * (1 - 0.5 * tolerance)
    log_eta = np.log(positive("eta", eta, p.lead)).clip(*LOG_ETA_RANGE)
    low, high = np.full(B, -np.inf), np.full(B, np.inf)  # KL too large at low, small enough at high
    gap_low, gap_high = np.full(B, np.inf), np.full(B, -np.inf)  # log KL - log target there
    step = np.full(B, 1.0)  # how far to go where there is no bracket yet; doubles
    side = np.zeros(B, int)  # which end of the bracket moved last, and how often in a row
    best = Best(p)
    active, passes = np.ones(B, bool), np.zeros(B, int)
    todo = np.arange(B)

    def attempt(ids: Array, weight: Array) -> Array:
        solution = solve(p, ids, np.repeat(weight[:, None], T, 1))
        passes[ids] += 1
        divergence = solution.kl.sum(-1)
        best.keep(ids, divergence <= bound[ids], solution, weight, divergence)
        return divergence

    free = np.flatnonzero((p.tau > 0).all(-1))
    if len(free):  # with entropy in the objective the constraint may not bind at all
        inside = attempt(free, np.zeros(len(free))) <= bound[free]
        active[free[inside]] = False
        todo = np.setdiff1d(todo, free[inside])
    while len(todo) and passes.max() < max_passes:
        at = log_eta[todo]
        divergence = attempt(todo, np.exp(at))
        gap = np.log(np.maximum(divergence, 1e-300)) - np.log(target[todo])
        above = divergence > bound[todo]
        up, down = todo[above], todo[~above]
        low[up], gap_low[up], high[down], gap_high[down] = at[above], gap[above], at[~above], gap[~above]
        side[up], side[down] = np.maximum(side[up], 0) + 1, np.minimum(side[down], 0) - 1
        active[down[at[~above] <= LOG_ETA_RANGE[0]]] = False
        done = ~above & ((divergence >= bound[todo] * (1 - tolerance)) | (at <= LOG_ETA_RANGE[0]))
        done |= (high[todo] - low[todo] < 1e-13 * np.maximum(1.0, abs(at))) | (above & (at >= LOG_ETA_RANGE[1]))
        todo = todo[~done]
        log_eta[todo] = _next(low[todo], high[todo], gap_low[todo], gap_high[todo], step[todo], side[todo])
        step[todo] *= 2

    missing = np.isnan(best.kl)
    if missing.any():
        b = int(np.argmax(missing))
        raise NumericalError(
            f"no eta up to {np.exp(low[b]):.1e} keeps KL within {bound[b]:.3g} nats of the anchor (problem {b}); "
            "raise epsilon, the anchor's covariance or max_passes, or make the cost convex first"
        )
    converged = ~active | (best.kl >= bound * (1 - tolerance))
    return best.result(active, converged, passes)


LOG_ETA_RANGE = (np.log(1e-30), np.log(1e30))


def _next(low: Array, high: Array, gap_low: Array, gap_high: Array, step: Array, side: Array) -> Array:
    """Returns the next log eta: without a bracket by the slope, near -2, times `step`; a secant inside it."""
    finite_low = np.isfinite(gap_low)
    rise = np.where(finite_low, np.clip(0.6 * np.where(finite_low, gap_low, 0.0), 0.05, 4.0), 2.0) * step
    fall = np.clip(-0.6 * np.where(np.isinf(high), 0.0, gap_high), 0.05, 4.0) * step
    bracket = np.isfinite(low) & np.isfinite(high)
    share = np.full(low.shape, 0.5)
    sure = bracket & finite_low
    a, b = gap_low[sure], gap_high[sure]
    halve = 0.5 ** np.maximum(abs(side[sure]) - 1, 0)  # Illinois: an end that stays too long loses weight
    a, b = np.where(side[sure] < 0, a * halve, a), np.where(side[sure] > 0, b * halve, b)
    share[sure] = np.clip(a / (a - b), 1e-4, 1 - 1e-4)
    width = np.where(bracket, high - np.where(bracket, low, 0.0), 0.0)
    inside = np.where(bracket, low, 0.0) + share * width
    out = np.where(bracket, inside, np.where(np.isinf(high), low + rise, high - fall))
    return np.clip(out, *LOG_ETA_RANGE)


class Problem(NamedTuple):
    """A batch of problems with one batch axis, and the anchor in the forms that the dual needs."""

    lead: tuple[int, ...]
    fields: tuple[Array, ...]  # K, k of the anchor; F, f, cov; C, c, const; mean, cov of x0
    pull: QuadraticCost  # -log anchor
    precision: Array  # (B, T, du, du)
    logdet: Array  # (B, T), of the anchor's covariance
    tau: Array  # (B, T)
    scratch: tuple[Array, ...]  # room for C and c of the Lagrangian, V, v, const and the failed steps of its value


class Solution(NamedTuple):
    """What one multiplier gives; KL is infinite where the problem has no minimum."""

    arrays: tuple[Array, ...]  # K, k, cov, and mean, cov of xu
    kl: Array  # (b, T)


def prepare(
    anchor: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    x0: Gaussian,
    temperature: float | Array,
) -> Problem:
    """Returns the problem in flat form, after checking it."""
    lead, ((K, k, S), ours, costs, start) = flatten(anchor, dynamics, cost, x0)
    tau = temperatures(temperature, lead, k.shape[1])
    precision, logdet = inverse(S)
    pull = expand_log_density(LinearGaussianController(K, k, S), precision, logdet)
    B, T, _, dx = K.shape
    value = np.empty((B, T + 1, dx, dx)), np.empty((B, T + 1, dx)), np.empty((B, T + 1)), np.empty(B, int)
    scratch = (np.empty_like(costs[0]), np.empty_like(costs[1]), *value)
    return Problem(lead, (K, k, *ours, *costs, *start), pull, precision, logdet, tau, scratch)


def solve(p: Problem, ids: Array, eta: Array) -> Solution:
    """Returns the minimisers of cost - sum eta_t log anchor_t for the problems `ids`, eta (b, T)."""
    whole = len(ids) == len(p.tau)
    Ka, ka, F, f, W, C, c, const, m0, P0, pull_C, pull_c, precision, logdet, tau = (
        a if whole else a[ids] for a in (*p.fields, p.pull.C, p.pull.c, p.precision, p.logdet, p.tau)
    )
    surrogate, linear, *value = (a[: len(ids)] for a in p.scratch)
    _add_scaled(C, pull_C, eta, surrogate)
    _add_scaled(c[..., None], pull_c[..., None], eta, linear[..., None])
    out = (*outputs(len(ids), tau.shape[1], Ka.shape[3], Ka.shape[2]), *value)
    K, k, S, _, _, _, failed = backward_flat(F, f, W, surrogate, linear, const, tau + eta, out)
    for array in (K, k, S):
        array[failed >= 0] = 0.0
    mean, cov = forward_flat(K, k, S, F, f, W, m0, P0)
    kl = np.empty(tau.shape)
    _divergence(K, k, S, Ka, ka, precision, logdet, mean, cov, kl)
    kl[failed >= 0] = np.inf
    return Solution((K, k, S, mean, cov), np.where(np.isnan(kl), np.inf, kl))


class Best:
    """Collects, for each problem, the last solution that kept its bound."""

    def __init__(self, p: Problem):
        (B, T, du, dx), n = p.fields[0].shape, p.fields[2].shape[-1]
        shapes = (T, du, dx), (T, du), (T, du, du), (T + 1, n), (T + 1, n, n)
        self.lead, self.arrays = p.lead, [np.zeros((B, *shape)) for shape in shapes]
        self.kl, self.eta = np.full(B, np.nan), np.full(B, np.nan)

    def keep(self, ids: Array, good: Array, solution: Solution, eta: Array, kl: Array) -> None:
        if len(ids) == len(self.kl) and good.all():
            self.arrays = list(solution.arrays)
            self.eta, self.kl = eta.copy(), kl.copy()
            return
        for mine, new in zip(self.arrays, solution.arrays, strict=True):
            mine[ids[good]] = new[good]
        if self.eta.shape[1:] != eta.shape[1:]:
            self.eta = np.full((len(self.kl), *eta.shape[1:]), np.nan)
        self.eta[ids[good]], self.kl[ids[good]] = eta[good], kl[good]

    def result(self, active: Array, converged: Array, passes: Array) -> KLResult:
        K, k, S, mean, cov = restore(self.lead, *self.arrays)
        rest = restore(self.lead, self.eta, self.kl, active, converged, passes)
        return KLResult(LinearGaussianController(K, k, S), TrajectoryDistribution(mean, cov), *rest)


def positive(name: str, value: float | Array, lead: tuple[int, ...], core: int = 0) -> Array:
    """Returns the argument with one batch axis. Raises InputError unless every number is finite and above 0."""
    flat = with_batch(np.asarray(value, dtype=float), lead, core)
    if not (np.isfinite(flat) & (flat > 0)).all():
        where = tuple(int(i) for i in np.argwhere(~(np.isfinite(flat) & (flat > 0)))[0])
        raise InputError(f"{name} is {flat[where]} at index {where}; expected finite numbers above 0")
    return flat


@kernel
def _add_scaled(A, D, eta, out):
    """Writes A + eta_t D for every step before the last, and A itself there."""
    B, S, p, q = A.shape
    for b in range(B):
        for t in range(S):
            weight = eta[b, t] if t + 1 < S else 0.0
            for i in range(p):
                for j in range(q):
                    out[b, t, i, j] = A[b, t, i, j] + weight * D[b, t, i, j]


@kernel
def _divergence(K, k, S, Ka, ka, P, logdet, mean, cov, kl):
    """Writes E_x KL( new(u|x) || anchor(u|x) ) per step, from the anchor's precision P and log-determinant."""
    B, T, du, dx = K.shape
    D, DP, L = np.empty((du, dx)), np.empty((du, dx)), np.empty((du, du))
    gap = np.empty(du)
    for b in range(B):
        for t in range(T):
            total = logdet[b, t] - du
            for i in range(du):
                gap[i] = k[b, t, i] - ka[b, t, i]
                for j in range(dx):
                    D[i, j] = K[b, t, i, j] - Ka[b, t, i, j]
                    gap[i] += D[i, j] * mean[b, t, j]
                    DP[i, j] = 0.0
                for m in range(dx):
                    for j in range(dx):
                        DP[i, j] += D[i, m] * cov[b, t, m, j]
            for i in range(du):
                for j in range(i + 1):
                    a = S[b, t, i, j] + gap[i] * gap[j]
                    for m in range(dx):
                        a += DP[i, m] * D[j, m]
                    total += a * P[b, t, i, j] * (1.0 if i == j else 2.0)
            for j in range(du):
                for i in range(j, du):
                    a = S[b, t, i, j]
                    for m in range(j):
                        a -= L[i, m] * L[j, m]
                    if i == j:
                        L[j, j] = np.sqrt(a) if a > 0 else np.nan
                        total -= 2 * np.log(L[j, j])
                    else:
                        L[i, j] = a / L[j, j]
            kl[b, t] = max(0.5 * total, 0.0) if total == total else np.nan
