"""Receding horizon: plan, act once, shift the plan, plan again."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import InputError
from .ilqr import ILQRResult
from .types import Array


def shift(U: Array, steps: int = 1) -> Array:
    """Returns the plan (..., T, du) `steps` later, its last action repeated: the warm start of a receding horizon.

    Raises InputError if U has no steps, or `steps` is below 0.
    """
    U = np.asarray(U)
    if U.ndim < 2 or U.shape[-2] < 1 or steps < 0:
        raise InputError(f"U has shape {U.shape}, steps is {steps}; expected (..., T, du) with T > 0, and steps >= 0")
    return U[..., np.minimum(np.arange(U.shape[-2]) + steps, U.shape[-2] - 1), :]


def receding_horizon(
    plant: Callable[[Array, Array], Array], plan: Callable[[Array, Array], ILQRResult], x0: Any, U: Any, steps: int
) -> tuple[Array, Array]:
    """Returns the states (..., steps+1, dx) and actions (..., steps, du) of re-planning from the shifted last plan.

    plant(x (..., dx), u (..., du)) -> x' (..., dx). `plan(x, U)` is `ilqr` with all but its start fixed:
    lambda x, U: ilqr(dynamics, cost, x, U, max_iterations=5).
    """
    X, chosen, U = [np.asarray(x0, dtype=float)], [], np.asarray(U, dtype=float)
    for _ in range(steps):
        U = plan(X[-1], U).U
        chosen.append(U[..., 0, :])
        X.append(np.asarray(plant(X[-1], chosen[-1]), dtype=float))
        U = shift(U)
    empty = np.zeros((*U.shape[:-2], 0, U.shape[-1]))
    return np.stack(X, -2), np.stack(chosen, -2) if chosen else empty
