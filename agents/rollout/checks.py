"""What a task answers in episodes, checked: shapes, types, and numbers that are finite."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lqr import GPSError, InputError, SimulationError
from lqr.user_functions import described, guarded

from ..interfaces import Array, Task


def checked_cost(task: Task, x: Array, u: Array) -> Array:
    """Returns task.cost(x, u) of states (N, T+1, dx) and actions (N, T, du), which it may read and
    not change.

    Raises InputError if its shape or type is wrong, an entry is not finite, it writes to its input,
    or what it says of the first episode changes when that is asked for alone.
    """
    x, u = x.view(), u.view()
    x.flags.writeable = u.flags.writeable = False
    cost = _cost(task, x, u)
    again = _cost(task, x[:1], u[:1])
    if not np.allclose(again, cost[:1], rtol=1e-6, atol=1e-9 * (1 + np.abs(cost[:1]).max())):
        raise InputError(
            f"the cost of {task.name} says {cost[:1].sum()} of an episode among others and {again.sum()} of it alone; "
            "expected a function of the episode: it must not remember, nor look across episodes"
        )
    return cost


def _cost(task: Task, x: Array, u: Array) -> Array:
    name = f"the cost of {task.name}"
    try:
        cost = np.asarray(guarded(name, task.cost, (ValueError,))(x, u))
    except ValueError as error:
        if isinstance(error, GPSError):
            raise
        if "read-only" not in str(error):
            raise InputError(
                f"{name} failed with {described(error)}; try that alone, in Python"
            ) from error
        raise InputError(
            f"the cost of {task.name} writes to its input ({error}); expected it to read only: let it work on a copy"
        ) from None
    expected = (*x.shape[:-2], task.horizon + 1)
    if cost.shape != expected or cost.dtype.kind not in "fiu":
        raise InputError(
            f"the cost of {task.name} has shape {cost.shape} and type {cost.dtype}; expected {expected}, real"
        )
    if not np.isfinite(cost).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(cost))[0])
        raise InputError(
            f"the cost of {task.name} is {cost[where]} at (episode, step) {where}; expected finite numbers"
        )
    return cost.astype(float)


def shaped(value: Array, shape: tuple[int, ...], what: str) -> Array:
    """Returns an array of that shape; raises SimulationError for another, lest it be broadcast in
    silence.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged, or a tensor that is no array
        array = np.array(None)
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise SimulationError(
            f"{what} gave shape {array.shape} of {array.dtype}; expected {shape}, real: return a row per episode"
        )
    return array


def named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function with errors that name it."""

    def call(*given: Any) -> Any:
        try:
            return function(*given)
        except (GPSError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            raise SimulationError(
                f"{name} failed with {described(error)}; try that alone, in Python"
            ) from error

    return call


def booleans(value: Array, N: int, what: str) -> Array:
    """Returns booleans (N,); raises SimulationError for what is neither True nor False, 0 nor 1."""
    found = shaped(value, (N,), what)
    if not ((found == 0) | (found == 1)).all():
        raise SimulationError(f"{what} gave {found}; expected True or False for each episode")
    return found.astype(bool)
