"""Cost terms that evaluate and expand themselves, exactly, along a trajectory.

A term is a frozen dataclass with two methods:

    term(X, U) -> cost (..., T+1)              X (..., T+1, dx), U (..., T, du)
    term.expand(X, U) -> QuadraticCost         equals the cost to second order at (X, U), in absolute coordinates xu

There is no action at step T, so whatever depends on u is zero there. Terms add up with `+`. A
`ramp` weighs the steps:
"constant", "linear" (t/T), "quadratic" ((t/T)^2), "final" (step T only), or an array of T+1
weights. Norms are those of Levine & Abbeel 2014 (section 5): quadratic far from the target for
speed, sharp near it for accuracy.

A term whose numbers are not finite or have the wrong sign raises InputError when it is made; shapes
that do not fit those of X and U raise it when the term meets them.
"""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .batching import flatten, numbers, restore
from .cost_terms import Parts, Separable, Term, fitted
from .errors import InputError
from .expansion import stack
from .types import Array, QuadraticCost


@dataclass(frozen=True, eq=False)
class Quadratic(Term):
    """ramp_t * (1/2 xu' C xu + c' xu + const), or of x alone where C is (dx, dx).

    C (n, n) or (dx, dx), c likewise, each with optional leading axes such as (T+1,); C counts by
    its symmetric part.
    """

    C: Any
    c: Any = 0.0
    const: Any = 0.0
    ramp: Any = "constant"
    _least = (("C", None), ("c", None), ("const", None))
    _steps = (("C", -3), ("c", -2), ("const", -1))

    def _value(self, X: Array, U: Array) -> Array:
        z, H, g = self._fields(X, U)
        if np.ndim(self.C) == 2:  # one product for all steps
            Hz = z @ (0.5 * (np.asarray(self.C, dtype=float) + np.transpose(self.C)))
        else:
            Hz = (H @ z[..., None])[..., 0]
        return np.einsum("...i,...i->...", 0.5 * Hz + g, z) + self.const

    def _parts(self, X: Array, U: Array) -> Parts:
        (z, C, c), dx, n = self._fields(X, U), X.shape[-1], X.shape[-1] + U.shape[-1]
        d, H, g = z.shape[-1], np.zeros((*X.shape[:-1], n, n)), np.zeros((*X.shape[:-1], n))
        H[..., :d, :d], g[..., :d] = C, c
        H[..., -1, dx:, :] = H[..., -1, :, dx:] = 0.0
        g[..., -1, dx:] = 0.0
        Hz = (H[..., :d, :d] @ z[..., None])[..., 0]
        value = np.einsum("...i,...i->...", 0.5 * Hz + g[..., :d], z) + self.const
        g[..., :d] += Hz
        return value, g, H

    def _fields(self, X: Array, U: Array) -> Parts:
        """Returns the vectors z that count, x or xu, and the symmetric C and c, broadcast to their
        steps.
        """
        C, d, dx = np.asarray(self.C, dtype=float), np.shape(self.C)[-1:], X.shape[-1]
        n = dx + U.shape[-1]
        if C.shape[-2:] != (*d, *d) or d not in ((dx,), (n,)):
            raise InputError(
                f"C has shape {C.shape}; expected (..., n, n) or (..., dx, dx), n = {n}, dx = {dx}"
            )
        z = X if d == (dx,) else stack(X, U)
        fitted("const", self.const, z.shape[:-1])
        C = fitted("C", C, (*z.shape, *d))
        return z, 0.5 * (C + np.swapaxes(C, -1, -2)), fitted("c", self.c, z.shape)


def as_term(cost: QuadraticCost) -> Quadratic:
    """Returns a QuadraticCost as a cost term, which can be evaluated, cut and added to others."""
    lead, (fields,) = flatten(("cost",), cost)
    return Quadratic(*restore(lead, *fields))


