"""Cost terms that evaluate and expand themselves, exactly, along a trajectory.

A term is a frozen dataclass with two methods:

    term(X, U) -> cost (..., T+1)              X (..., T+1, dx), U (..., T, du)
    term.expand(X, U) -> QuadraticCost         equals the cost to second order at (X, U), in absolute coordinates xu

There is no action at step T, so whatever depends on u is zero there. Terms add up with `+`. A `ramp` weighs the steps:
"constant", "linear" (t/T), "quadratic" ((t/T)^2), "final" (step T only), or an array of T+1 weights. Norms are those of
Levine & Abbeel 2014 (section 5): quadratic far from the target for speed, sharp near it for accuracy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np

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


def ramp_weights(ramp: str | Any, T: int) -> Array:
    """Returns the weight of each of the steps 0..T, (..., T+1). Raises InputError for an unknown ramp."""
    if isinstance(ramp, str):
        if ramp not in RAMPS:
            raise InputError(f"ramp is {ramp!r}; expected one of {', '.join(RAMPS)}, or an array of T+1 weights")
        return RAMPS[ramp](np.linspace(0.0, 1.0, T + 1))
    weights = np.asarray(ramp, dtype=float)
    if weights.shape[-1:] != (T + 1,) or not np.isfinite(weights).all():
        raise InputError(f"ramp has shape {weights.shape}; expected {T + 1} finite weights, one for each step 0..T")
    return weights


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of several terms."""

    terms: tuple[Cost, ...]

    def __call__(self, X: Array, U: Array) -> Array:
        return sum((term(X, U) for term in self.terms), start=np.zeros(np.shape(X)[:-1]))

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        parts = [term.expand(X, U) for term in self.terms]
        return QuadraticCost(*(reduce(np.add, fields) for fields in zip(*parts, strict=True)))

    def __add__(self, other: Cost) -> "Sum":
        return _add(self, other)


def _add(a: Cost, b: Cost) -> Sum:
    """Returns a + b as one flat sum."""
    return Sum(tuple(t for term in (a, b) for t in (term.terms if isinstance(term, Sum) else (term,))))


@dataclass(frozen=True, eq=False)
class Quadratic:
    """ramp_t * (1/2 xu' C xu + c' xu + const), or of x alone where C is (dx, dx).

    C (n, n) or (dx, dx), c likewise, each with optional leading axes such as (T+1,); C counts by its symmetric part.
    """

    C: Any
    c: Any = 0.0
    const: Any = 0.0
    ramp: Any = "constant"
    __add__ = _add

    def __call__(self, X: Array, U: Array) -> Array:
        return self._derivatives(X, U)[0]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        return _absolute(self._derivatives(X, U), X, U)

    def _derivatives(self, X: Array, U: Array) -> tuple[Array, Array, Array]:
        xu, dx = stack(X, U), np.shape(X)[-1]
        C, c = np.asarray(self.C, dtype=float), np.asarray(self.c, dtype=float)
        d = C.shape[-1] if C.ndim >= 2 else 0
        if C.shape[-2:] != (d, d) or d not in (dx, xu.shape[-1]):
            raise InputError(
                f"C has shape {C.shape}; expected (..., n, n) or (..., dx, dx), n = {xu.shape[-1]}, dx = {dx}"
            )
        H, g = np.zeros((*xu.shape, xu.shape[-1])), np.zeros(xu.shape)
        H[..., :d, :d] = 0.5 * (C + np.swapaxes(C, -1, -2))
        H[..., -1, dx:, :] = H[..., -1, :, dx:] = 0.0
        g[..., :d] = c
        g[..., -1, dx:] = 0.0
        Hz = (H @ xu[..., None])[..., 0]
        value = np.einsum("...i,...i->...", 0.5 * Hz + g, xu) + self.const
        return _weighted(self.ramp, value, g + Hz, H)


@dataclass(frozen=True, eq=False)
class WeightedNorm:
    """ramp_t * (l2/2 s + l1 sqrt(alpha + s)) with s = sum_i weights_i (x_i - target_i)^2.

    weights (dx,), not negative; target (dx,), (T+1, dx) or (..., T+1, dx). Convex.
    """

    weights: Any
    l1: float = 0.0
    l2: float = 1.0
    alpha: float = 1e-5  # in units of s; its square root is the width of the sharp bottom
    target: Any = 0.0
    ramp: Any = "constant"
    __add__ = _add

    def __call__(self, X: Array, U: Array) -> Array:
        return self._derivatives(X, U)[0]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        return _absolute(self._derivatives(X, U), X, U)

    def _derivatives(self, X: Array, U: Array) -> tuple[Array, Array, Array]:
        s = _square(self.weights, self.target, X)[0]
        r = np.sqrt(self.alpha + s)
        slope, curvature = 0.5 * self.l2 + 0.5 * self.l1 / r, -0.25 * self.l1 / r**3
        value = 0.5 * self.l2 * s + self.l1 * r
        return _radial(self.weights, self.target, self.ramp, X, U, value, slope, curvature)


