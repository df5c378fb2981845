"""No opinion: nothing is known beyond the spread of what was seen."""

from typing import Any

import numpy as np

from .prior import Array, NormalInverseWishart
from .storage import check_tree


class FlatPrior:
    """Says "the state stays, within the spread seen so far", and nothing of how one coordinate depends on another."""

    def __init__(self) -> None:
        self.count, self.mean, self.square = 0.0, np.zeros(0), np.zeros(0)

    def update(self, x: Array, u: Array, xnext: Array) -> None:
        """Keeps the running mean and variance of each coordinate."""
        z = np.concatenate([x, u, xnext - x], -1)
        count = self.count + len(z)
        self.mean = (self.count * (self.mean if self.count else 0.0) + z.sum(0)) / count
        self.square = (self.count * (self.square if self.count else 0.0) + (z**2).sum(0)) / count
        self.count = count

    def at(self, x: Array, u: Array, xnext: Array) -> NormalInverseWishart:
        """Returns the same diagonal guess at each step."""
        variance = np.maximum(self.square - self.mean**2, 1e-12)
        lead, d = x.shape[:2], len(self.mean)
        Phi = np.broadcast_to(np.diag(variance), (*lead, d, d))
        return NormalInverseWishart(np.broadcast_to(self.mean, (*lead, d)), Phi, np.ones(lead), np.ones(lead))

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {"count": self.count, "mean": self.mean, "square": self.square}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(state, {"count": float, "mean": ("d",), "square": ("d",)}, "prior")
        self.count, self.mean, self.square = state["count"], state["mean"], state["square"]
