"""PDDM: an ensemble, and a planner that filters its noise and weighs all sequences by reward.

At each step, of sequences U = u_t .. u_t+H-1 and their mean rewards R(U) over the ensemble,

    n_t  =  beta e_t + (1 - beta) n_t-1,       e_t normal
    U_i  =  m + n_i,      m  <-  sum_i w_i U_i,      w_i ~ exp(kappa R(U_i))

Nagabandi, Konolige, Levine & Kumar, Deep Dynamics Models for Learning Dexterous Manipulation
(2019): the mean over an ensemble of a sequence's cost, smooth exploration in the plan, and no
uncertainty beyond the members' disagreement. Here each member's own trajectory is followed
("tsinf") with its noise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import RewardWeighted
from ..settings import Rule, count, or_none, positive
from .loop import Planned, Profile, aggregate


@dataclass(frozen=True)
class Config(Planned):
    """Settings of PDDM."""

    plans: int | None = None  # action sequences
    plan_iterations: int | None = None  # of the planner
    kappa: float = 10.0  # of the reward
    beta: float = 0.7  # of the filter of the noise: 1 is white
    plan_std: float = 0.9  # of the noise before the filter, as a share of half the range

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 100, "plan_iterations": 3, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "tsinf", "particles": 5},
        "paper": {"plans": 700, "plan_iterations": 1, "horizon": 7, "hidden": (500, 500)}
        | {"propagation": "tsinf", "particles": 5},
    }
    RULES: ClassVar[dict[str, Rule]] = {
        **{
            "plans": or_none(count),
            "plan_iterations": or_none(count),
            "kappa": positive,
            "beta": positive,
        },
        "plan_std": positive,
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    planner = RewardWeighted(c.plans, c.kappa, c.beta, c.plan_std, c.plan_iterations)
    return aggregate(task, planner, c, rng, state)
