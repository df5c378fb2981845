"""MPC by path integrals in a learned model.

At each step, of sequences U = u_t .. u_t+H-1 and their prices J(U) in the model,

    V_i  =  m + noise,      m  <-  sum_i w_i V_i,      w_i ~ exp(-J(V_i) / lambda)

and the first action of m is carried out.

Williams, Wagener, Goldfain, Drews, Rehg, Boots & Theodorou, Information Theoretic MPC for
Model-Based Reinforcement Learning (2017): a network learns the dynamics, and the plan is the mean
of all sequences, weighted by exp(-cost / lambda).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import MPPI
from ..settings import Rule, count, or_none, positive
from .loop import Planned, Profile, aggregate


@dataclass(frozen=True)
class Config(Planned):
    """Settings of MPPI."""

    plans: int | None = None  # action sequences in each iteration of the planner
    plan_iterations: int | None = None  # of the planner
    temperature: float = 0.3  # lambda, in units of the cost
    plan_std: float = 0.5  # of the noise, as a share of half the range

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 100, "plan_iterations": 3, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "mean", "particles": 1},
        "paper": {"plans": 1200, "plan_iterations": 1, "horizon": 50, "hidden": (32, 32)}
        | {"propagation": "mean", "particles": 1},
    }
    RULES: ClassVar[dict[str, Rule]] = {
        **{
            "plans": or_none(count),
            "plan_iterations": or_none(count),
            "temperature": positive,
            "plan_std": positive,
        },
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    planner = MPPI(c.plans, c.temperature, c.plan_std, iterations=c.plan_iterations)
    return aggregate(task, planner, c, rng, state)
