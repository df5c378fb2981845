"""No opinion: nothing is known beyond the spread of what was seen."""

from typing import Any

import numpy as np

from ..normal_inverse_wishart import Array, NormalInverseWishart, asked, learnt, smallest
from ..storage.tree import check_tree


class FlatPrior:
    """Says "the state stays, within the spread seen so far", and nothing of how one coordinate
    depends on another.
    """

    careful = True  # it writes to nothing that it gets; see `asking`

    def __init__(self) -> None:
        self.count, self.mean = 0.0, np.zeros(0)
        self.variance, self.least = (
            np.zeros(0),
            np.zeros(0),
        )  # (d,), and below which a coordinate counts as constant

    def update(self, x: Array, u: Array, xnext: Array) -> None:
        """Keeps the running mean and variance of each coordinate."""
        z = learnt(x, u, xnext, len(self.mean))
        if not self.count:
            self.mean, self.variance, self.least = (np.zeros(z.shape[1]) for _ in range(3))
        share = len(z) / (self.count + len(z))
        gap = (
            z.mean(0) - self.mean
        )  # about the means: the squares of large numbers would hide a small spread
        self.variance = (
            (1 - share) * self.variance + share * z.var(0) + share * (1 - share) * gap**2
        )
        self.mean, self.count = self.mean + share * gap, self.count + len(z)
        self.least = np.maximum(self.least, smallest(z, np.shape(x)[1]))

    def at(self, x: Array, u: Array, xnext: Array) -> NormalInverseWishart:
        """Returns the same diagonal guess at each step."""
        asked(x, u, xnext, len(self.mean))
        variance = np.maximum(self.variance, self.least)
        lead, d = x.shape[:2], len(self.mean)
        Phi = np.broadcast_to(np.diag(variance), (*lead, d, d))
        return NormalInverseWishart(
            np.broadcast_to(self.mean, (*lead, d)), Phi, np.ones(lead), np.ones(lead)
        )

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {
            "count": self.count,
            "mean": self.mean,
            "variance": self.variance,
            "least": self.least,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(
            state, {"count": float, "mean": ("d",), "variance": ("d",), "least": ("d",)}, "prior"
        )
        for name, value in state.items():
            setattr(self, name, value)
