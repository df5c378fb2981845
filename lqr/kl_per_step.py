"""KL-constrained LQR with a bound at each time step: E_x KL( p(u_t|x) || anchor(u_t|x) ) <= epsilon_t for every t.

One multiplier per step. The divergence of a step depends mostly on its own multiplier, falling with a slope between -1
and -2 in logarithms, so all of them take a Newton step at once with the slope each has shown so far (a secant).
"""

import numpy as np

from .batching import with_batch
from .errors import NumericalError
from .kl_constrained import positive
from .lagrangian import Best, KLResult, prepare
from .types import Array, Gaussian, LinearGaussianController, LinearGaussianDynamics, QuadraticCost


def minimise_cost_within_kl_per_step(
    anchor: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    x0: Gaussian,
    epsilon: float | Array,
    temperature: float | Array = 0.0,
    eta: float | Array = 1.0,
    tolerance: float = 1e-3,
    max_passes: int = 200,
) -> KLResult:
    """Returns the controller that minimises the expected cost within epsilon_t nats of the anchor at every step.

    `epsilon` is a number or (..., T), and so is the first guess `eta`. In the result `eta` is (..., T) and `kl` the sum
    over steps. Every bound is kept always; `converged` says that each is met within `tolerance`, or does not bind.
    Raises InputError for epsilon <= 0, NumericalError where no multipliers tried keep the bounds.
    """
    p = prepare(anchor, dynamics, cost, x0, temperature)
    B, T = p.tau.shape
    bound = positive("epsilon", np.broadcast_to(epsilon, (*p.lead, T)), p.lead, 1)
    log_eta = np.log(with_batch(np.broadcast_to(np.asarray(eta, dtype=float), (*p.lead, T)), p.lead, 1))
    best, passes = Best(p), np.zeros(B, int)
    active, converged = np.ones(B, bool), np.zeros(B, bool)
    slope, before = np.full((B, T), 1.5), np.full((2, B, T), np.nan)
    raised, reach, safe = np.ones(B), np.full(B, 3.0), np.full((B, T), np.nan)  # safe: had a minimum
    todo, weight = np.arange(B), np.zeros((B, T))
    while len(todo) and passes.max() < max_passes:
        at = log_eta[todo]
        weight[todo] = np.exp(at)
        kl = p.solve(todo, weight)
        passes[todo] += 1
        failed = np.isinf(kl).any(-1)
        gap = np.log(np.maximum(kl, 1e-300)) - np.log(bound[todo] * (1 - 0.5 * tolerance))
        good = np.all(kl <= bound[todo], axis=-1)
        best.keep(todo[good], weight)
        lowest = np.where(p.tau[todo] > 0, np.log(np.maximum(p.tau[todo], 1e-300)) - 16, -69.0)
        idle = at <= lowest + 2.0
        met = (kl >= bound[todo] * (1 - tolerance)) | idle
        active[todo[good]] = ~idle[good].all(-1)
        converged[todo[good]] = met[good].all(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            seen = -(gap - before[1, todo]) / (at - before[0, todo])
        usable = np.isfinite(seen) & (abs(at - before[0, todo]) > 1e-9)
        slope[todo] = np.where(usable, np.clip(seen, 0.7, 4.0), slope[todo])
        before[0, todo], before[1, todo] = at, np.where(failed[:, None], np.nan, gap)
        wide, bad = reach[todo, None], todo[failed]
        change = np.clip(np.where(failed[:, None], 0.0, gap) / slope[todo], -wide, wide)
        back = 0.5 * (safe[bad] - at[failed])  # halfway to what had a minimum, or further up where nothing had yet
        change[failed] = np.where(np.isnan(back), raised[bad, None], back)
        raised[bad], reach[bad] = 2 * raised[bad], 0.5 * reach[bad]
        reach[todo[~failed]] = np.minimum(1.5 * reach[todo[~failed]], 3.0)
        safe[todo[~failed]] = at[~failed]
        log_eta[todo] = np.clip(at + change, lowest, 69.0)
        todo = todo[~(good & met.all(-1))]
    for b in np.flatnonzero(np.isnan(best.kl)):  # never feasible at once: one common factor makes it so
        for factor in (0.01, 0.1, 1.0, 3.0, 10.0):
            weight[b] = np.exp(log_eta[b] + factor)
            kl = p.solve(np.array([b]), weight)
            passes[b] += 1
            good = np.all(kl <= bound[[b]], axis=-1)
            if good.all():
                best.keep(np.array([b]), weight)
                break
        else:
            raise NumericalError(
                f"no multipliers tried keep KL within {bound[b].min():.3g} nats of the anchor in problem {b}; "
                "raise epsilon or the anchor's covariance, or make the cost convex first"
            )
    return best.result(active, converged, passes, per_step=True)
