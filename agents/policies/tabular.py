"""A policy of a table: one action for each cell of a grid over what is seen."""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import CheckpointError

from ..interfaces import Array, State
from .base import Memoryless


class Grid:
    """Equal cells of a box (do,), `counts` of them along each coordinate; what is outside belongs
    to the cell at the edge.
    """

    def __init__(self, low: Array, high: Array, counts: Array):
        self.low, self.high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
        self.counts = np.asarray(counts, dtype=int)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return int(np.prod(self.counts))

    def cell_of(self, o: Array) -> Array:
        """Returns the cells (...) of observations (..., do)."""
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        i = np.floor((o - self.low) / width * self.counts).astype(int)
        i = np.clip(i, 0, self.counts - 1)
        return np.ravel_multi_index(tuple(np.moveaxis(i, -1, 0)), tuple(self.counts))


class TabularPolicy(Memoryless):
    """u = table[cell of o]."""

    def __init__(self, grid: Grid, table: Array, low: Array, high: Array):
        self.grid, self.table = grid, table  # (cells, du)
        self.low, self.high = low, high  # (du,)
        self.do, self.cov = len(grid.low), np.zeros((len(low), len(low)))

    def mean(self, o: Array) -> Array:
        """Returns the actions (..., du) for observations (..., do)."""
        return self.table[self.grid.cell_of(o)]

    def deviations(self, o: Array, rng: np.random.Generator) -> Array:
        """Returns no deviation, (B, du): the policy is deterministic."""
        return np.zeros((*o.shape[:-1], len(self.low)))

    def state(self) -> State:
        """Returns what `from_state` needs."""
        grid = {"grid_low": self.grid.low, "grid_high": self.grid.high}
        counts = {"counts": self.grid.counts.astype(float)}
        return {"table": self.table, "low": self.low, "high": self.high, **grid, **counts}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "TabularPolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        form: dict[str, Any] = {"table": ("cells", "du"), "low": ("du",), "high": ("du",)}
        form |= dict.fromkeys(("grid_low", "grid_high", "counts"), ("do",))
        check_tree(state, form, "tabular policy")
        if not (state["counts"] >= 1).all() or len(state["table"]) != np.prod(state["counts"]):
            raise CheckpointError(
                f"tabular policy: got {len(state['table'])} actions for {state['counts']} cells; it is damaged"
            )
        grid = Grid(state["grid_low"], state["grid_high"], state["counts"])
        return cls(grid, state["table"], state["low"], state["high"])

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        width = np.where(self.grid.high > self.grid.low, self.grid.high - self.grid.low, 1.0)
        counts = self.grid.counts.astype(float)
        return {"table": self.table, "origin": self.grid.low, "width": width, "counts": counts}

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the actions (B, du) of raw observations (B, do), as tensors."""
        import torch

        i = torch.floor((o - p["origin"]) / p["width"] * p["counts"])
        i = torch.minimum(torch.clamp(i, min=0.0), p["counts"] - 1)
        strides = [float(np.prod(self.grid.counts[k + 1 :])) for k in range(self.do)]
        cell = sum(s * i[:, k] for k, s in enumerate(strides))
        return p["table"][cell.long()]  # type: ignore[union-attr]
