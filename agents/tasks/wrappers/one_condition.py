"""One condition of a task as a task: what a teacher of that one alone learns from."""

from typing import Any

import numpy as np

from ..base.wrapper import Wrapper

Array = np.ndarray


class OneCondition(Wrapper):
    """The task with condition number `which` alone."""

    conditions = 1

    def __init__(self, task: Any, which: int):
        super().__init__(task)
        self.which = which

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulations in that condition; returns x (B, dx)."""
        x: Array = self.task.reset(np.full(len(conditions), self.which), rng)
        return x
