"""Plan a whole episode, carry it out blindly, learn from what came, plan again: the baseline that
MPC is an answer to.

    u_0 .. u_T-1  <-  argmin  sum_t c(x_t, u_t)    subject to   x_t+1 = f(x_t, u_t), the model,    from the start x_0

Each episode is one plan from its start, and no step of it is reconsidered; the data of all episodes
go to the model. Where model and world disagree, the plan drifts off, which is what planning anew in
each step repairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import CEM, PlannerSetting
from ..settings import Count
from .steps.loop import MPCSettings, train_mpc

ACTOR = "planner"  # whose the column cost is


@dataclass(frozen=True)
class Config(MPCSettings):
    """Settings of open-loop planning."""

    planner: PlannerSetting = CEM(samples=400, elites=40, iterations=20)  # of action sequences
    horizon: Count = 1000  # steps planned ahead; at most an episode's


PAPER = replace(
    Config(), planner=CEM(samples=500, elites=50, iterations=50), hidden=(200, 200, 200)
)


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    every = min(config.horizon, task.horizon)
    return train_mpc(task, config, rng, state, replan_every=every)
