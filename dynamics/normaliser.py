"""Inputs and changes of state in standard units: what networks and processes learn is of size 1."""

from typing import NamedTuple

import numpy as np

Array = np.ndarray
FORM = {"mean": ("n",), "inverse_std": ("n",), "change_mean": ("dx",), "change_std": ("dx",)}
"""The shapes of a normaliser's fields, as `check_tree` takes them."""


class Normaliser(NamedTuple):
    """Mean and standard deviation of the inputs [x; u] and of the changes of state x' - x."""

    mean: Array  # (n,), of [x; u]
    inverse_std: Array  # (n,), 1 / standard deviation of [x; u]; 0 for a constant
    change_mean: Array  # (dx,), of x' - x
    change_std: Array  # (dx,), of x' - x, above 0

    @classmethod
    def of(cls, z: Array, y: Array) -> "Normaliser":
        """Returns the normaliser of inputs (M, n) and changes (M, dx).

        A coordinate in other units gets a normaliser in these, and nothing else changes.
        """
        std, size = z.std(0), np.abs(z).max(0)
        varies = std > 1e-9 * size  # a constant column has a deviation of rounding errors
        inverse_std = np.where(varies, 1 / np.where(varies, std, 1.0), 0.0)
        width = np.where(varies, std, size)[: y.shape[1]]
        # a few changes tell nothing of their spread
        change_std = np.maximum(y.std(0), (1e-6 if len(z) > 9 else 0.1) * width)
        return cls(z.mean(0), inverse_std, y.mean(0), np.where(change_std > 0, change_std, 1e-6))
