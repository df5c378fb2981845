"""What cost terms are made of: sums, ramps and broadcasting. A term says its value and its
derivatives, no more.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from .batching import finite
from .errors import InputError
from .expansion import Cost, absolute, known_ramp, pair, ramp_weights, stack
from .types import Array, QuadraticCost
from .user_functions import GuardedCost

Parts = tuple[Array, Array, Array]
"""Value, first and second derivative."""


class Addable:
    """`+` of costs gives one flat sum."""

    def __add__(self, other: Cost) -> "Sum":
        return Sum(
            tuple(
                t
                for term in (self, other)
                for t in (term.terms if isinstance(term, Sum) else (term,))
            )
        )


@dataclass(frozen=True, eq=False)
class Sum(Addable):
    """The sum of several terms; each gets copies, which it may write to."""

    terms: tuple[Any, ...]

    def __call__(self, X: Array, U: Array) -> Array:
        X, U = pair(X, U)
        each = (careful(term, type(term).__name__)(X, U) for term in self.terms)
        return sum(each, start=np.zeros(X.shape[:-1]))

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        X, U = pair(X, U)
        parts = [careful(term, type(term).__name__).expand(X, U) for term in self.terms]
        return QuadraticCost(*(reduce(np.add, fields) for fields in zip(*parts, strict=True)))


def careful(cost: Any, name: str = "cost") -> Any:
    """Returns a cost of the library's as it is, and a user's so that it gets copies, and that what
    goes wrong names it; see `GuardedCost`. A cost that does all that itself says `careful = True`.
    """
    own = isinstance(cost, Term | Sum | GuardedCost) or getattr(cost, "careful", False)
    return cost if own else GuardedCost(cost, name)


class Term(Addable, ABC):
    """A ramp times what subclasses define: `_value` (..., T+1), and `_parts`: value, gradient and
    Hessian in xu.
    """

    ramp: Any
    _least: tuple[
        tuple[str, float | None], ...
    ] = ()  # names of fields that are finite, and their least value if any
    _steps: tuple[
        tuple[str, int], ...
    ] = ()  # fields that may hold a number per step, and the axis that is of steps

    def __post_init__(self) -> None:
        known_ramp(self.ramp)
        for name, least in self._least:
            a = finite(name, getattr(self, name))
            if least is not None and (a < least).any():
                raise InputError(f"{name} holds {a.min()}; expected none below {least:g}")

    def __call__(self, X: Array, U: Array) -> Array:
        X, U = pair(X, U)
        return ramp_weights(self.ramp, U.shape[-2]) * self._value(X, U)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        X, U = pair(X, U)
        w, (value, g, H) = ramp_weights(self.ramp, U.shape[-2]), self._parts(X, U)
        return absolute(w * value, w[..., None] * g, w[..., None, None] * H, stack(X, U))

    @abstractmethod
    def _value(self, X: Array, U: Array) -> Array: ...

    @abstractmethod
    def _parts(self, X: Array, U: Array) -> Parts: ...


class Separable(Term):
    """A sum over the coordinates of x, or of u; `_terms` gives the value, slope and curvature of
    each.
    """

    _of_actions = True

    @abstractmethod
    def _terms(self, z: Array) -> Iterable[Array]: ...

    def _value(self, X: Array, U: Array) -> Array:
        value, *_ = self._terms(U if self._of_actions else X)
        total = np.zeros(X.shape[:-1])
        total[..., : value.shape[-2]] = value.sum(-1)
        return total

    def _parts(self, X: Array, U: Array) -> Parts:
        value, slope, curvature = self._terms(U if self._of_actions else X)
        dx, n, steps = X.shape[-1], X.shape[-1] + U.shape[-1], value.shape[-2]
        total = np.zeros(X.shape[:-1])
        g = np.zeros((*X.shape[:-1], n))
        H = np.zeros((*X.shape[:-1], n, n))
        i = np.arange(dx, n) if self._of_actions else np.arange(dx)
        total[..., :steps] = value.sum(-1)
        g[..., :steps, i] = slope
        H[..., :steps, i, i] = curvature
        return total, g, H


def fitted(name: str, a: Any, shape: tuple[int, ...]) -> Array:
    """Returns the field, broadcast to a shape that X and U imply."""
    a = np.asarray(a, dtype=float)
    try:
        return np.broadcast_to(a, shape)
    except ValueError as error:
        raise InputError(
            f"{name} has shape {a.shape}; expected one that broadcasts to {shape}"
        ) from error
