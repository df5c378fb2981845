"""What episodes say of a policy, and of a method whose seeds were all graded in the same episodes:
means, rates and differences with 95 % intervals.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .episodes import Episode

LEVEL = 0.95


class Interval(NamedTuple):
    """A figure and the interval that holds it with probability LEVEL."""

    mean: float
    low: float
    high: float


class Estimate(NamedTuple):
    """A mean over seeds, or the difference of two, with the errors of both its sources."""

    value: float
    seeds: float  # standard error from the seeds: others give others; NaN where there is one
    episodes: float  # standard error from the episodes, which all seeds share: more seeds help not
    error: float  # of both, of the episodes alone where there is one seed
    freedom: float  # degrees, of Student's distribution

    @property
    def interval(self) -> Interval:
        """The interval that holds the true value."""
        return _student(self.value, self.error, self.freedom)

    @property
    def chance(self) -> float:
        """The p-value of the test that the true value is 0."""
        from scipy.stats import t as student

        if not self.error:
            return float(self.value == 0)
        return float(2 * student.sf(abs(self.value) / self.error, self.freedom))


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
    x = np.asarray(values, float)
    error = x.std(ddof=1) / math.sqrt(len(x)) if len(x) > 1 else math.nan
    return _student(float(x.mean()), error, len(x) - 1)


def rate_interval(done: Sequence[bool]) -> Interval:
    """Returns the share of successes with Wilson's interval."""
    from scipy.stats import binomtest

    test = binomtest(sum(done), len(done))
    ends: Any = test.proportion_ci(LEVEL, method="wilson")
    return Interval(float(test.statistic), float(ends.low), float(ends.high))


def over_seeds(returns: np.ndarray) -> Estimate:
    """Returns the mean of returns (S, E): S seeds, each graded in the same E episodes."""
    return _estimate([(returns, 1.0)])


def paired(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Returns the mean of returns a (S, E) minus that of b (R, E), episode by episode: what makes an
    episode hard for both is no error of the difference.
    """
    return _estimate([(a, 1.0), (b, -1.0)])


def _estimate(parts: Sequence[tuple[np.ndarray, float]]) -> Estimate:
    """Returns the sum of means with signs. Seeds and episodes are crossed: what is of neither alone
    is in the variance of either, and is counted once.
    """
    value = float(sum(sign * x.mean() for x, sign in parts))
    sizes = np.cumsum([len(x) for x, _ in parts])[:-1]
    own_columns = np.unique(np.concatenate([x for x, _ in parts]), axis=1)  # a repeat counts once
    columns = np.split(own_columns, sizes)
    parts = [(x, sign) for x, (_, sign) in zip(columns, parts, strict=True)]
    by_episode = np.sum([sign * x.mean(0) for x, sign in parts], axis=0)
    count = len(by_episode)
    shared = float(by_episode.var(ddof=1)) / count if count > 1 else math.nan
    if any(len(x) < 2 for x, _ in parts):
        return Estimate(value, math.nan, math.sqrt(shared), math.sqrt(shared), count - 1)
    own = [float(x.mean(1).var(ddof=1)) / len(x) for x, _ in parts]
    seeds, both = sum(own), 0.0
    for x, _ in parts:
        rest = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
        both += float((rest**2).sum()) / ((len(x) - 1) * (count - 1) * x.size) if count > 1 else 0.0
    found = [(v, len(x) - 1) for v, (x, _) in zip(own, parts, strict=True)]
    found += [(shared, count - 1)] if count > 1 else []
    total = sum(v for v, _ in found)
    free = sum(v**2 / d for v, d in found)  # Welch and Satterthwaite
    known = shared if count > 1 else 0.0
    error = math.sqrt(max(total - both, seeds, known))
    return Estimate(
        value, math.sqrt(seeds), math.sqrt(shared), error, total**2 / free if free else math.inf
    )


def _student(mean: float, error: float, freedom: float) -> Interval:
    from scipy.stats import t as student

    if math.isnan(error):
        return Interval(mean, -math.inf, math.inf)
    half = float(student.ppf(0.5 + LEVEL / 2, freedom)) * error
    return Interval(mean, mean - half, mean + half)


def sign_test(more: int, less: int) -> float:
    """Returns the p-value of McNemar's exact test: of pairs that differ, so many one way and so
    many the other.
    """
    from scipy.stats import binomtest

    return float(binomtest(more, more + less).pvalue) if more + less else 1.0
