"""PETS: probabilistic ensembles with trajectory sampling; MPC by the cross-entropy method in what five networks know.

Chua, Calandra, McAllister & Levine, Deep Reinforcement Learning in a Handful of Trials using Probabilistic Dynamics
Models (2018), algorithm 1. Particles pass through the members (TS1 or TSinf), so that a plan's price is its expected
cost under noise and under what is not known. `profile="paper"` costs 400 x 5 x 25 x 20 = a million network calls per
step.
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
    """Settings of PETS."""

    plans: int | None = None  # action sequences in each iteration of the planner
    elites: int | None = None  # the best of them
    plan_iterations: int | None = None  # of the planner
    smoothing: float = 0.1  # share of the old mean and variance that is kept

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 60, "elites": 6, "plan_iterations": 3, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "tsinf", "particles": 5},
        "paper": {"plans": 400, "elites": 40, "plan_iterations": 5, "horizon": 25, "hidden": (200, 200, 200)}
        | {"propagation": "tsinf", "particles": 20},
    }
    RULES: ClassVar[dict[str, Rule]] = {
        **{"plans": or_none(count), "elites": or_none(count), "plan_iterations": or_none(count), "smoothing": share},
    }


def train(task: Task, config: Config, rng: np.random.Generator, state: State | None = None) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    return aggregate(task, CEM(c.plans, min(c.elites, c.plans), c.plan_iterations, c.smoothing), c, rng, state)
