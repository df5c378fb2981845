"""A reward that saturates: near the goal it is 1, and wherever it is far it is 0.

    r(x) = exp(-1/2 |A f(x) + b|^2 / width^2),      f(x): x with angles as cosine and sine

Deisenroth & Rasmussen (2011), equation 25: it asks for no more caution the farther the goal is, so
that a search explores where it knows little; and its expectation under a Gaussian is known.
"""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Saturating(NamedTuple):
    """In states 1..T of an episode; f holds x, each angle as cosine and sine in its place."""

    A: Array  # (k, nf)
    b: Array  # (k,)
    width: float  # in the unit of A f

    def reward(self, f: Array) -> Array:
        """Returns r (...,) at features f (..., nf)."""
        gap = f @ self.A.T + self.b
        return np.exp(-0.5 * (gap**2).sum(-1) / self.width**2)
