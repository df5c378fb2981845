"""Controllers and policies as what acts in episodes: x, o, t -> u."""

from collections.abc import Callable

import numpy as np

from dynamics import Chart
from lqr import LinearGaussianController

from ..interfaces import Array, Policy
from .in_turn import Draw
from .noise import OneRow, smoothed
from .trajectories import Act


def controllers(
    actor: LinearGaussianController,
    samples: int,
    rng: np.random.Generator,
    noise: float,
    smoothing: float,
    chart: Chart | None,
) -> Callable[..., Array]:
    group = np.repeat(np.arange(len(actor.k)), samples)
    K, k = (np.repeat(a, samples, axis=0) for a in (actor.K, actor.k))
    spread = np.repeat(np.linalg.cholesky(actor.cov), samples, axis=0)
    draws = rng.standard_normal(k.shape) if noise else np.zeros_like(k)
    steps = noise * (spread @ smoothed(draws, smoothing)[..., None])[..., 0]

    def act(x: Array, o: Array, t: int, rows: slice) -> Array:
        seen = x if chart is None else chart.tangent_at(x, t, group[rows])
        return (K[rows, t] @ seen[..., None])[..., 0] + k[rows, t] + steps[rows, t]

    return act


def acting(policy: Policy, rng: np.random.Generator | None) -> Act:
    if getattr(policy, "input", "o") == "x":
        return lambda x, o, t: policy.sample(x, t, rng)
    return lambda x, o, t: policy.sample(o, t, rng)


def drawing(policy: Policy) -> Draw:
    return lambda x, o, t, rng: acting(policy, rng)(x, o, t)


def row_of(policy: Policy, row: OneRow) -> Act:
    act = acting(policy, row)

    def from_the_start(x: Array, o: Array, t: int) -> Array:
        if t == 0:
            row.restart()
        return act(x, o, t)

    return from_the_start
