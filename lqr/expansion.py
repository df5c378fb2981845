"""What all costs along a trajectory share: their protocol, ramps over time, expansions in xu, and
their convex part.

X (..., T+1, dx) and U (..., T, du) are the trajectory; there is no action at step T.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .batching import finite, number, numbers, of_kind, symmetric
from .errors import InputError
from .types import Array, QuadraticCost

RAMPS: dict[str, Callable[[Array], Array]] = {  # of s = t/T in [0, 1]
    "constant": np.ones_like,
    "linear": lambda s: s,
    "quadratic": lambda s: s**2,
    "final": lambda s: (s == 1.0).astype(float),
}


class Cost(Protocol):
    """What every cost term offers, and what a user's own cost needs."""

    def __call__(self, X: Array, U: Array) -> Array: ...

    def expand(self, X: Array, U: Array) -> QuadraticCost: ...


def known_ramp(ramp: str | Any) -> str | Array:
    """Returns the ramp's word, or its weights as float64. Raises InputError for another word, or
    bad weights.
    """
    if not isinstance(ramp, str):
        return finite("ramp", ramp)
    if ramp not in RAMPS:
        raise InputError(
            f"ramp is {ramp!r}; expected one of {', '.join(RAMPS)}, or an array of T+1 weights"
        )
    return ramp


def ramp_weights(ramp: str | Any, T: int) -> Array:
    """Returns the weight of each of the steps 0..T, (..., T+1). Raises InputError for an unknown
    ramp.
    """
    known = known_ramp(ramp)
    if isinstance(known, str):
        return RAMPS[known](np.linspace(0.0, 1.0, T + 1))
    if known.shape[-1:] != (T + 1,):
        raise InputError(
            f"ramp has shape {known.shape}; expected {T + 1} finite weights, one for each step 0..T"
        )
    return known


def pair(X: Any, U: Any) -> tuple[Array, Array]:
    """Returns the trajectory as float64. Raises InputError where the shapes do not fit."""
    X, U = numbers("X", X), numbers("U", U)
    if X.ndim < 2 or U.ndim < 2 or X.shape[-2] != U.shape[-2] + 1 or X.shape[:-2] != U.shape[:-2]:
        raise InputError(
            f"X has shape {X.shape} and U {U.shape}; expected (..., T+1, dx) and (..., T, du)"
        )
    return X, U


def stack(X: Array, U: Array) -> Array:
    """Returns xu (..., T+1, n), whose actions at step T are zero. Raises InputError where the
    shapes do not fit.
    """
    X, U = pair(X, U)
    xu = np.zeros((*X.shape[:-1], X.shape[-1] + U.shape[-1]))
    xu[..., : X.shape[-1]] = X
    xu[..., :-1, X.shape[-1] :] = U
    return xu


def absolute(value: Array, g: Array, H: Array, xu: Array) -> QuadraticCost:
    """Returns the expansion in xu itself, from value (..., T+1), gradient g and Hessian H at xu
    (..., T+1, n): what `expand` of a cost of your own returns.

    Raises InputError for shapes that do not fit. Numbers are not looked at: a cost may be infinite.
    """
    value, g, H, xu = (
        numbers(name, a) for name, a in (("value", value), ("g", g), ("H", H), ("xu", xu))
    )
    n = xu.shape[-1:]
    if g.shape[-1:] != n or H.shape[-2:] != n * 2 or value.shape != np.shape(xu)[:-1]:
        raise InputError(
            f"value has shape {value.shape}, g {g.shape}, H {H.shape}, xu {xu.shape}; expected (..., T+1), "
            "(..., T+1, n), (..., T+1, n, n) and (..., T+1, n)"
        )
    c = g - (H @ xu[..., None])[..., 0]
    return QuadraticCost(H, c, value - 0.5 * np.einsum("...i,...i->...", g + c, xu))


def _around(around: Any, C: Array) -> Array:
    """Returns the trajectory (X, U) as xu (..., T+1, n)."""
    if hasattr(around, "_fields") or not isinstance(around, tuple | list) or len(around) != 2:
        raise InputError(f"around is a {type(around).__name__}; expected a trajectory (X, U)")
    xu = stack(*around)
    if xu.shape[-1] != C.shape[-1] or xu.shape[-2] not in (1, *C.shape[-3:-2]):
        raise InputError(
            f"around is xu of shape {xu.shape}; expected (..., T+1, n) as cost.C, {C.shape}, has them"
        )
    return xu


def make_convex(cost: QuadraticCost, floor: float = 0.0, around: Any = None) -> QuadraticCost:
    """Returns the cost with every eigenvalue of C raised to at least `floor` (the nearest such C).

    `around` is a trajectory (X, U) at which value and gradient shall stay as they were; without it,
    that is xu = 0. Raises InputError for entries that are not finite numbers.
    """
    of_kind("cost", cost, QuadraticCost)
    floor = number("floor", floor, -math.inf)
    C, c, const = (finite(f"cost.{name}", a) for name, a in zip(cost._fields, cost, strict=True))
    C = symmetric("cost.C", C)
    if c.shape[-1:] != C.shape[-1:]:
        raise InputError(f"cost.c has shape {c.shape}; expected (..., {C.shape[-1]}) as in cost.C")
    raised = _raised(C, floor)
    if around is not None:
        xu = _around(around, C)
        shift = ((raised - C) @ xu[..., None])[..., 0]
        c, const = c - shift, const + 0.5 * np.einsum("...i,...i->...", shift, xu)
    return QuadraticCost(raised, c, const)


def _raised(C: Array, floor: float) -> Array:
    """Returns the nearest matrices (..., n, n) to symmetric ones whose eigenvalues are at least
    `floor`; those of a diagonal matrix stand on its diagonal.
    """
    diagonal, places = np.diagonal(C, axis1=-2, axis2=-1), range(C.shape[-1])
    if np.count_nonzero(C) == np.count_nonzero(diagonal):
        raised = C.copy()
        raised[..., places, places] = np.fmax(diagonal, floor)
        return raised
    values: Array
    values, vectors = np.linalg.eigh(0.5 * (C + np.swapaxes(C, -1, -2)))
    raised = (vectors * np.fmax(values, floor)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return np.where(
        np.all(values >= floor, axis=-1, keepdims=True)[..., None],
        C,
        0.5 * (raised + np.swapaxes(raised, -1, -2)),
    )