@dataclass(frozen=True, eq=False)
class Lorentzian:
    """ramp_t * (l2/2 s + l1/2 log(alpha + s)) with s = sum_i weights_i (x_i - target_i)^2.

    Shapes as in WeightedNorm. Not convex away from the target: see `make_convex`.
    """

    weights: Any
    l1: float = 1.0
    l2: float = 1.0
    alpha: float = 1e-5  # in units of s
    target: Any = 0.0
    ramp: Any = "constant"
    __add__ = _add

    def __call__(self, X: Array, U: Array) -> Array:
        return self._derivatives(X, U)[0]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        return _absolute(self._derivatives(X, U), X, U)

    def _derivatives(self, X: Array, U: Array) -> tuple[Array, Array, Array]:
        s = _square(self.weights, self.target, X)[0]
        a = self.alpha + s
        slope, curvature = 0.5 * self.l2 + 0.5 * self.l1 / a, -0.5 * self.l1 / a**2
        value = 0.5 * self.l2 * s + 0.5 * self.l1 * np.log(a)
        return _radial(self.weights, self.target, self.ramp, X, U, value, slope, curvature)


@dataclass(frozen=True, eq=False)
class Action:
    """ramp_t * 1/2 sum_i weights_i (u_i - target_i)^2; weights a number or (du,), target likewise or (..., T, du)."""

    weights: Any
    target: Any = 0.0
    ramp: Any = "constant"
    __add__ = _add

    def __call__(self, X: Array, U: Array) -> Array:
        return self._derivatives(X, U)[0]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        return _absolute(self._derivatives(X, U), X, U)

    def _derivatives(self, X: Array, U: Array) -> tuple[Array, Array, Array]:
        d = np.asarray(U, dtype=float) - self.target
        w = np.broadcast_to(np.asarray(self.weights, dtype=float), d.shape)
        return _weighted(self.ramp, *_separable(X, (0.5 * w * d**2, w * d, w), actions=True))


@dataclass(frozen=True, eq=False)
class StateLimits:
    """weight * sum_i of a smooth barrier that is zero inside [low + margin, high - margin] and quadratic outside.

    low, high (dx,) with infinities where there is no limit; margin > 0 in the units of x. See `barrier`.
    """

    low: Any
    high: Any
    weight: Any = 1.0
    margin: Any = 0.1
    ramp: Any = "constant"
    __add__ = _add

    def __call__(self, X: Array, U: Array) -> Array:
        return self._derivatives(X, U)[0]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        return _absolute(self._derivatives(X, U), X, U)

    def _derivatives(self, X: Array, U: Array) -> tuple[Array, Array, Array]:
        parts = (self.weight * p for p in barrier(np.asarray(X, dtype=float), self.low, self.high, self.margin))
        return _weighted(self.ramp, *_separable(U, parts, actions=False))


@dataclass(frozen=True, eq=False)
class ActionLimits:
    """The same barrier on actions: low, high (du,); margin > 0 in the units of u."""

    low: Any
    high: Any
    weight: Any = 1.0
    margin: Any = 0.1
    ramp: Any = "constant"
    __add__ = _add

    def __call__(self, X: Array, U: Array) -> Array:
        return self._derivatives(X, U)[0]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        return _absolute(self._derivatives(X, U), X, U)

    def _derivatives(self, X: Array, U: Array) -> tuple[Array, Array, Array]:
        parts = (self.weight * p for p in barrier(np.asarray(U, dtype=float), self.low, self.high, self.margin))
        return _weighted(self.ramp, *_separable(X, parts, actions=True))


def barrier(z: Array, low: Any, high: Any, margin: Any) -> tuple[Array, Array, Array]:
    """Returns value, slope and curvature of a twice continuously differentiable one-sided parabola on both sides.

    With e the depth beyond `high - margin` (or below `low + margin`): 0 for e <= 0, e^3 / (6 margin) up to the limit
    itself, and from there on the parabola e^2/2 - e margin/2 + margin^2/6, whose curvature is 1.
    """
    m = np.asarray(margin, dtype=float)
    if not np.all(m > 0) or not np.all(np.asarray(low) <= np.asarray(high)):
        raise InputError(f"got low {low}, high {high}, margin {margin}; expected low <= high and margin > 0")
    parts = []
    for side, limit in ((1.0, high), (-1.0, low)):
        e = np.maximum(side * (z - limit) + m, 0.0)
        near = np.minimum(e, m)
        far = e - near  # beyond the limit
        slope = 0.5 * near**2 / m + far
        parts.append((near**3 / (6 * m) + 0.5 * m * far + 0.5 * far**2, side * slope, near / m))
    (a, da, dda), (b, db, ddb) = parts
    return a + b, da + db, dda + ddb


