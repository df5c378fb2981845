"""Trajectory-centric learning: local models and local controllers only, no network.

    episodes    of each controller p, u ~ N(K x + k, S), with its noise
    dynamics    x' ~ N(F [x; u] + f, cov), by regression at each step, under the prior
    controller  p  <-  argmin E [cost]   subject to   KL(p || last p) <= epsilon, in each condition

Levine and Abbeel, Learning Neural Network Policies with Guided Policy Search under Unknown Dynamics
(2014), section 3: sample each controller, fit its dynamics, minimise the expected cost within a KL
bound, repeat. A condition is a start (and goal).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.settings import Count, Whole
from lqr import InputError

from .steps.local_policies import LocalPolicies
from .steps.settings import LocalSettings, RestartSettings
from .steps.simulated_pretraining import pretrain
from .steps.starts import best_of_starts
from .steps.trajectory_step import trajectory_step

ACTOR = "controllers"  # whose the column cost is


@dataclass(frozen=True)
class Config(RestartSettings, LocalSettings):
    """Settings of the trajectory-centric method."""

    # iterations in the prior's simulator, at first and when that is found to be wrong; 0: none
    pretraining: Whole = 0
    # controllers that each condition begins with; after `initial_iterations` the best goes on
    initial_controllers: Count = 1
    initial_iterations: Count = 8  # of the iterations, those with all the starts, which none shows

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.initial_controllers > 1 and self.initial_iterations >= self.iterations:
            raise InputError(
                f"initial_iterations is {self.initial_iterations}; expected less than iterations = "
                f"{self.iterations}, as the best controller goes on from there"
            )


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    if config.initial_controllers > 1 and not state:
        state = best_of_starts(train, task, config, rng)
    local = LocalPolicies(task, config, rng, state)
    if config.pretraining and not state:
        pretrain(train, local, rng)
    for _ in local.iterations():
        fit = local.fit_models(local.sample(rng))
        step = trajectory_step(fit.data, fit.dynamics, fit.cost, fit.epsilon)
        local.update(fit, step)
        if config.pretraining and local.prior.model.moved > 0.01:  # the simulator was wrong
            pretrain(train, local, rng)
        yield local.iteration(fit, step, rng)
