"""Trajectory-centric learning: local models and local controllers only, no network.

    trials      of each controller p, u ~ N(K x + k, S), with its noise
    dynamics    x' ~ N(F [x; u] + f, cov), by regression at each step, under the prior
    controller  p  <-  argmin E [cost]   subject to   KL(p || last p) <= epsilon, in each condition

Levine and Abbeel, Learning Neural Network Policies with Guided Policy Search under Unknown Dynamics
(2014), section 3:
sample each controller, fit its dynamics, minimise the expected cost within a KL bound, repeat.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.policies.linear_gaussian import ControllerPolicy

from .steps import trajectory_step as lc
from .steps.local_policies import Rounds
from .steps.settings import Local, Rule, not_negative
from .steps.simulated_pretraining import rehearse


@dataclass(frozen=True)
class Config(Local):
    """Settings of the trajectory-centric method."""

    rehearsal: int = 0  # iterations in the simulator of that prior, at first and when it is found to be wrong; 0: none

    RULES: ClassVar[dict[str, Rule]] = {"rehearsal": not_negative}


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    rounds = Rounds(task, config, state)
    if config.rehearsal and not state:
        rehearse(train, rounds, rng)
    for number in rounds.left:
        known = rounds.learn(rounds.sample(rng))
        step = lc.improve(known.local, known.dynamics, known.cost, known.epsilon)
        rounds.adopt(known, step)
        if (
            config.rehearsal and rounds.prior.model.moved > 0.01
        ):  # what was rehearsed was another world
            rehearse(train, rounds, rng)
        report = rounds.report(known, step, rng)
        yield Iteration(
            number, ControllerPolicy(rounds.controller, rounds.chart), *report, rounds.state(number)
        )
