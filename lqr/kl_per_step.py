"""KL-constrained LQR with a bound at each time step: E_x KL( p(u_t|x) || anchor(u_t|x) ) <=
epsilon_t for every t.

One multiplier per step. The divergence of a step depends mostly on its own multiplier, falling with
a slope between -1 and -2 in logarithms, but in a cost that is not convex all of them hang together.
So Broyden's method (1965) solves log KL_t = log epsilon_t for all log eta_t at once, from that
slope on.
"""

import numpy as np

from .batching import positive, share, whole
from .errors import NumericalError
from .kl_constrained import TYPICAL_SLOPE
from .lagrangian import Best, KLResult, prepare
from .types import Array, Gaussian, LinearGaussianController, LinearGaussianDynamics, QuadraticCost

LOWEST, HIGHEST = -69.0, 69.0  # of log eta
FAINT = 1e-13  # nats; a smaller divergence is rounding, from which no slope is learned


def minimise_cost_within_kl_per_step(
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    anchor: LinearGaussianController,
    x0: Gaussian,
    epsilon: float | Array,
    temperature: float | Array = 0.0,
    eta: float | Array = 1.0,
    tolerance: float = 1e-3,
    max_passes: int = 200,
) -> KLResult:
    """Returns the controller that minimises the expected cost within epsilon_t nats of the anchor
    at every step.

    `epsilon` is a number or (..., T), and so is the first guess `eta`. In the result `eta` is (...,
    T) and `kl` the sum over steps. Every bound is kept always; `converged` says that each is met
    within `tolerance`, or does not bind. Raises InputError for epsilon <= 0 or eta <= 0,
    NumericalError where no multipliers tried keep the bounds.
    """
    tolerance, max_passes = share("tolerance", tolerance), whole("max_passes", max_passes, 1)
    p = prepare(dynamics, cost, anchor, x0, temperature)
    B, T = p.tau.shape
    bound = positive("epsilon", epsilon, p.lead, (T,))
    guess = positive("eta", eta, p.lead, (T,))
    searches = [Multipliers(guess[b], bound[b], p.tau[b], tolerance) for b in range(B)]
    best, weight, passes = Best(p), np.ones((B, T)), np.zeros(B, int)
    todo = np.arange(B)
    while len(todo) and passes.max() < max_passes:
        for b in todo:
            weight[b] = np.exp(searches[b].at)
        kl = p.solve(todo, weight)
        passes[todo] += 1
        better = [searches[b].report(row) for b, row in zip(todo, kl, strict=True)]
        best.keep(todo[better], weight)
        todo = todo[[not searches[b].done for b in todo]]
    for b in np.flatnonzero(
        np.isnan(best.kl)
    ):  # never feasible at once: one common factor makes it so
        for factor in (0.01, 0.1, 1.0, 3.0, 10.0):
            weight[b] = np.exp(searches[b].at + factor)
            passes[b] += 1
            if searches[b].report(p.solve(np.array([b]), weight)[0]):
                best.keep(np.array([b]), weight)
                break
        else:
            raise NumericalError(
                f"no multipliers tried keep KL within {bound[b].min():.3g} nats of the anchor in problem {b}; "
                "raise epsilon or the anchor's covariance, or make the cost convex first"
            )
    active, converged = (
        np.array([getattr(s, name) for s in searches]) for name in ("active", "done")
    )
    return best.result(active, converged, passes, per_step=True)


class Multipliers:
    """Finds the log etas of one problem at which every step's divergence is just below its
    bound.
    """

    def __init__(self, eta: Array, bound: Array, tau: Array, tolerance: float) -> None:
        self.lowest = np.where(
            tau > 0, np.log(np.maximum(tau, 1e-300)) - 16, LOWEST
        )  # as good as zero
        self.at = np.clip(np.log(eta), self.lowest, HIGHEST)
        self.bound, self.tolerance = bound, tolerance
        self.target = np.log(bound * (1 - 0.5 * tolerance))
        self.least = np.minimum(FAINT, 1e-3 * bound)
        self.base, self.gap = (
            self.at,
            np.full(len(bound), np.nan),
        )  # where it stands, and log KL - target there
        self.inverse = -np.eye(len(bound)) / TYPICAL_SLOPE  # of the Jacobian of the gap
        self.floor = np.where(
            tau > 0, self.lowest + 12, self.lowest
        )  # below it a step that may fall further is dropped
        self.bounced = np.zeros(len(bound), bool)  # had to be taken up again
        self.reach = 3.0
        self.lift = 1.0
        self.retries = 0
        self.score = np.inf
        self.done, self.active = False, True

    def report(self, kl: Array) -> bool:
        """Takes the divergences found at `at`, moves on, and says whether they keep the bounds best
        so far.
        """
        if np.isinf(kl).any():
            if np.isnan(self.gap).any():  # nothing had a minimum yet
                self.at, self.lift = np.minimum(self.at + self.lift, HIGHEST), 2 * self.lift
            else:
                self._retreat()
            return False
        gap = np.log(np.maximum(kl, self.least)) - self.target
        idle = (self.at <= self.lowest) & (gap < 0)
        self.bounced |= (self.at <= self.lowest) & (gap > 0)
        good = bool((kl <= self.bound).all())
        score = float(np.where(idle, 0.0, abs(gap)).max())
        better = good and score < self.score
        if better:
            self.score, self.active = score, not idle.all()
            self.done = bool((idle | (kl >= self.bound * (1 - self.tolerance))).all())
        self._learn(gap)
        if score > 2 * self._standing() and self.retries < 3:
            self._retreat()
        else:
            self._advance(gap, idle)
        return better

    def _standing(self) -> float:
        gap = np.where((self.base <= self.lowest) & (self.gap < 0), 0.0, abs(self.gap))
        return np.inf if np.isnan(gap).any() else float(gap.max())

    def _learn(self, gap: Array) -> None:
        """Broyden's update of the inverse Jacobian, from the move since `base`."""
        faint = np.log(self.least) - self.target
        free = (
            (self.at > self.lowest) & (self.base > self.lowest) & (gap > faint) & (self.gap > faint)
        )
        move, change = np.where(free, self.at - self.base, 0.0), np.where(free, gap - self.gap, 0.0)
        if np.isnan(change).any() or not move.any():
            return
        back = self.inverse @ change
        curvature = move @ back
        if abs(curvature) > 1e-8 * np.linalg.norm(move) * np.linalg.norm(back):
            self.inverse += np.outer(move - back, move @ self.inverse) / curvature

    def _retreat(self) -> None:
        self.at, self.reach = 0.5 * (self.at + self.base), 0.5 * self.reach
        self.retries += 1

    def _advance(self, gap: Array, idle: Array) -> None:
        step = -self.inverse @ np.where(idle, 0.0, gap)
        wrong = ~idle & (
            step * gap < 0
        )  # a larger multiplier lowers the divergence of its own step
        if not np.isfinite(step).all() or wrong.mean() > 0.5:
            self.inverse = -np.eye(len(gap)) / TYPICAL_SLOPE
            step = gap / TYPICAL_SLOPE
        step[idle] = 0.0
        step *= min(1.0, self.reach / max(abs(step).max(), 1e-300))
        self.base, self.gap, self.retries = self.at, gap, 0
        self.reach = min(1.5 * self.reach, 8.0)
        taken = (self.at <= self.lowest) & (gap > 0) & (self.floor > self.lowest)
        at = np.clip(self.at + step, self.lowest, HIGHEST)
        at[(at < self.floor) & (gap < 0) & ~self.bounced] = LOWEST
        self.at = np.maximum(np.where(taken, self.floor, at), self.lowest)
