"""MPC by random shooting in one network: the model-based half of Nagabandi's method.

    model      f minimises  |x' - x - f(x, u)|^2  over all transitions so far
    each step  u_t, the first of  argmin over random U  of  sum_k c(x_k, u_k),   x_k+1 = x_k + f(x_k, u_k)

Nagabandi, Kahn, Fearing & Levine, Neural Network Dynamics for Model-Based Deep Reinforcement
Learning with Model-Free Fine-Tuning (2018), algorithm 1: a network learns the change of state,
random sequences are tried in it, and what came of the best goes to the data. In the true simulator
it is GT-RS of the benchmark of Wang et al. (2019), 1000 sequences of 10.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import RandomShooting
from ..settings import Rule, count, or_none
from .loop import Planned, Profile, aggregate


@dataclass(frozen=True)
class Config(Planned):
    """Settings of MPC by random shooting."""

    model: str = "nn"  # world to plan in: nn, ensemble, gp, or simulator, the task's own
    plans: int | None = None  # action sequences

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 300, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "mean", "particles": 1},
        "paper": {"plans": 1000, "horizon": 10, "hidden": (500, 500)}
        | {"propagation": "mean", "particles": 1},
    }
    RULES: ClassVar[dict[str, Rule]] = {"plans": or_none(count)}


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    return aggregate(task, RandomShooting(c.plans), c, rng, state)
