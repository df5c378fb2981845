"""Collect, fit and improve side by side: each takes the newest of what it needs, and waits for nobody.

    collect    D   <-  D + episodes of the newest pi
    fit        p   <-  arg max  sum over D of log p(x' | x, u), an ensemble,    whenever D has grown
    improve    pi  <-  trust-region steps on what the newest p imagines,        all the time

Zhang, Clavera, Tsai & Abbeel, Asynchronous Methods for Model-Based Reinforcement Learning (2019),
with the updates of `me_trpo`: a robot that takes a second for each second (`--pace 20`) is then the
only one that is waited for. `--schedule lockstep` is `me_trpo` itself, to the bit; `processes` needs
this machine, `ray` any number of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lqr import InputError

from ..interfaces import Iteration, State, Task
from . import me_trpo
from .steps.on_policy import OnPolicy
from .steps.schedules import scheduled

ACTOR = "policy"
TABLE_ONLY = ("timeline",)  # (turns, 3): 1 fit or 2 improve, from when, until when, s


@dataclass(frozen=True)
class Config(me_trpo.Config):
    """Settings of the asynchronous schedule, and of `me_trpo`."""

    schedule: Literal["lockstep", "processes", "ray"] = "lockstep"  # who works where
    ray: str = "local"  # address of a Ray cluster's head node; local: one of this run's own

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fit_every != 1:
            raise InputError(
                f"fit_every is {self.fit_every}; expected 1: the model is fitted whenever there are new episodes"
            )


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError as `mbpo` does, and where Ray is not there.
    """
    run = OnPolicy(task, config, rng, state)
    with scheduled(run, me_trpo.update_of) as schedule:
        for _ in run.iterations():
            found = run.collect(schedule.waiting)
            told = schedule.after_round()
            yield run.iteration(found, told, schedule.numbers(), {"timeline": schedule.timeline})
