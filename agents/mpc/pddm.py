"""PDDM: an ensemble, and a planner that filters its noise and weighs all sequences by reward.

At each step, of sequences U = u_t .. u_t+H-1 and their mean rewards R(U) over the ensemble,

    n_t  =  beta e_t + (1 - beta) n_t-1,       e_t normal
    U_i  =  m + n_i,      m  <-  sum_i w_i U_i,      w_i ~ exp(kappa R(U_i) / spread)

Nagabandi, Konolige, Levine & Kumar, Deep Dynamics Models for Learning Dexterous Manipulation
(2019): the mean over an ensemble of a sequence's cost, smooth exploration in the plan, and no
uncertainty beyond the members' disagreement. Here each member's own trajectory is followed
("tsinf") with its noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from dynamics import PROPAGATIONS

from ..interfaces import Iteration, State, Task
from ..planners import PlannerSetting, RewardWeighted
from ..settings import Count, word_of
from .steps.loop import MPCSettings, train_mpc

ACTOR = "planner"  # whose the column cost is


@dataclass(frozen=True)
class Config(MPCSettings):
    """Settings of PDDM."""

    planner: PlannerSetting = RewardWeighted(
        samples=100, std=0.9, iterations=3
    )  # of action sequences
    # of the model's uncertainty: mean, sample, ts1, tsinf, moment; what needs members is mean in
    # another model
    propagation: Annotated[str, word_of(PROPAGATIONS)] = "tsinf"
    particles: Count = 5  # trajectories of each action sequence; with mean, one


PAPER = replace(
    Config(),
    planner=RewardWeighted(samples=700, std=0.9),
    horizon=7,
    hidden=(500, 500),
)


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    return train_mpc(task, config, rng, state)
