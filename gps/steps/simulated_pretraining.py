"""Pretraining in simulation: controllers are improved in the prior's simulator before they act in
the task.

The method itself runs from the start on a task whose dynamics are those of the prior's simulator.
Its controllers are taken in the conditions where they cost less there than the present ones.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from agents.interfaces import Task
from agents.rollout import rollout
from agents.tasks.base.wrapper import Wrapper
from dynamics import Chart, SimulatorPrior
from lqr import InputError

from .local_data import in_chart
from .local_policies import LocalPolicies
from .step_size import select, select_controllers

Array = np.ndarray


class SimulatedTask(Wrapper):
    """A task whose dynamics are those of a prior's simulator; starts, ends and costs are the
    task's, and its observation is the state.
    """

    parameters = ()  # none of this simulator's is to be identified

    def __init__(self, task: Task, prior: SimulatorPrior):
        super().__init__(task)
        self._prior, self.do = prior, task.dx
        self.simulator = self

    def __call__(self, x: Array, u: Array, factors: Array) -> Array:
        """Returns the states one step after x (M, dx) under u (M, du)."""
        return self._prior.model.step(x, u)

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts as the task does."""
        self._x = self.task.reset(conditions, rng)
        return self._x

    def step(self, u: Array) -> Array:
        """Returns the states x (B, dx) after a step of the simulator, NaN where it fails."""
        self._x = self._prior.model.step(self._x, u)
        return self._x

    def observe(self) -> Array:
        """Returns the states, (B, dx)."""
        return self._x

    def done(self) -> Array:
        """Returns which simulations have failed, (B,)."""
        return ~np.isfinite(self._x).all(1)

    diverged = property(done)


def pretrain(train: Callable[..., Any], local: LocalPolicies, rng: np.random.Generator) -> None:
    """Replaces the controllers to be tried next where `config.pretraining` iterations of `train` in
    the simulator find better ones.

    Raises InputError for a prior that has no simulator.
    """
    task, prior = local.task, local.prior
    config: Any = local.config  # a method's, with `pretraining`
    if not isinstance(prior, SimulatorPrior):
        raise InputError(
            f"got pretraining with the prior {type(prior).__name__}; expected the prior simulator"
        )
    simulated: Any = SimulatedTask(task, prior)
    alone = replace(
        config,
        iterations=config.pretraining,
        samples=1,
        prior=SimulatorPrior(identify=False),  # it is this task's dynamics
        prior_strength=None,
        pretraining=0,
        probe=False,
        initial=local.initial,
    )
    *_, last = train(simulated, alone, rng)
    found, chart = last.policy.controller, last.policy.chart
    every = np.arange(task.conditions)
    old = rollout(simulated, local.controller, every, 1, rng, noise=0.0, chart=local.chart)
    new = rollout(simulated, found, every, 1, rng, noise=0.0, chart=chart)
    old_cost, new_cost = (np.where(t.failed, np.inf, t.cost.sum(-1)) for t in (old, new))
    better = new_cost < old_cost
    local.controller = select_controllers(better, found, local.controller)
    if local.data:
        predicted = np.where(better, local.data.cost - new_cost, local.data.predicted)
        local.data = local.data._replace(predicted=predicted)
    if local.chart:
        origin = select(better, chart.origin, local.chart.origin)
        local.chart = Chart(local.chart.manifold, origin)
        local.data = local.data and in_chart(local.data, local.chart)
