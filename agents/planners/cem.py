"""The cross-entropy method: draw around a mean, refit mean and variance to the elites, repeat.

As in PETS (Chua, Calandra, McAllister & Levine 2018): sequences are drawn from normals truncated at two standard
deviations; mean and variance move by 1 - smoothing of the way to those of the elites. PETS's code shrinks the variance
until the draws stay within the limits, so that a mean near a limit is no longer searched around; here the normals are
truncated at the limits, too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from .shape import Array, Objective, Plan, Record, box, check_settings, first, prices


@dataclass(frozen=True)
class CEM:
    """Carries out the mean, or the best sequence seen; keeps the mean."""

    samples: int = 400  # action sequences in each iteration
    elites: int = 40  # the best of them
    iterations: int = 5
    smoothing: float = 0.1  # share of the old mean and variance that is kept
    std: float = 0.5  # initial standard deviation, as a share of half the range
    truncated: bool = True  # else normal draws are clipped to the limits
    best: bool = False  # carry out the best sequence instead of the mean

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator) -> Plan:
        """Returns the plan; see `Planner`."""
        mean, var = first(start, low, high), np.empty(np.shape(start)[1:])
        var[:], record = (self.std * box(start, low, high)[1]) ** 2, Record()
        for _ in range(self.iterations):
            U = self.draw(mean, var, low, high, rng)
            cost = prices(objective, U)
            record.see(U, cost)
            mean, var = self.refit(mean, var, U[np.argsort(cost, kind="stable")[: self.elites]])
        return record.plan(record.U if self.best else mean, mean[None])

    def draw(self, mean: Array, var: Array, low: Array, high: Array, rng: np.random.Generator) -> Array:
        """Returns sequences (samples, H, du) about the mean, within the limits."""
        shape = (self.samples, *mean.shape)
        if not self.truncated:
            return np.clip(mean + np.sqrt(var) * rng.standard_normal(shape), low, high)
        std = np.sqrt(np.maximum(var, 1e-300))
        least, most = (np.clip((limit - mean) / std, -2.0, 2.0) for limit in (low, high))
        return np.clip(mean + std * truncated_normal(rng, shape, least, most), low, high)  # rounding may leave the box

    def refit(self, mean: Array, var: Array, elites: Array) -> tuple[Array, Array]:
        """Returns the new mean and variance, (H, du) each, from the elites (K, H, du)."""
        a = self.smoothing
        return a * mean + (1 - a) * elites.mean(0), a * var + (1 - a) * elites.var(0)


def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...], least: Any = -2.0, most: Any = 2.0) -> Array:
    """Returns standard normal draws from `least` to `most`, by the inverse of the distribution function."""
    return ndtri(rng.uniform(ndtr(least), ndtr(most), size=shape))
