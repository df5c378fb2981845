"""KL-constrained LQR: the best controller within a trust region around another one.

    minimise  E_p [ cost ] - sum_t tau_t H(p(u_t | x_t))    subject to   KL(p || anchor) <= epsilon

with the divergence of the whole trajectory (`kl_per_step` bounds that of each step). For a
multiplier eta the minimiser is maximum-entropy LQR on cost - eta log anchor with temperature tau +
eta, and its divergence falls as eta grows (Levine & Abbeel 2014, section 3), so eta is found by a
bracketed interpolation of log eta over log KL; a multiplier that leaves a problem without a minimum
bounds it from below.
"""

import math

import numpy as np

from .batching import positive, share, whole
from .errors import NumericalError
from .lagrangian import Best, KLResult, prepare
from .types import Array, Gaussian, LinearGaussianController, LinearGaussianDynamics, QuadraticCost

LOG_ETA_RANGE = (math.log(1e-30), math.log(1e30))
TYPICAL_SLOPE = 1.6  # log KL falls with log eta by 1 (far from the anchor) to 2 (near to it)


def minimise_cost_within_kl(
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    anchor: LinearGaussianController,
    x0: Gaussian,
    epsilon: float | Array,
    temperature: float | Array = 0.0,
    eta: float | Array = 1.0,
    tolerance: float = 1e-3,
    max_passes: int = 60,
) -> KLResult:
    """Returns the controller that minimises the expected cost within epsilon nats of the anchor.

    `epsilon` (...,) is in nats per trajectory, `temperature` weighs the entropy (a number or (...,
    T)), `eta` is a first guess. The result is feasible always, up to the rounding of its divergence
    (about 1e-16 times the condition of the anchor's covariances), and within `tolerance` (relative)
    of epsilon where the constraint binds. Raises InputError for epsilon <= 0, NumericalError where
    no eta in range gives a positive definite problem.
    """
    tolerance, max_passes = share("tolerance", tolerance), whole("max_passes", max_passes, 1)
    p = prepare(dynamics, cost, anchor, x0, temperature)
    B = len(p.tau)
    bound, guess = positive("epsilon", epsilon, p.lead), positive("eta", eta, p.lead)
    searches = [Search(float(guess[b]), float(bound[b]), tolerance) for b in range(B)]
    best, weight = Best(p), np.zeros(p.tau.shape)
    active, passes = np.ones(B, bool), np.zeros(B, int)

    def attempt(todo: Array) -> Array:
        divergence = p.solve(todo, weight).sum(-1)
        passes[todo] += 1
        best.keep(todo[divergence <= bound[todo]], weight)
        return divergence

    todo = np.arange(B)
    free = np.flatnonzero((p.tau > 0).all(-1))
    if len(free):  # with entropy in the objective the constraint may not bind at all
        inside = attempt(free) <= bound[free]
        active[free[inside]] = False
        todo = np.setdiff1d(todo, free[inside])
    while len(todo) and passes.max() < max_passes:
        for b in todo:
            weight[b] = math.exp(searches[b].at)
        for b, divergence in zip(todo, attempt(todo), strict=True):
            searches[b].report(float(divergence))
        todo = todo[[not searches[b].done for b in todo]]

    if np.isnan(best.kl).any():
        lost = int(np.isnan(best.kl).argmax())
        raise NumericalError(
            f"no eta up to {math.exp(searches[lost].low):.1e} keeps KL within {bound[lost]:.3g} nats of the anchor "
            f"(problem {lost}); raise epsilon, the anchor's covariance or max_passes, or make the cost convex first"
        )
    active &= [not search.idle for search in searches]
    converged = ~active | (best.kl >= bound * (1 - tolerance))
    return best.result(active, converged, passes, per_step=False)


class Search:
    """Finds the log eta of one problem where log KL is just below that of its bound."""

    def __init__(self, eta: float, bound: float, tolerance: float) -> None:
        self.at = min(max(math.log(eta), LOG_ETA_RANGE[0]), LOG_ETA_RANGE[1])
        self.bound, self.tolerance = bound, tolerance
        self.target = math.log(bound) + math.log1p(-0.5 * tolerance)
        self.low, self.high = -math.inf, math.inf  # KL too large at low, small enough at high
        self.points: list[tuple[float, float]] = []  # log eta and log KL - target, the last three
        self.least, self.reach, self.widths = (
            0.05,
            4.0,
            [math.inf] * 3,
        )  # moves while there is no bracket
        self.done = self.idle = False

    def report(self, kl: float) -> None:
        """Takes the divergence found at `at`, infinite where there was no minimum, and moves on."""
        at, above = self.at, not kl <= self.bound
        if above:
            self.low = at
        else:
            self.high = at
        self.idle = not above and at <= LOG_ETA_RANGE[0]
        self.done = self.idle or (not above and kl >= self.bound * (1 - self.tolerance))
        self.done |= self.high - self.low < 1e-13 * max(1.0, abs(at)) or (
            above and at >= LOG_ETA_RANGE[1]
        )
        if math.isfinite(kl):
            self.points = [*self.points[-2:], (at, math.log(max(kl, 1e-300)) - self.target)]
        if not self.done:
            self.at = min(
                max(self._next(above, math.isfinite(kl)), LOG_ETA_RANGE[0]), LOG_ETA_RANGE[1]
            )

    def _next(self, above: bool, solved: bool) -> float:
        guess = interpolate(self.points) if self.points else math.nan
        if math.isinf(self.low) or math.isinf(self.high):  # no bracket yet
            move = guess - self.at if solved else 0.5 * self.reach
            move = min(max(move if above else -move, self.least), self.reach)
            self.least, self.reach = (
                2 * self.least,
                2 * self.reach,
            )  # far from the anchor log KL is almost flat
            return self.at + move if above else self.at - move
        width = self.high - self.low
        self.widths = [*self.widths[1:], width]
        if self.low < guess < self.high and width < 0.5 * self.widths[0]:
            return guess
        return 0.5 * (self.low + self.high)


def interpolate(points: list[tuple[float, float]]) -> float:
    """Returns where the gap is zero: x as a polynomial of the gap through one, two or three points
    (x, gap).
    """
    x, gap = points[-1]
    slope = -TYPICAL_SLOPE
    if len(points) > 1:
        before, gap_before = points[-2]
        slope = (gap - gap_before) / (x - before) if x != before else slope
        slope = slope if -8.0 < slope < -0.01 else -TYPICAL_SLOPE
    straight = x - gap / slope
    if len(points) < 3 or len({g for _, g in points}) < 3:
        return straight
    (a, p), (b, q), (c, r) = points
    bent = (
        a * q * r / ((p - q) * (p - r))
        + b * p * r / ((q - p) * (q - r))
        + c * p * q / ((r - p) * (r - q))
    )
    return bent if abs(bent - x) <= 2 * abs(straight - x) else straight
