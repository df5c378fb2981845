"""PETS: probabilistic ensembles with trajectory sampling; MPC by the cross-entropy method in what
five networks know.

    model     x' ~ N(mu_b(x, u), Sigma_b(x, u)),  five networks b, each trained on a bootstrap of the transitions
    particle  goes on with one network (TSinf), or draws one anew at each step (TS1)
    cost      J(U) = mean over the particles of  sum_t c(x_t, u_t);   minimised by CEM at each step

Chua, Calandra, McAllister & Levine, Deep Reinforcement Learning in a Handful of Trials using
Probabilistic Dynamics Models (2018), algorithm 1. Particles pass through the members (TS1 or
TSinf), so that a plan's cost is its expectation under noise and under what is not known.
`--profile paper` takes 400 x 5 x 25 x 20 = a million network calls per step.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from dynamics import PROPAGATIONS

from ..interfaces import Iteration, State, Task
from ..planners import CEM, PlannerSetting
from ..settings import Count, word_of
from .steps.loop import MPCSettings, train_mpc

ACTOR = "planner"  # whose the column cost is


@dataclass(frozen=True)
class Config(MPCSettings):
    """Settings of PETS."""

    planner: PlannerSetting = CEM(samples=60, elites=6, iterations=3)  # of action sequences
    # of the model's uncertainty: mean, sample, ts1, tsinf, moment; what needs members is mean in
    # another model
    propagation: Annotated[str, word_of(PROPAGATIONS)] = "tsinf"
    particles: Count = 5  # trajectories of each action sequence; with mean, one


PAPER = replace(
    Config(),
    planner=CEM(samples=400, elites=40, iterations=5),
    hidden=(200, 200, 200),
    particles=20,
)


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    return train_mpc(task, config, rng, state)
