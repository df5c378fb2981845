"""Trajectory-centric learning: local models and local controllers only, no network.

Levine and Abbeel, Learning Neural Network Policies with Guided Policy Search under Unknown Dynamics (2014), section 3:
sample each controller, fit its dynamics, minimise the expected cost within a KL bound, repeat.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.controllers import ControllerPolicy
from agents.interfaces import Iteration, State, Task
from agents.rollout import rollout
from dynamics import make_prior

from . import local as lc
from .settings import check, count, positive


@dataclass(frozen=True)
class Config:
    """Settings of the trajectory-centric method."""

    iterations: int = 25  # rounds of trials
    samples: int = 2  # trials of each condition in each iteration
    prior: str = "gmm"  # prior global model: flat, gmm
    kl_step: float = 10.0  # nats per trajectory, the first step; adapted per condition from then on
    max_kl_step: float = 200.0  # nats per trajectory, the largest step
    initial_std: float = 0.01  # exploration at the start, as a share of half the action range
    min_std: float = 0.01  # exploration never falls below this, same unit

    def __post_init__(self) -> None:
        check(
            self,
            iterations=count,
            samples=count,
            kl_step=positive,
            max_kl_step=positive,
            initial_std=positive,
            min_std=positive,
        )


def train(task: Task, config: Config, rng: np.random.Generator, state: State | None = None) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    every, scale = np.arange(task.conditions), lc.action_scale(task)
    prior = make_prior(config.prior)
    controller, old, first = lc.initial_controller(task, config.initial_std), None, 1
    if state:
        controller, old, first = lc.resume(state, prior)
    for number in range(first, config.iterations + 1):
        trials = rollout(task, controller, every, config.samples, rng)
        new = lc.by_condition(trials, controller, np.ones(task.conditions))
        prior.update(*lc.transitions(new))
        promised = old.predicted if old else np.zeros(task.conditions)
        local, accepted, actual = lc.judge(old, new, config.max_kl_step / config.kl_step)
        dynamics = lc.fit(local, prior)
        cost = lc.expand(task.cost, local)
        step = lc.improve(local, dynamics.dynamics, cost, config.kl_step * local.multiplier)
        controller = lc.with_floor(step.controller, config.min_std, scale)
        test = rollout(task, controller, every, 1, rng, noise=0.0)
        old = local._replace(predicted=step.predicted)
        scalars, arrays = lc.report(task, local, trials, test, step, accepted, promised, actual, dynamics)
        yield Iteration(
            number, ControllerPolicy(controller), scalars, arrays, lc.freeze(number, controller, old, prior)
        )
