"""The trust-region test: is the new controller accepted, and how large is the next step?"""

import numpy as np

from lqr import LinearGaussianController

from .local_data import LocalData

Array = np.ndarray


def trust_region_test(
    old: LocalData | None,
    new: LocalData,
    largest: float = 30.0,
    slack: float = 1.5,
    shrink: float = 0.3,
    accept_all: bool = False,
) -> tuple[LocalData, Array, Array]:
    """Returns the data to go on from, which conditions accept the new controller, (C,) bool, and
    the actual improvement, (C,).

    A controller is rejected when its actual improvement is less than the predicted one by more than
    `slack` times the size of that prediction (plus two hundredths of the cost's variation, which no
    constant in the cost changes). The old controller
    and its episodes are then kept, and the step is multiplied by `shrink`. Otherwise the step grows
    or shrinks as Levine, Finn et al. (2016), appendix, propose: with the improvement modelled as
    linear prediction minus quadratic error, the best step is predicted / (2 error). The multiplier
    never exceeds `largest`. Episodes that all diverged are rejected, and whatever follows such
    episodes is accepted. With `accept_all` all other episodes are accepted.
    """
    if old is None:
        return new, np.ones(len(new.cost), bool), np.zeros(len(new.cost))
    lost = ~new.used.any((1, 2))  # every episode diverged now
    had = old.used.any((1, 2))  # not every one did before
    actual = np.where(had & ~lost, old.cost - new.cost, 0.0)
    error = old.predicted - actual
    allowed = slack * np.abs(old.predicted) + 0.02 * old.variation
    accepted = ((error <= allowed) | ~had | accept_all) & ~lost
    promised = np.abs(old.predicted)
    least = np.maximum(1e-4 * old.variation, 1e-3 * promised)
    best = promised / np.maximum(2 * np.maximum(error, least), np.finfo(float).tiny)
    growth = np.where(had, np.clip(best, 0.3, 3.0), 1.0)
    multiplier = old.multiplier * np.where(accepted, growth, shrink)
    merged = old._replace(
        controller=select_controllers(accepted, new.controller, old.controller),
        x=select(accepted, new.x, old.x),
        u=select(accepted, new.u, old.u),
        o=select(accepted, new.o, old.o),
        used=select(accepted, new.used, old.used),
        cost=select(accepted, new.cost, old.cost),
        baseline=select(accepted, new.baseline, old.baseline),
        variation=select(accepted, new.variation, old.variation),
        multiplier=np.clip(multiplier, 0.01, largest),
        predicted=np.zeros(len(actual)),
    )
    return merged, accepted, actual


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
