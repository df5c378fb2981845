"""The trust-region test: is the new controller accepted, and how large is the next step?"""

import numpy as np
from scipy.special import stdtrit

from lqr import LinearGaussianController

from .local_data import LocalData

Array = np.ndarray
CONFIDENCE = 0.95  # with which a controller must be worse than predicted before it is rejected


def trust_region_test(
    old: LocalData | None,
    new: LocalData,
    slack: float = 1.5,
    shrink: float = 0.3,
    accept_all: bool = False,
) -> tuple[LocalData, Array, Array, Array]:
    """Returns the data to go on from, which conditions accept the new controller, (C,) bool, the
    actual improvement, (C,), and the factor on the next step, (C,).

    A controller is rejected when its actual improvement is less than the predicted one by more than
    `slack` times the size of that prediction, plus two hundredths of the cost's variation (which no
    constant in the cost changes), plus what chance explains: the episodes are noisy, so a mean over
    few of them may be low or high by luck; see `chance`. The old controller and its episodes are
    then kept, and the step is multiplied by `shrink`. Otherwise the step grows or shrinks as Levine,
    Finn et al. (2016), appendix, propose: with the improvement modelled as linear prediction minus
    quadratic error, the best step is predicted / (2 error). Of the error only the part that is no
    noise counts, error^3 / (error^2 + noise^2), and no step shrinks for an error of less than a
    ten-thousandth of the cost's variation. Where nothing was predicted, as of a flat cost,
    nothing is known of the step, which stays. Episodes that all diverged are rejected, and
    whatever follows such episodes is accepted. With `accept_all` all other episodes are accepted.
    """
    if old is None:
        one = np.ones(len(new.cost))
        return new, one > 0, 0 * one, one
    lost = ~new.used.any((1, 2))  # every episode diverged now
    had = old.used.any((1, 2))  # not every one did before
    actual = np.where(had & ~lost, old.cost - new.cost, 0.0)
    error = old.predicted - actual
    promised = np.abs(old.predicted)
    allowed = slack * promised + 0.02 * old.variation + chance(old, new)
    accepted = ((error <= allowed) | ~had | accept_all) & ~lost
    tiny = np.finfo(float).tiny
    luck = np.hypot(old.error, new.error)
    noise = luck / np.maximum(np.maximum(np.abs(error), 1e-9 * luck), tiny)
    floor = 1e-4 * old.variation  # a smaller error is none
    wrong = np.maximum(error / (1 + noise**2), np.maximum(floor, 1e-3 * promised))
    best = promised / np.maximum(2 * wrong, tiny)
    best = np.where(wrong > floor, best, np.maximum(best, 1.0))  # of a tiny promise that was kept
    growth = np.where(had & (promised > 0), np.clip(best, 0.3, 3.0), 1.0)
    merged = old._replace(
        controller=select_controllers(accepted, new.controller, old.controller),
        x=select(accepted, new.x, old.x),
        u=select(accepted, new.u, old.u),
        o=select(accepted, new.o, old.o),
        used=select(accepted, new.used, old.used),
        cost=select(accepted, new.cost, old.cost),
        baseline=select(accepted, new.baseline, old.baseline),
        variation=select(accepted, new.variation, old.variation),
        error=select(accepted, new.error, old.error),
        predicted=np.zeros(len(actual)),
    )
    return merged, accepted, actual, np.where(accepted, growth, shrink)


def chance(old: LocalData, new: LocalData) -> Array:
    """Returns by how much the mean costs of two sets of episodes may differ by chance, (C,): the
    one-sided bound of a t test, at `CONFIDENCE`; 0 where there is one episode each.
    """
    free = old.used.any(-1).sum(1) + new.used.any(-1).sum(1) - 2
    quantile = stdtrit(np.maximum(free, 1), CONFIDENCE)
    return np.where(free > 0, quantile, 0.0) * np.hypot(old.error, new.error)


def select(accepted: Array, new: Array, old: Array) -> Array:
    """Returns `new` (C, ...) for the conditions where `accepted` (C,) is True, and `old` for the
    others.
    """
    return np.where(accepted.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def select_controllers(
    accepted: Array, new: LinearGaussianController, old: LinearGaussianController
) -> LinearGaussianController:
    """Returns the new controllers for the conditions where `accepted` (C,) is True, and the old
    ones for the others.
    """
    pairs = zip(new, old, strict=True)
    return LinearGaussianController(*(select(accepted, a, b) for a, b in pairs))
