"""A cost that counts near the goal alone: minus a Gaussian bump, so that far away nothing is better
than anything.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lqr.cost_terms import Parts, Term, fitted

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Bump(Term):
    """ramp_t * -exp(-|M x - target|^2 / width^2) with M (k, dx), target (k,) or (T+1, k). Not
    convex far away.
    """

    M: Any
    target: Any = 0.0
    width: float = 1.0
    ramp: Any = "constant"
    _least = (("M", None), ("target", None), ("width", 1e-12))
    _steps = (("target", -2),)

    def _value(self, X: Array, U: Array) -> Array:
        gap = self._gap(X)
        return -np.exp(-(gap * gap).sum(-1) / self.width**2)

    def _parts(self, X: Array, U: Array) -> Parts:
        M = np.asarray(self.M, dtype=float)
        d = self._gap(X)
        value = self._value(X, U)
        dx = X.shape[-1]
        n = dx + U.shape[-1]
        slope = 2 / self.width**2 * d @ M  # of the exponent
        g, H = np.zeros((*X.shape[:-1], n)), np.zeros((*X.shape[:-1], n, n))
        g[..., :dx] = -value[..., None] * slope
        curvature = 2 / self.width**2 * M.T @ M - slope[..., :, None] * slope[..., None, :]
        H[..., :dx, :dx] = -value[..., None, None] * curvature
        return value, g, H

    def _gap(self, X: Array) -> Array:
        M = np.asarray(self.M, dtype=float)
        y = np.moveaxis(
            (M @ X.reshape(-1, X.shape[-1]).T).reshape(-1, *X.shape[:-1]), 0, -1
        )  # k first: long rows
        return y - fitted("target", self.target, y.shape)