class _Radial(Term):
    """ramp_t * phi(s) with s = sum_i weights_i (x_i - target_i)^2; `_profile` gives phi and its
    derivatives.
    """

    weights: Any
    alpha: float
    target: Any
    _least = (("weights", 0.0), ("l1", 0.0), ("l2", 0.0), ("alpha", 0.0), ("target", None))
    _steps = (("target", -2),)

    @abstractmethod
    def _profile(self, s: Array) -> Parts: ...

    def _value(self, X: Array, U: Array) -> Array:
        w, d = self._weights(X), X - fitted("target", self.target, X.shape)
        return self._profile((w * d**2).sum(-1))[0]

    def _parts(self, X: Array, U: Array) -> Parts:
        w, d, dx = self._weights(X), X - fitted("target", self.target, X.shape), X.shape[-1]
        if not self.alpha > 0:
            raise InputError(
                "alpha is 0, where derivatives at the target do not exist; expected alpha > 0"
            )
        wd, (value, slope, curvature) = w * d, self._profile((w * d**2).sum(-1))
        n, i = dx + U.shape[-1], np.arange(dx)
        g, H = np.zeros((*X.shape[:-1], n)), np.zeros((*X.shape[:-1], n, n))
        g[..., :dx] = 2 * slope[..., None] * wd
        H[..., :dx, :dx] = 4 * curvature[..., None, None] * wd[..., :, None] * wd[..., None, :]
        H[..., i, i] += 2 * slope[..., None] * w
        return value, g, H

    def _weights(self, X: Array) -> Array:
        w = np.asarray(self.weights, dtype=float)
        if w.shape not in ((), X.shape[-1:]):
            raise InputError(
                f"weights have shape {w.shape}; expected a number or dx = {X.shape[-1]} numbers"
            )
        return w


@dataclass(frozen=True, eq=False)
class WeightedNorm(_Radial):
    """ramp_t * (l2/2 s + l1 sqrt(alpha + s)) with s = sum_i weights_i (x_i - target_i)^2.

    weights (dx,), not negative; target (dx,), (T+1, dx) or (..., T+1, dx). Convex.
    """

    weights: Any
    l1: float = 0.0
    l2: float = 1.0
    alpha: float = 1e-5  # in units of s; its square root is the width of the sharp bottom
    target: Any = 0.0
    ramp: Any = "constant"

    def _profile(self, s: Array) -> Parts:
        r = np.sqrt(self.alpha + s)
        with np.errstate(divide="ignore", invalid="ignore"):  # alpha = 0 has values alone
            slope, curvature = 0.5 * self.l2 + 0.5 * self.l1 / r, -0.25 * self.l1 / r**3
        return 0.5 * self.l2 * s + self.l1 * r, slope, curvature


@dataclass(frozen=True, eq=False)
class Lorentzian(_Radial):
    """ramp_t * (l2/2 s + l1/2 log(alpha + s)) with s = sum_i weights_i (x_i - target_i)^2.

    Shapes as in WeightedNorm. Not convex away from the target: see `make_convex`.
    """

    weights: Any
    l1: float = 1.0
    l2: float = 1.0
    alpha: float = 1e-5  # in units of s, above 0
    target: Any = 0.0
    ramp: Any = "constant"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.alpha > 0:
            raise InputError(f"alpha is {self.alpha}; expected a number above 0")

    def _profile(self, s: Array) -> Parts:
        a = self.alpha + s
        slope, curvature = 0.5 * self.l2 + 0.5 * self.l1 / a, -0.5 * self.l1 / a**2
        return 0.5 * self.l2 * s + 0.5 * self.l1 * np.log(a), slope, curvature


