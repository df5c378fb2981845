"""Random shooting: draw action sequences uniformly, take the best (Nagabandi, Kahn, Fearing &
Levine 2018, eq. 4).
"""

from dataclasses import dataclass

import numpy as np

from ..settings import Count, Settings
from .base import Array, Objective, Plan, SearchLog, box, evaluate


@dataclass(frozen=True)
class RandomShooting(Settings):
    """Starts anew each time: nothing is kept."""

    samples: Count = 1000  # action sequences

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the best of the sequences drawn; see `Planner`."""
        box(start, low, high)
        U, log = rng.uniform(low, high, size=(self.samples, *np.shape(start)[1:])), SearchLog()
        log.add(U, evaluate(objective, U))
        return log.plan(log.U, np.zeros((0, *log.U.shape)))
