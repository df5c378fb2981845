"""MPC by the cross-entropy method: the planner of PETS in any world; in the true simulator, GT-CEM of the benchmark.

The population of `profile="paper"` is that of Wang et al., Benchmarking Model-Based Reinforcement Learning (2019): 500
sequences of 30 steps, 5 iterations.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .interfaces import Iteration, State, Task
from .planned import Planned, Profile, aggregate
from .planners import CEM
from .rules import Rule, count, or_none, share


@dataclass(frozen=True)
class Config(Planned):
    """Settings of MPC by CEM."""

    plans: int | None = None  # action sequences in each iteration of the planner
    elites: int | None = None  # the best of them
    plan_iterations: int | None = None  # of the planner
    smoothing: float = 0.1  # share of the old mean and variance that is kept
    best: bool = False  # carry out the best sequence instead of the mean

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 100, "elites": 10, "plan_iterations": 3, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "mean", "particles": 1},
        "paper": {"plans": 500, "elites": 50, "plan_iterations": 5, "horizon": 30, "hidden": (200, 200, 200)}
        | {"propagation": "mean", "particles": 1},
    }
    RULES: ClassVar[dict[str, Rule]] = {
        **{"plans": or_none(count), "elites": or_none(count), "plan_iterations": or_none(count), "smoothing": share},
    }


def train(task: Task, config: Config, rng: np.random.Generator, state: State | None = None) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    planner = CEM(c.plans, min(c.elites, c.plans), c.plan_iterations, c.smoothing, best=c.best)
    return aggregate(task, planner, c, rng, state)
