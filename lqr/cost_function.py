"""A cost of your own as one plain NumPy function of a step; its expansion is found by differences.

    def cost(x, u):                      # x (..., dx), u (..., du)
        return (x[..., 0] - 1) ** 2 + 0.1 * (u**2).sum(-1)          # (...)

Central differences with steps of 1e-4 max(1, |x|): slopes are right to about 1e-8 of the cost's
curvature, second derivatives to about 1e-7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .batching import callable_of
from .cost_terms import Addable
from .errors import InputError
from .expansion import absolute, pair, stack
from .types import Array, QuadraticCost
from .user_functions import guarded, real

STEP = 1e-4


@dataclass(frozen=True, eq=False)
class CostFunction(Addable):
    """The cost `step(x, u)` of steps 0..T-1, and `final(x)` of step T.

    Without `final`, step T costs `step(x, 0)`. Both take and return float64 with any leading axes,
    row by row. Raises InputError, which names the function, where one fails, gives another shape, or
    float32, whose differences are no derivatives.
    """

    step: Callable[[Array, Array], Array]
    final: Callable[[Array], Array] | None = None
    careful = True  # it gets copies

    def __post_init__(self) -> None:
        callable_of("cost", self.step, "cost(x, u)")
        if self.final is not None:
            callable_of("final", self.final, "final(x)")

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        X, U = pair(X, U)
        return self._values(stack(X, U), X.shape[-1], exact=False)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the expansion in absolute coordinates xu; the action of step T counts for
        nothing.
        """
        X, U = pair(X, U)
        xu, dx = stack(X, U), X.shape[-1]
        n = xu.shape[-1]
        h = STEP * np.maximum(np.abs(xu), 1.0)
        h = (xu + h) - xu  # exactly what is added
        first = np.eye(n).reshape(n, *(1,) * (xu.ndim - 1), n) * h
        j, m = np.tril_indices(n, -1)
        points = [xu[None], xu + first, xu - first]
        points += [xu + first[j] + first[m], xu - first[j] - first[m]]
        found = self._values(np.concatenate(points), dx, exact=True)
        value, up, down, more, less = np.split(found, np.cumsum([1, n, n, len(j)]))
        steps = np.moveaxis(h, -1, 0)
        g = np.moveaxis((up - down) / (2 * steps), 0, -1)
        H = np.zeros((*xu.shape, n))
        for i in range(n):
            H[..., i, i] = (up[i] - 2 * value[0] + down[i]) / steps[i] ** 2
        for pair_, (a, b) in enumerate(zip(j, m, strict=True)):
            mixed = more[pair_] + less[pair_] + 2 * value[0] - up[a] - down[a] - up[b] - down[b]
            H[..., a, b] = H[..., b, a] = mixed / (2 * steps[a] * steps[b])
        g[..., -1, dx:] = 0.0
        H[..., -1, dx:, :] = H[..., -1, :, dx:] = 0.0
        return absolute(value[0], g, H, xu)

    def _values(self, xu: Array, dx: int, exact: bool) -> Array:
        """Returns the cost (..., T+1) of xu (..., T+1, n)."""
        x, u = xu[..., :dx].copy(), xu[..., dx:].copy()
        if self.final is None:
            return real("cost(x, u)", guarded("cost", self.step)(x, u), xu.shape[:-1], exact=exact)
        out, last = np.empty(xu.shape[:-1]), x[..., -1, :].copy()
        now = guarded("cost", self.step)(x[..., :-1, :], u[..., :-1, :])
        out[..., :-1] = real("cost(x, u)", now, out[..., :-1].shape, exact=exact)
        end = guarded("final", self.final)(last)
        out[..., -1] = real("final(x)", end, out[..., -1].shape, exact=exact)
        return out


def as_cost(cost: Any) -> Any:
    """Returns what has `expand`, or is a QuadraticCost, as it is, and a plain function as a
    `CostFunction`.

    Raises InputError for anything else.
    """
    if isinstance(cost, QuadraticCost) or (callable(cost) and hasattr(cost, "expand")):
        return cost
    if callable(cost) and not isinstance(cost, type):
        return CostFunction(cost)
    raise InputError(
        f"cost is a {type(cost).__name__}; expected a QuadraticCost, a function cost(x (..., dx), u (..., du)) -> "
        "(...), or what has cost(X, U) -> (..., T+1) and cost.expand(X, U) -> QuadraticCost"
    )
