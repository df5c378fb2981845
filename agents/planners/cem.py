"""The cross-entropy method: draw around a mean, refit mean and variance to the elites, repeat.

As in PETS (Chua, Calandra, McAllister & Levine 2018): sequences are drawn from normals truncated at
two standard deviations; mean and variance move by 1 - smoothing of the way to those of the elites.
PETS's code shrinks the variance until the draws stay within the limits, so that a mean near a limit
is no longer searched around. Here draws are clipped to the limits: many lie on them, where the best
actions often do, and a mean gets there, which draws that are truncated at the limits would keep
away.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from ..settings import Count, Positive, Settings, Share
from .base import Array, Objective, Plan, SearchLog, box, evaluate, first, lowest


@dataclass(frozen=True)
class CEM(Settings):
    """Carries out the mean, or the best sequence of all; keeps the mean."""

    samples: Count = 400  # action sequences in each iteration
    elites: Count = 40  # of lowest cost; at most all of them
    iterations: Count = 5  # draws and refits at each step
    smoothing: Share = 0.1  # share of the old mean and variance that is kept
    std: Positive = 0.5  # initial standard deviation, as a share of half the range
    # at two standard deviations, before they are clipped to the limits; else normal draws
    truncated: bool = True
    best: bool = False  # carry out the best sequence instead of the mean

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the plan; see `Planner`."""
        mean, var = first(start, low, high), np.empty(np.shape(start)[1:])
        var[:], log = (self.std * box(start, low, high)[1]) ** 2, SearchLog()
        for _ in range(self.iterations):
            U = self.draw(mean, var, low, high, rng)
            cost = evaluate(objective, U)
            log.add(U, cost)
            mean, var = self.fit_elites(mean, var, U[lowest(cost, self.elites)])
        return log.plan(log.U if self.best else mean, mean[None])

    def draw(
        self, mean: Array, var: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Array:
        """Returns sequences (samples, H, du) about the mean, within the limits."""
        shape = (self.samples, *mean.shape)
        draws = truncated_normal(rng, shape) if self.truncated else rng.standard_normal(shape)
        return np.clip(mean + np.sqrt(var) * draws, low, high)

    def fit_elites(self, mean: Array, var: Array, elites: Array) -> tuple[Array, Array]:
        """Returns the new mean and variance, (H, du) each, from the elites (K, H, du)."""
        a = self.smoothing
        return a * mean + (1 - a) * elites.mean(0), a * var + (1 - a) * elites.var(0)


def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Returns standard normal draws from -2 to 2, by the inverse of the distribution function."""
    return ndtri(rng.uniform(ndtr(-2.0), ndtr(2.0), size=shape))
