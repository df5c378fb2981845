"""MPC by gradient descent through a learned model, from several starts, of which one is a short
search by CEM.

With A, B = d x' / d(x, u) along the trajectory of a sequence,

    l_t      =  dc/dx_t + A_t' l_t+1
    dJ/du_t  =  dc/du_t + B_t' l_t+1,       u_t <- u_t - Adam's step, within the limits

Slopes come from the model's exact tangents by the adjoint recursion; Adam takes the steps. The
combination of sampling with gradients is that of Bharadhwaj, Xie & Shkurti, Model-Predictive
Control via Cross-Entropy and Gradient-Based Optimization (2020).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import CEM, Gradient
from ..settings import Rule, count, or_none, positive, zero
from .loop import Planned, Profile, aggregate


@dataclass(frozen=True)
class Config(Planned):
    """Settings of MPC by gradient descent."""

    starts: int = 4  # sequences that descend, side by side
    plan_iterations: int | None = None  # of Adam
    plan_rate: float = 0.1  # Adam's step, as a share of half the range
    plans: int | None = None  # action sequences of the search that gives the first start

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plan_iterations": 10, "plans": 50, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "mean", "particles": 1},
        "paper": {"plan_iterations": 30, "plans": 400, "horizon": 30, "hidden": (200, 200, 200)}
        | {"propagation": "mean", "particles": 1},
    }
    RULES: ClassVar[dict[str, Rule]] = {
        **{
            "starts": count,
            "plan_iterations": or_none(count),
            "plan_rate": positive,
            "plans": or_none(count),
        },
        "optimism": zero,  # it descends along the mean
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    warm = CEM(c.plans, max(c.plans // 10, 2), 2)
    return aggregate(task, Gradient(c.starts, c.plan_iterations, c.plan_rate, warm), c, rng, state)
