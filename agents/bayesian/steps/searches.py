"""Searches by CMA-ES side by side, by the PyPI package `cmaes` (extra `cmaes`).

Hansen & Ostermeier (2001). Each search begins elsewhere in the box, and starts again with twice the
population when it has converged (Auger & Hansen, IPOP, 2005); all of a generation are evaluated
together, which is what makes a batch of them cheap. One search ends in a poor optimum every second
time or more; the values say which does not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lqr import InputError

from ...interfaces import Array


class Found(NamedTuple):
    """What each of K searches found."""

    best: Array  # (K, d), where the value was lowest
    values: Array  # (K,)
    evaluations: int  # of all together


def search(
    objective: Callable[[Array], Array],
    first: Array,
    box: float,
    std: float,
    evaluations: int,
    population: int,
    rng: np.random.Generator,
) -> Found:
    """Returns the minima of `objective`, which maps points (N, d) to values (N,), in [-box, box]^d.

    One search begins at each row of `first` (K, d) with the standard deviation `std`; `population`
    is that of each, 0 for 4 + 3 log(d). A value that is not finite is worse than any other. Raises
    InputError where the package is missing.
    """
    K, d = first.shape
    population = population or 4 + int(3 * np.log(d))
    runs = [_search(mean, box, std, population, rng) for mean in first]
    best, values, spent = first.copy(), np.full(K, np.inf), 0
    while spent < evaluations:
        asked = [np.stack([run.ask() for _ in range(run.population_size)]) for run in runs]
        found = np.asarray(objective(np.concatenate(asked)), dtype=float)
        spent += len(found)
        parts = np.split(found, np.cumsum([len(a) for a in asked])[:-1])
        for i, (points, cost) in enumerate(zip(asked, parts, strict=True)):
            cost = np.where(np.isfinite(cost), cost, np.inf)
            k = int(np.argmin(cost))
            if cost[k] < values[i]:
                best[i], values[i] = points[k], cost[k]
            runs[i].tell(list(zip(points, _ranked(cost), strict=True)))
            if runs[i].should_stop():
                anew, size = np.asarray(rng.uniform(-box, box, d)), 2 * runs[i].population_size
                runs[i] = _search(anew, box, std, size, rng)
    return Found(best, values, spent)


def _ranked(cost: Array) -> list[float]:
    """Returns values of about 1, as the package's tolerances take them, in the same order."""
    finite = cost[np.isfinite(cost)]
    if not len(finite):
        return [0.0] * len(cost)
    unit = float(np.ptp(finite)) or 1.0
    told = (np.where(np.isfinite(cost), cost, finite.max()) - finite.min()) / unit
    return np.where(np.isfinite(cost), told, 2.0).tolist()


def _search(mean: Array, box: float, std: float, population: int, rng: np.random.Generator) -> Any:
    try:
        from cmaes import CMA
    except ImportError:
        raise InputError(
            "searches by CMA-ES need the package cmaes; install it: pip install cmaes"
        ) from None
    bounds = np.tile([-box, box], (len(mean), 1))
    seed = int(rng.integers(2**31))
    return CMA(
        np.clip(mean, -box, box),
        std,
        bounds=bounds,
        n_max_resampling=1,
        seed=seed,
        population_size=population,
    )
