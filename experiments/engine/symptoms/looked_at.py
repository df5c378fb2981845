"""What is looked at of a run to tell what is wrong with it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class Run(NamedTuple):
    """What is looked at."""

    columns: Mapping[str, Array]  # of metrics.csv, (n,)
    conditions: Mapping[str, Array]  # of conditions.csv, (n, C)
    method: str
    task: str  # the words that name the task, from --task on
    settings: Mapping[str, Any]  # of the method
    horizon: int  # steps of an episode
    returns: tuple[float, float] | None = None  # of the policy, and of no action

    def last(self, name: str, least: int = 3) -> Array:
        """Returns the finite values of a column in the last third of the iterations, of so many at
        least.
        """
        found = self.columns.get(name, np.zeros(0))
        found = found[-max(least, len(found) // 3) :]
        return np.asarray(found[np.isfinite(found)])

    def first(self, name: str) -> Array:
        """Returns the finite values of a column in the first third."""
        found = self.columns.get(name, np.zeros(0))
        found = found[: max(3, len(found) // 3)]
        return np.asarray(found[np.isfinite(found)])

    @property
    def variation(self) -> float:
        """The size of the cost, which no constant in it changes: the largest of any iteration."""
        found = self.columns.get("cost_variation", np.zeros(0))
        return float(np.nanmax(found)) if np.isfinite(found).any() else math.nan

    def setting(self, name: str) -> float:
        """Returns a setting that is a number; NaN where there is none."""
        value = self.settings.get(name)
        return float(value) if isinstance(value, (int, float)) else math.nan

    def has(self, *names: str) -> bool:
        """Whether the method has these settings."""
        return all(name in self.settings for name in names)


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """Returns the rows of a table as columns."""
    return {key: np.array([row[key] for row in rows], dtype=float) for key in (rows or [{}])[0]}
