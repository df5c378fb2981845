"""CMA-ES over action sequences, by the PyPI package `cmaes` (extra `cmaes`).

Hansen & Ostermeier (2001); above 50 dimensions the covariance is diagonal (Ros & Hansen 2008); when
the search has converged it starts again with twice the population (Auger & Hansen, IPOP, 2005), as
long as the budget lasts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lqr import InputError

from ..settings import Count, Positive, Settings, Whole
from .base import Array, Objective, Plan, SearchLog, box, evaluate, first

SEPARABLE = 50  # dimensions above which the covariance is diagonal


@dataclass(frozen=True)
class CMAES(Settings):
    """Carries out, and keeps, the best sequence."""

    samples: Count = 400  # action sequences in all: the budget
    population: Whole = 0  # of each generation; 0: 4 + 3 log(dimensions)
    std: Positive = 0.3  # initial standard deviation, as a share of half the range

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the plan; see `Planner`. Raises InputError where the package is missing."""
        middle, half = box(start, low, high)
        z, log, population = (
            (first(start, low, high) - middle) / half,
            SearchLog(),
            self.population or None,
        )
        search: Any = None
        zero = unit = 0.0
        while log.evaluations < self.samples:
            if search is None or search.should_stop():
                again = search is not None
                population = 2 * search.population_size if again else population
                mean = rng.uniform(-1.0, 1.0, size=z.size) if again else np.ravel(z)
                search = _search(mean, self.std, population, rng)
            asked = np.stack([search.ask() for _ in range(search.population_size)])
            U = middle + half * np.clip(asked.reshape(-1, *z.shape), -1.0, 1.0)
            cost = evaluate(objective, U)
            log.add(U, cost)
            finite = cost[np.isfinite(cost)]
            if unit == 0.0:  # its tolerances are for values of about 1
                zero, unit = float(finite.min()), float(np.ptp(finite))
            told = (np.where(np.isfinite(cost), cost, finite.max()) - zero) / (unit or 1.0)
            told = np.where(np.isfinite(cost), told, told.max() + 1.0)  # ranks are all that counts
            search.tell(list(zip(asked, told.tolist(), strict=True)))
        return log.plan(log.U, log.U[None])


def _search(mean: Array, std: float, population: int | None, rng: np.random.Generator) -> Any:
    try:
        from cmaes import CMA, SepCMA
    except ImportError:
        raise InputError(
            "the planner 'cma' needs the package cmaes; install it: pip install cmaes"
        ) from None
    kind = SepCMA if len(mean) > SEPARABLE else CMA
    bounds = np.tile([-1.0, 1.0], (len(mean), 1))
    seed = int(rng.integers(2**31))
    return kind(np.clip(mean, -1.0, 1.0), std, bounds=bounds, seed=seed, population_size=population)
