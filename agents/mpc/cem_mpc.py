"""MPC by the cross-entropy method: the planner of PETS in any world; in the true simulator, GT-CEM
of the benchmark.

At each step, of sequences U = u_t .. u_t+H-1 and their prices J(U) in the model,

    U_i   ~  N(m, v) within the limits
    m, v  <- a (m, v) + (1 - a) (mean and variance of the elites, the cheapest U_i),    a = smoothing

a few times over; the first action of m is carried out. The population of `profile="paper"` is that
of Wang et al., Benchmarking Model-Based Reinforcement Learning (2019): 500 sequences of 30 steps, 5
iterations.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..interfaces import Iteration, State, Task
from .cem_settings import CEMSettings
from .loop import Profile, aggregate


@dataclass(frozen=True)
class Config(CEMSettings):
    """Settings of MPC by CEM."""

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 100, "elites": 10, "plan_iterations": 3, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "mean", "particles": 1},
        "paper": {
            "plans": 500,
            "elites": 50,
            "plan_iterations": 5,
            "horizon": 30,
            "hidden": (200, 200, 200),
        }
        | {"propagation": "mean", "particles": 1},
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    return aggregate(task, c.planner(), c, rng, state)
