"""Environments of Gymnasium in processes of their own, by its `AsyncVectorEnv`: for those that take
long over a step.

What a step says goes through a pipe, so quick environments are quicker one after another in this
process (`python -m benchmarks.rollouts --gymnasium` measures both). The numbers are the same: each
environment is reset by the same seed. The processes are forked from a clean server, not from this
one, whose threads would not survive it; a script that uses them must stand under `if __name__ ==
"__main__":`.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
KEPT = 2  # fleets of different sizes: trials, and what is tried between them


class Processes:
    """As many environments as there are episodes, stepped side by side."""

    def __init__(self, make: Callable[[], Any]):
        self._make, self._fleets = make, {}  # type: ignore[var-annotated]

    def reset(self, seeds: Sequence[int]) -> Array:
        """Starts an episode by each seed; returns the observations (B, ...)."""
        self._fleet = self._fleets.pop(len(seeds), None) or self._new(len(seeds))
        self._fleets[len(seeds)] = self._fleet
        return self._fleet.reset(seed=[int(seed) for seed in seeds])[0]

    def step(self, u: Array) -> tuple[Array, Array, Array, Array]:
        """Applies u (B, ...); returns observations (B, ...), rewards (B,), which episodes are over
        (B,), and which were cut short (B,).

        That of an ended episode is its last one; after that its environment starts another, which
        nobody looks at.
        """
        seen, reward, terminated, truncated, _ = self._fleet.step(u)
        return seen, reward, terminated, truncated

    def _new(self, count: int) -> Any:
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode

        if len(self._fleets) >= KEPT:
            self._fleets.pop(next(iter(self._fleets))).close(terminate=True)
        fleet = AsyncVectorEnv(
            [self._make] * count, context="forkserver", autoreset_mode=AutoresetMode.NEXT_STEP
        )
        weakref.finalize(self, fleet.close, terminate=True)  # at the exit the pipes may be gone
        return fleet
