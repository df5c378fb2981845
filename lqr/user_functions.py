"""A user's functions, called with care.

What one gives is an array of real numbers of the shape that is asked for, and is copied, so that a
buffer that is used again changes nothing. What goes wrong, an exit of the program too, is an
InputError that names the function, and says what to do.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import GPSError, InputError
from .types import Array, QuadraticCost

MOST = 400  # letters of somebody else's error: a compiler's fill pages


def guarded(
    name: str, function: Callable[..., Any], passed: tuple[type[Exception], ...] = ()
) -> Callable[..., Any]:
    """Returns the function with errors, but those `passed` on, that name it."""

    def call(*given: Any) -> Any:
        try:
            return function(*given)
        except (*passed, GPSError, MemoryError):  # type: ignore[misc]
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{name} failed with {described(error)}; try that alone, in Python"
            ) from error

    return call


def described(error: BaseException) -> str:
    """Returns what an error in somebody else's code says, in one line, of MOST letters at most."""
    words = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split()) or "no message"
    return f"{type(error).__name__}: {words if len(words) <= MOST else words[:MOST] + ' ...'}"


def real(
    name: str, found: Any, shape: tuple[int, ...], finite: bool = False, exact: bool = False
) -> Array:
    """Returns what a user's function gave as a new array of float64. Raises InputError, which names
    it, for another shape or kind; with `finite`, for NaN or infinity; and with `exact`, for what
    has not the digits of float64, of which differences are to be taken.
    """
    try:
        given = np.asarray(found)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged, or a tensor that is no array
        raise InputError(f"{name} gave a {type(found).__name__}; {_wanted(shape)}") from error
    if given.dtype.kind not in "fiub":
        what = "None" if found is None else f"a {type(found).__name__} of {given.dtype}"
        raise InputError(f"{name} gave {what}; {_wanted(shape)}")
    if given.shape != shape:
        raise InputError(f"{name} gave shape {given.shape}; {_wanted(shape)}")
    if exact and given.dtype.itemsize * (given.dtype.kind == "f") < 8:
        raise InputError(
            f"{name} gave {given.dtype}, whose differences are no derivatives; expected float64: compute in that, "
            "or give the derivatives too"
        )
    if finite and not np.isfinite(given).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(given))[0])
        raise InputError(f"{name} gave {given[place]} at index {place}; expected finite numbers")
    return np.array(given, dtype=float)


def _wanted(shape: tuple[int, ...]) -> str:
    return f"expected real numbers of shape {shape}: return such an array"


class GuardedCost:
    """A user's cost of trajectories, which gets copies. NaN is a value, and no derivative."""

    def __init__(self, cost: Any, name: str = "cost"):
        self.cost, self.name = cost, name

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        name = f"{self.name}(X, U)"
        return real(name, guarded(name, self.cost)(X.copy(), U.copy()), np.shape(X)[:-1])

    def expand(self, X: Array, U: Array, rows: Any = True) -> QuadraticCost:
        """Returns the second-order expansion; where `rows` (...) is False it may be anything."""
        name, n = f"{self.name}.expand(X, U)", np.shape(X)[-1] + np.shape(U)[-1]
        found = guarded(name, self.cost.expand)(X.copy(), U.copy())
        if not isinstance(found, QuadraticCost):
            raise InputError(
                f"{name} gave a {type(found).__name__}; expected a QuadraticCost(C, c, const)"
            )
        lead = np.shape(X)[:-1]
        shapes = {"C": (*lead, n, n), "c": (*lead, n), "const": lead}
        terms = [real(f"{name}.{part}", getattr(found, part), shapes[part]) for part in shapes]
        counted = np.broadcast_to(rows, lead[:-1])
        for part, a in zip(shapes, terms, strict=True):
            if not np.isfinite(a[counted]).all():
                raise InputError(
                    f"{name}.{part} gave numbers that are not finite; expected derivatives everywhere: take "
                    "sqrt(1e-5 + s) for a distance, where s is its square"
                )
        return QuadraticCost(*terms)
