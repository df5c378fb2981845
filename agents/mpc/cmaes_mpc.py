"""MPC by CMA-ES in a learned model: the evolution strategy that adapts a whole covariance.

At each step, of sequences U = u_t .. u_t+H-1 and their prices in the model,

    U_i  ~  N(m, s^2 C)
    m    <- sum w_i U_i over the cheaper half;  C, s  <-  from the steps that led there and the path of m

and the first action of the cheapest sequence is carried out.

Hansen & Ostermeier, Completely Derandomized Self-Adaptation in Evolution Strategies (2001), by the
package `cmaes`; above 50 dimensions the covariance is diagonal.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import CMAES
from ..settings import Rule, count, or_none, positive
from .loop import Planned, Profile, aggregate


@dataclass(frozen=True)
class Config(Planned):
    """Settings of MPC by CMA-ES."""

    plans: int | None = None  # action sequences in all
    plan_std: float = 0.3  # initial standard deviation, as a share of half the range

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 200, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "mean", "particles": 1},
        "paper": {"plans": 2000, "horizon": 30, "hidden": (200, 200, 200)}
        | {"propagation": "mean", "particles": 1},
    }
    RULES: ClassVar[dict[str, Rule]] = {"plans": or_none(count), "plan_std": positive}


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    return aggregate(task, CMAES(c.plans, std=c.plan_std), c, rng, state)
