"""What policies check of what they are given: sizes, and numbers that are finite."""

from typing import Any

import numpy as np

from dynamics.numbers import count
from lqr import InputError
from lqr.batching import numbers

from ..interfaces import Array


def checked(o: Array, size: int | None, what: str) -> Array:
    """Returns what a policy is to act on, (..., size), as an array of float64. One observation may
    have an environment's own shape, such as (frames, size of a frame).

    Raises InputError for another size, for what are no numbers, and for numbers that are not finite,
    by their places.
    """
    o = _as_numbers(o, what)
    if o.ndim > 1 and o.size == size != o.shape[-1]:
        o = o.reshape(size)
    if o.ndim == 0 or size not in (None, o.shape[-1]):
        raise InputError(f"the {what} has shape {o.shape}; expected ({size},)")
    if not np.isfinite(o).all():
        odd = ", ".join(str(i) for i in np.unique(np.nonzero(~np.isfinite(o))[-1])[:5])
        raise InputError(
            f"the {what} has numbers that are not finite, at index {odd}; expected finite numbers: "
            "did a sensor fail, or the simulation diverge?"
        )
    return o


def checked_rows(o: Array, size: int | None, what: str) -> Array:
    """Returns the same as rows (B, size), one for a single observation. Raises InputError."""
    rows = np.atleast_2d(checked(o, size, what))
    if rows.ndim > 2:
        raise InputError(f"the {what} has shape {rows.shape}; expected ({size},), or rows of them")
    return rows


def _as_numbers(o: Any, what: str) -> Array:
    try:
        found = np.asarray(o)
        if found.dtype.kind not in "fiubO":
            raise TypeError(f"dtype {found.dtype}")
        return found.astype(float, copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the {what} is no array of numbers ({error}); expected them") from error


def sizes(do: Any, du: Any, hidden: Any) -> tuple[int, int, tuple[int, ...]]:
    """Returns the numbers of observations and actions, and of units of the hidden layers. Raises
    InputError, which names them, for what are no whole numbers, 1 or more.
    """
    if not isinstance(hidden, tuple | list | np.ndarray):
        raise InputError(f"hidden is {hidden!r}; expected several whole numbers, such as (64, 64)")
    return count("do", do), count("du", du), tuple(count("each of hidden", one) for one in hidden)


def limits(low: Array | float, high: Array | float, du: int) -> tuple[Array, Array]:
    """Returns limits of actions as arrays (du,) of float64; NaN is 0, and what is infinite the
    largest number.

    Raises InputError for another number of them.
    """
    found = []
    for name, value in (("low", low), ("high", high)):
        a = np.nan_to_num(_numbers(name, value))
        if a.shape not in ((), (1,), (du,)):
            raise InputError(f"{name} has shape {a.shape}; expected ({du},) or a number")
        found.append(np.broadcast_to(a, (du,)))
    return found[0], found[1]


def spread(std: Array | float, du: int) -> Array:
    """Returns standard deviations as an array (du,) of float64. Raises InputError for what is
    none.
    """
    a = _numbers("std", std)
    if a.shape not in ((), (1,), (du,)) or not (np.isfinite(a).all() and (a >= 0).all()):
        raise InputError(
            f"std is {std!r}; expected {du} finite numbers, 0 or above, or one of them"
        )
    return np.broadcast_to(a, (du,)).copy()


def _numbers(name: str, value: Any) -> Array:
    if np.asarray(value).dtype.kind == "b":
        raise InputError(f"{name} is {value!r}; expected numbers")
    return numbers(name, value)
