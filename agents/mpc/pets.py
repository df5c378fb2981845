"""PETS: probabilistic ensembles with trajectory sampling; MPC by the cross-entropy method in what
five networks know.

    model     x' ~ N(mu_b(x, u), Sigma_b(x, u)),  five networks b, each trained on a bootstrap of the transitions
    particle  goes on with one network (TSinf), or draws one anew at each step (TS1)
    price     J(U) = mean over the particles of  sum_t c(x_t, u_t);   minimised by CEM at each step

Chua, Calandra, McAllister & Levine, Deep Reinforcement Learning in a Handful of Trials using
Probabilistic Dynamics Models (2018), algorithm 1. Particles pass through the members (TS1 or
TSinf), so that a plan's price is its expected cost under noise and under what is not known.
`profile="paper"` costs 400 x 5 x 25 x 20 = a million network calls per step.
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
    """Settings of PETS."""

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 60, "elites": 6, "plan_iterations": 3, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "tsinf", "particles": 5},
        "paper": {
            "plans": 400,
            "elites": 40,
            "plan_iterations": 5,
            "horizon": 25,
            "hidden": (200, 200, 200),
        }
        | {"propagation": "tsinf", "particles": 20},
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    return aggregate(task, c.planner(), c, rng, state)
