"""What a global model learns from: the transitions of the last rounds, at most so many of them.

A run that goes on and on must not hold, nor write into each checkpoint, all that it ever saw. Once
there are more than `most` transitions, whole rounds are let go, the oldest first; up to there
nothing is lost.
"""

from typing import Any

import numpy as np

from lqr import CheckpointError, InputError

from .storage.tree import check_tree

Array = np.ndarray
MOST = 50_000  # transitions; 12 MB for 10 states and 8 actions


class History:
    """Rounds of transitions (x, u, x'), the oldest first."""

    def __init__(self, most: int = MOST):
        if most < 1:
            raise InputError(f"got a history of at most {most} transitions; expected 1 or more")
        self.most = most
        self.total = 0  # transitions that were ever added
        self.sizes: list[int] = []  # transitions of each round that is kept
        self.seen: tuple[Array, Array, Array] | None = None  # (M, dx), (M, du), (M, dx)

    @property
    def width(self) -> int:
        """How many numbers a transition has: 2 dx + du; 0 where none was added."""
        return sum(a.shape[1] for a in self.seen) if self.seen else 0

    @property
    def states(self) -> Array:
        """The states that the kept transitions start from, (M, dx)."""
        assert self.seen is not None
        return self.seen[0]

    def teach(self, model: Any, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Adds a round, and fits the model to all rounds that are kept."""
        self.keep(model, x, u, xnext)
        assert self.seen is not None
        model.fit(*self.seen, rng)

    def keep(self, model: Any, x: Array, u: Array, xnext: Array) -> None:
        """Adds a round that the model is to learn from at its next fit.

        A model that remembers something of each transition has a method `forget`, which is told how
        many are gone.
        """
        gone = self.add(x, u, xnext)
        if gone and hasattr(model, "forget"):
            model.forget(gone)

    def add(self, x: Array, u: Array, xnext: Array) -> int:
        """Adds a round, (M, dx), (M, du), (M, dx); returns how many of the oldest transitions were
        let go for it.

        Of a round that is too large by itself, the last transitions are kept.
        """
        self.total += len(x)
        new = [np.ascontiguousarray(a[-self.most :], dtype=float) for a in (x, u, xnext)]
        self.sizes += [len(new[0])] if len(new[0]) else []
        gone, excess = 0, sum(self.sizes) - self.most
        while gone < excess:
            gone += self.sizes.pop(0)
        old = [a[gone:] for a in self.seen] if self.seen else []
        self.seen = tuple(map(np.concatenate, zip(old, new, strict=True))) if old else tuple(new)  # type: ignore[assignment]
        return gone

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree; empty where nothing was added."""
        if self.seen is None:
            return {}
        return {
            "total": self.total,
            "sizes": np.array(self.sizes, float),
            **dict(zip("xuy", self.seen, strict=True)),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        form = {"total": int, "sizes": ("R",), "x": ("M", "dx"), "u": ("M", "du"), "y": ("M", "dx")}
        check_tree(state, form if state else {}, "history")
        if not state:
            return
        sizes = state["sizes"]
        if (
            not ((sizes >= 1) & (sizes % 1 == 0)).all()
            or sizes.sum() != len(state["x"])
            or state["total"] < sizes.sum()
        ):
            raise CheckpointError(
                f"history/sizes: got rounds of {str(sizes)[:80]}, expected {len(state['x'])} in all; it is damaged"
            )
        self.total, self.sizes = state["total"], [int(size) for size in sizes]
        self.seen = state["x"], state["u"], state["y"]