def make_convex(cost: QuadraticCost, floor: float = 0.0, around: Any = None) -> QuadraticCost:
    """Returns the cost with every eigenvalue of C raised to at least `floor` (the nearest such C).

    `around` is a trajectory (X, U) at which value and gradient shall stay as they were; without it, that is xu = 0.
    """
    C, c, const = (np.asarray(a, dtype=float) for a in cost)
    values: Array
    values, vectors = np.linalg.eigh(0.5 * (C + np.swapaxes(C, -1, -2)))
    raised = (vectors * np.fmax(values, floor)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    raised = np.where(
        np.all(values >= floor, axis=-1, keepdims=True)[..., None], C, 0.5 * (raised + np.swapaxes(raised, -1, -2))
    )
    if around is not None:
        xu = stack(*around)
        shift = ((raised - C) @ xu[..., None])[..., 0]
        c, const = c - shift, const + 0.5 * np.einsum("...i,...i->...", shift, xu)
    return QuadraticCost(raised, c, const)


def stack(X: Array, U: Array) -> Array:
    """Returns xu (..., T+1, n), whose actions at step T are zero. Raises InputError where the shapes do not fit."""
    X, U = np.asarray(X, dtype=float), np.asarray(U, dtype=float)
    if X.ndim < 2 or U.ndim < 2 or X.shape[-2] != U.shape[-2] + 1 or X.shape[:-2] != U.shape[:-2]:
        raise InputError(f"X has shape {X.shape} and U {U.shape}; expected (..., T+1, dx) and (..., T, du)")
    xu = np.zeros((*X.shape[:-1], X.shape[-1] + U.shape[-1]))
    xu[..., : X.shape[-1]] = X
    xu[..., :-1, X.shape[-1] :] = U
    return xu


def _square(weights: Any, target: Any, X: Array) -> tuple[Array, Array]:
    """Returns s = sum w d^2 and w d, after checking the shapes."""
    X, w, goal = np.asarray(X, dtype=float), np.asarray(weights, dtype=float), np.asarray(target, dtype=float)
    if w.shape not in ((), X.shape[-1:]) or (w < 0).any():
        raise InputError(
            f"weights have shape {w.shape}, least {w.min()}; expected dx = {X.shape[-1]} numbers, none below 0"
        )
    try:
        d = X - np.broadcast_to(goal, X.shape)
    except ValueError as error:
        raise InputError(f"target has shape {goal.shape}; expected (dx,) or (T+1, dx) for X of {X.shape}") from error
    return (w * d**2).sum(-1), w * d


def _radial(
    weights: Any, target: Any, ramp: Any, X: Array, U: Array, value: Array, slope: Array, curvature: Array
) -> Any:
    """Returns value, gradient and Hessian of ramp * phi(s), given phi, phi' and phi''."""
    wd = _square(weights, target, X)[1]
    xu, dx = stack(X, U), wd.shape[-1]
    g, H = np.zeros(xu.shape), np.zeros((*xu.shape, xu.shape[-1]))
    g[..., :dx] = 2 * slope[..., None] * wd
    H[..., :dx, :dx] = 4 * curvature[..., None, None] * wd[..., :, None] * wd[..., None, :]
    i = np.arange(dx)
    H[..., i, i] += 2 * slope[..., None] * np.asarray(weights, dtype=float)
    return _weighted(ramp, value, g, H)


def _separable(other: Array, parts: Any, actions: bool) -> tuple[Array, Array, Array]:
    """Returns value, gradient and Hessian of a sum over coordinates, of x or of u, padded to xu and T+1 steps."""
    value, slope, curvature = parts
    lead, T = value.shape[:-2], value.shape[-2] - (not actions)
    d, n = value.shape[-1], value.shape[-1] + np.shape(other)[-1]
    total, g, H = np.zeros((*lead, T + 1)), np.zeros((*lead, T + 1, n)), np.zeros((*lead, T + 1, n, n))
    steps, first = (slice(0, T), n - d) if actions else (slice(0, T + 1), 0)
    i = np.arange(first, first + d)
    total[..., steps] = value.sum(-1)
    g[..., steps, first : first + d] = slope
    H[..., steps, i, i] = curvature
    return total, g, H


def _weighted(ramp: Any, value: Array, g: Array, H: Array) -> tuple[Array, Array, Array]:
    w = ramp_weights(ramp, value.shape[-1] - 1)
    return w * value, w[..., None] * g, w[..., None, None] * H


def _absolute(derivatives: tuple[Array, Array, Array], X: Array, U: Array) -> QuadraticCost:
    """Returns the expansion in xu itself, from value, gradient and Hessian at the trajectory."""
    value, g, H = derivatives
    xu = stack(X, U)
    c = g - (H @ xu[..., None])[..., 0]
    return QuadraticCost(H, c, value - 0.5 * np.einsum("...i,...i->...", g + c, xu))
