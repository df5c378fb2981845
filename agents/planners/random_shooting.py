"""Random shooting: draw action sequences uniformly, take the best (Nagabandi, Kahn, Fearing &
Levine 2018, eq. 4).
"""

from dataclasses import dataclass

import numpy as np

from .base import Array, Objective, Plan, Record, box, check_settings, prices


@dataclass(frozen=True)
class RandomShooting:
    """Starts anew each time: nothing is kept."""

    samples: int = 1000  # action sequences

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the best of the sequences drawn; see `Planner`."""
        box(start, low, high)
        U, record = rng.uniform(low, high, size=(self.samples, *np.shape(start)[1:])), Record()
        record.see(U, prices(objective, U))
        return record.plan(record.U, np.zeros((0, *record.U.shape)))
