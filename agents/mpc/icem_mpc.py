"""MPC by iCEM, the cross-entropy method with coloured noise and a memory: in an ensemble, or in any
other world.

At each step, of sequences U = u_t .. u_t+H-1 and their prices J(U) in the model,

    U_i   =  m + s n_i,      the power of n_i along the steps falls as 1 / frequency^colour
    m, s  <- a (m, s) + (1 - a) (mean and deviation of the elites, the cheapest U_i),    a = smoothing

a few times over, with fewer sequences each time; some elites of the last iteration, and of the last
step, are tried again, and the first action of the cheapest sequence of all is carried out.

Pinneri, Sawant, Blaes, Achterhold, Stueckler, Rolinek & Martius, Sample-efficient Cross-Entropy
Method for Real-time Planning (2020), algorithm 1; the numbers of `profile="paper"` are those of its
budget of 100 sequences, which it plans with in the true physics. Where limits are far wider than
what is wanted of the motors, as with an arm, `plan_std` is what matters: a search that begins with
strong noise pays for the noise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import ICEM
from ..settings import Rule, count, not_negative, or_none, positive, share
from .loop import Planned, Profile, aggregate


@dataclass(frozen=True)
class Config(Planned):
    """Settings of MPC by iCEM."""

    # action sequences in the first iteration of the planner; 1.25 times fewer in each other
    plans: int | None = None
    elites: int | None = None  # the best of them
    plan_iterations: int | None = None  # of the planner
    plan_std: float = 0.5  # of the first noise, as a share of half the range
    colour: float = 2.0  # exponent of the noise's spectrum; 0: white
    smoothing: float = 0.1  # share of the old mean and standard deviation that is kept

    PROFILES: ClassVar[Mapping[str, Profile]] = {
        "cpu": {"plans": 60, "elites": 10, "plan_iterations": 3, "horizon": 25, "hidden": (64, 64)}
        | {"propagation": "tsinf", "particles": 5},
        "paper": {
            "plans": 40,
            "elites": 10,
            "plan_iterations": 3,
            "horizon": 30,
            "hidden": (200, 200, 200),
        }
        | {"propagation": "tsinf", "particles": 20},
    }
    RULES: ClassVar[dict[str, Rule]] = {
        **{"plans": or_none(count), "elites": or_none(count), "plan_iterations": or_none(count)},
        **{"plan_std": positive, "colour": not_negative, "smoothing": share},
    }

    def planner(self) -> ICEM:
        """Returns the planner of settled settings."""
        assert self.plans is not None
        assert self.elites is not None
        assert self.plan_iterations is not None
        elites = min(self.elites, self.plans)
        how = {"colour": self.colour, "smoothing": self.smoothing}
        return ICEM(self.plans, elites, self.plan_iterations, std=self.plan_std, **how)


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    c = config.settled()
    return aggregate(task, c.planner(), c, rng, state)
