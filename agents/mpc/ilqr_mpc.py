"""MPC by iLQR in a learned model, or in the true one: second-order descent along the horizon, a few
sweeps per step.

At each step, from the last plan, shifted, and from random ones,

    U  <-  argmin  sum_t c(x_t, u_t)    subject to   x_t+1 = f(x_t, u_t),  low <= u_t <= high

by backward passes on the quadratic expansion; the first action of the cheapest is carried out.

Tassa, Erez & Todorov, Synthesis and Stabilization of Complex Behaviors through Online Trajectory
Optimization (2012); in learned models, Mitrovic et al. (2010). The mean of the model is planned in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import ILQR
from ..settings import Rule, count, or_none, positive, zero
from .loop import Planned, Profile, aggregate


@dataclass(frozen=True)
class Config(Planned):
    """Settings of MPC by iLQR."""

    starts: int = 2  # sequences that descend, side by side
    plan_iterations: int | None = None  # backward sweeps
    plan_std: float = 0.2  # of the random starts, as a share of half the range

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plan_iterations": 10, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "mean", "particles": 1},
        "paper": {"plan_iterations": 20, "horizon": 50, "hidden": (200, 200, 200)}
        | {"propagation": "mean", "particles": 1},
    }
    RULES: ClassVar[dict[str, Rule]] = {
        **{"starts": count, "plan_iterations": or_none(count), "plan_std": positive},
        "optimism": zero,  # it descends along the mean
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    return aggregate(task, ILQR(c.starts, c.plan_iterations, c.plan_std), c, rng, state)