@dataclass(frozen=True, eq=False)
class Saturated(_Radial):
    """ramp_t * (1 - exp(-sqrt(alpha + s) / width)) with s = sum_i weights_i (x_i - target_i)^2: far
    away it is flat.

    Shapes as in WeightedNorm. Not convex away from the target: see `make_convex`.
    """

    weights: Any
    width: float = 1.0  # in units of the root of s, above 0
    alpha: float = 1e-5  # in units of s
    target: Any = 0.0
    ramp: Any = "constant"
    _least = (  # type: ignore[assignment]
        ("weights", 0.0),
        ("width", 0.0),
        ("alpha", 0.0),
        ("target", None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.width > 0:
            raise InputError(f"width is {self.width}; expected a number above 0")

    def _profile(self, s: Array) -> Parts:
        r, w = np.sqrt(self.alpha + s), self.width
        near = np.exp(-r / w)
        with np.errstate(divide="ignore", invalid="ignore"):  # alpha = 0 has values alone
            slope = near / (2 * w * r)
            curvature = -0.25 * near / (w * r**2) * (1 / w + 1 / r)
        return 1 - near, slope, curvature


@dataclass(frozen=True, eq=False)
class Action(Separable):
    """ramp_t * 1/2 sum_i weights_i (u_i - target_i)^2; weights a number or (du,), target likewise
    or (..., T, du).
    """

    weights: Any
    target: Any = 0.0
    ramp: Any = "constant"
    _least = (("weights", None), ("target", None))
    _steps = (("weights", -2), ("target", -2))

    def _terms(self, z: Array) -> Parts:
        d, w = z - fitted("target", self.target, z.shape), fitted("weights", self.weights, z.shape)
        return 0.5 * w * d**2, w * d, w


class _Limits(Separable):
    """weight times the `barrier` of each coordinate."""

    low: Any
    high: Any
    weight: Any
    margin: Any
    _least = (("weight", 0.0), ("margin", 0.0))
    _steps = (("weight", -2), ("low", -2), ("high", -2), ("margin", -2))

    def __post_init__(self) -> None:
        super().__post_init__()
        _ordered(self.low, self.high, self.margin)

    def _terms(self, z: Array) -> Iterable[Array]:
        weight, *limits = (
            fitted(name, getattr(self, name), z.shape)
            for name in ("weight", "low", "high", "margin")
        )
        return (weight * p for p in barrier(z, *limits))


@dataclass(frozen=True, eq=False)
class StateLimits(_Limits):
    """weight * sum_i of a smooth barrier that is zero inside [low + margin, high - margin] and
    quadratic outside.

    low, high (dx,) with infinities where there is no limit; margin > 0 in the units of x. See
    `barrier`.
    """

    low: Any
    high: Any
    weight: Any = 1.0
    margin: Any = 0.1
    ramp: Any = "constant"
    _of_actions = False


@dataclass(frozen=True, eq=False)
class ActionLimits(_Limits):
    """The same barrier on actions: low, high (du,); margin > 0 in the units of u."""

    low: Any
    high: Any
    weight: Any = 1.0
    margin: Any = 0.1
    ramp: Any = "constant"


def barrier(z: Array, low: Any, high: Any, margin: Any) -> Parts:
    """Returns value, slope and curvature of a twice continuously differentiable one-sided parabola
    on both sides.

    With e the depth beyond `high - margin` (or below `low + margin`): 0 for e <= 0, e^3 / (6
    margin) up to the limit itself, and from there on the parabola e^2/2 - e margin/2 + margin^2/6,
    whose curvature is 1.
    """
    low, high, m = _ordered(low, high, margin)
    parts = []
    for side, limit in ((1.0, high), (-1.0, low)):
        e = np.maximum(side * (z - limit) + m, 0.0)
        near = np.minimum(e, m)
        far = e - near  # beyond the limit
        slope = 0.5 * near**2 / m + far
        parts.append((near**3 / (6 * m) + 0.5 * m * far + 0.5 * far**2, side * slope, near / m))
    (a, da, dda), (b, db, ddb) = parts
    return a + b, da + db, dda + ddb


def _ordered(low: Any, high: Any, margin: Any) -> Parts:
    low, high, m = numbers("low", low), numbers("high", high), numbers("margin", margin)
    if not np.all(m > 0) or not np.all(low <= high):
        raise InputError(
            f"got low {low}, high {high}, margin {m}; expected low <= high and margin > 0"
        )
    return low, high, m
