"""Rehearsal: controllers are improved in the prior's simulator, where trials cost nothing, before
they are tried.

The method itself runs on a task whose world is the simulator that the prior believes in, from the
start; what comes of it is taken where it does better there than the controllers at hand.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from agents.interfaces import Task
from agents.rollout import rollout
from agents.tasks.base.wrapper import Wrapper
from dynamics import Chart, SimulatorPrior
from lqr import InputError, LinearGaussianController

from .local_policies import Rounds
from .trajectory_step import choose, in_chart

Array = np.ndarray


class Imagined(Wrapper):
    """A task whose world is a prior's simulator; it starts, ends and costs as the task does, and
    shows its state.
    """

    parameters = ()  # as a simulator, it is taken for what it is

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
        """Returns the states x (B, dx) where the simulator goes, NaN where it fails."""
        self._x = self._prior.model.step(self._x, u)
        return self._x

    def observe(self) -> Array:
        """Returns the states, (B, dx)."""
        return self._x

    def done(self) -> Array:
        """Returns which simulations have failed, (B,)."""
        return ~np.isfinite(self._x).all(1)

    diverged = property(done)


def rehearse(train: Callable[..., Any], rounds: Rounds, rng: np.random.Generator) -> None:
    """Replaces the controllers to be tried next where `config.rehearsal` iterations of `train` find
    better ones.

    Raises InputError for a prior that has no simulator.
    """
    task, prior, config = rounds.task, rounds.prior, rounds.config
    if not isinstance(prior, SimulatorPrior):
        raise InputError(
            f"got a rehearsal with the prior {type(prior).__name__}; expected the prior simulator"
        )
    world: Any = Imagined(task, prior)
    many = config.rehearsal  # type: ignore[attr-defined]
    exact = {
        "prior": SimulatorPrior(identify=False),
        "prior_strength": None,
    }  # that prior is the imagined world
    alone: dict[str, Any] = {"rehearsal": 0, "samples": 1, **exact}
    *_, last = train(world, replace(config, iterations=many, **alone), rng)
    found: LinearGaussianController = last.policy.controller
    every = np.arange(task.conditions)
    pair = (rounds.controller, rounds.chart), (found, last.policy.chart)
    trials = [rollout(world, c, every, 1, rng, noise=0.0, chart=chart) for c, chart in pair]
    now, then = (np.where(t.failed, np.inf, t.cost.sum(-1)) for t in trials)
    pairs = zip(found, rounds.controller, strict=True)
    rounds.controller = LinearGaussianController(*(choose(then < now, a, b) for a, b in pairs))
    if rounds.old:
        promised = np.where(then < now, rounds.old.cost - then, rounds.old.predicted)
        rounds.old = rounds.old._replace(predicted=promised)
    if rounds.chart:
        origin = choose(then < now, last.policy.chart.origin, rounds.chart.origin)
        rounds.chart = Chart(rounds.chart.manifold, origin)
        rounds.old = rounds.old and in_chart(rounds.old, rounds.chart)
