"""What a policy's episodes say: success, means and rates with 95 % intervals."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .evaluation import Episode

LEVEL = 0.95


class Interval(NamedTuple):
    """A figure and the interval that holds it with probability LEVEL."""

    mean: float
    low: float
    high: float


def distinct(found: Sequence[Episode]) -> list[Episode]:
    """Returns the episodes without repetitions: one that was run again to the same numbers, as
    from a fixed start, says nothing new.
    """
    return list({episode.digest or i: episode for i, episode in enumerate(found)}.values())


def successes(found: Sequence[Episode], within: float) -> list[bool] | None:
    """Returns which episodes succeeded: as the task tells, or by ending within so many metres;
    None: nobody can say.
    """
    if all(episode.success is not None for episode in found):
        return [bool(episode.success) for episode in found]
    if all(episode.distance is not None for episode in found):
        return [episode.distance <= within for episode in found]  # type: ignore[operator]
    return None


def mean_interval(values: Sequence[float]) -> Interval:
    """Returns the mean with Student's interval; of one value the interval is all numbers."""
    from scipy.stats import t as student

    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(float(x.mean()), -math.inf, math.inf)
    half = student.ppf(0.5 + LEVEL / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def rate_interval(done: Sequence[bool]) -> Interval:
    """Returns the share of successes with Wilson's interval."""
    from scipy.stats import binomtest

    test = binomtest(sum(done), len(done))
    ends: Any = test.proportion_ci(LEVEL, method="wilson")
    return Interval(float(test.statistic), float(ends.low), float(ends.high))
