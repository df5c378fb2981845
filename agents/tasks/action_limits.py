"""What limits of actions mean: which are none, and the action to begin with."""

import numpy as np

from ..interfaces import Array

UNLIMITED = 1e15  # a limit as far as this is none


def bounded(low: Array, high: Array) -> Array:
    """Returns which actions have limits on both sides, (du,) bool; one that is too far is none."""
    return (np.abs(low) < UNLIMITED) & (np.abs(high) < UNLIMITED)


def resting(low: Array, high: Array) -> Array:
    """Returns the action to begin with, (du,): 0 where the limits allow it, else their middle, or 1
    inside the only one.
    """
    low, high = (np.where(np.abs(a) < UNLIMITED, a, np.copysign(np.inf, a)) for a in (low, high))
    with np.errstate(invalid="ignore"):
        inside = np.where(np.isfinite(high), 0.5 * (low + high), low + 1.0)
    inside = np.where(np.isfinite(low), inside, high - 1.0)
    return np.where((low <= 0) & (high >= 0), 0.0, inside)


def action_unit(low: Array, high: Array, seen: Array | None = None) -> Array:
    """Returns the unit of each action, (du,): half its range; where it has no limits, or none to
    choose, the size of the actions that were seen (..., du), or 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        half = 0.5 * (high - low)
    size = np.zeros(len(low)) if seen is None else np.sqrt((seen**2).reshape(-1, len(low)).mean(0))
    size = np.where(size > 0, size, 1.0)
    return np.where(bounded(low, high) & (low < high), half, size)
