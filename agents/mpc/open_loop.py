"""Plan a whole episode, carry it out blindly, learn from what came, plan again: the baseline that
MPC is an answer to.

    u_0 .. u_T-1  <-  argmin  sum_t c(x_t, u_t)    subject to   x_t+1 = f(x_t, u_t), the model,    from the start x_0

Each episode is one plan from its start, and no step of it is reconsidered; the data of all episodes
go to the model. Where model and world disagree, the plan drifts off, which is what planning anew in
each step repairs.
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
    """Settings of open-loop planning."""

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {
            "plans": 400,
            "elites": 40,
            "plan_iterations": 20,
            "horizon": 1000,
            "hidden": (64, 64),
        }
        | {"propagation": "mean", "particles": 1},
        "paper": {
            "plans": 500,
            "elites": 50,
            "plan_iterations": 50,
            "horizon": 1000,
            "hidden": (200, 200, 200),
        }
        | {"propagation": "mean", "particles": 1},
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    return aggregate(task, c.planner(), c, rng, state, every=min(c.horizon, task.horizon))
