"""Teachers: a policy for each condition, which learns there alone, by a method of its own."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from agents.baselines import trpo
from agents.interfaces import Iteration, State, Task
from agents.rollout import Trajectories, run_rows
from agents.saving import build_policy, state_of
from agents.tasks.capabilities import LearnedCost, capability
from agents.tasks.wrappers.one_condition import OneCondition
from agents.training import COUNTS, Training

from ... import badmm

Array = np.ndarray
TEACHERS = {"badmm": badmm, "trpo": trpo}
"""How a teacher learns: guided policy search, or a few thousand episodes without a model."""


class Teachers:
    """They learn in turn; `state` holds all that a new one needs to go on."""

    def __init__(self, task: Task, c: Any, rng: np.random.Generator, state: State | None = None):
        """`c` are settings of teachers. Begins, or restores what `state` holds."""
        self.task, self.c, self.rng = task, c, rng
        parts = state["learning"] if state else {}
        self.states: dict[int, State] = {int(i): part for i, part in parts.items()}
        kept = state["policies"] if state else {}
        self.policies = {int(i): build_policy(part, "a teacher") for i, part in kept.items()}
        self.cost = state["cost"] if state else np.full(task.conditions, np.nan)
        self.running: dict[int, Iterator[Iteration]] = {}

    def advance(self, training: Training) -> float:
        """Lets each of them learn for an iteration, whose episodes are counted; returns what an
        episode cost in the mean.
        """
        found = [self._advance(i, training) for i in range(self.task.conditions)]
        return float(np.mean([row.scalars["sampled_cost"] for row in found]))

    def _advance(self, i: int, training: Training) -> Iteration:
        if i not in self.running:
            self.running[i] = self._begun(i)
        row = next(self.running[i])
        before = self.states.get(i, {})
        episodes, steps, looked, looked_steps = (
            row.state[n] - before.get(n, 0) for n in COUNTS[1:]
        )
        training.add(episodes, steps)
        training.evaluation_episodes += looked
        training.evaluation_steps += looked_steps
        self.states[i] = {name: part for name, part in row.state.items() if name != "rewards"}
        self.policies[i] = row.policy
        cost = row.scalars.get("policy_cost", row.scalars["cost"])
        if np.isfinite(cost):
            self.cost = self.cost.copy()
            self.cost[i] = cost
        return row

    def _begun(self, i: int) -> Iterator[Iteration]:
        method, kept = TEACHERS[self.c.teacher], self.states.get(i)
        if kept and (shared := capability(self.task, LearnedCost)):
            kept = {**kept, "rewards": shared.learned.state()}
        last = self.c.iterations - self.c.rounds
        config = method.Config(
            iterations=last,
            samples=self.c.teacher_samples,
            hidden=self.c.teacher_hidden,
            evaluate_every=last if self.c.evaluate_every else 0,
        )
        task: Any = OneCondition(self.task, i)
        return method.train(task, config, self.rng, kept)

    def rollout(self, samples: int, rng: np.random.Generator, noise: float = 1.0) -> Trajectories:
        """Returns so many episodes of each condition, by its teacher, condition by condition."""
        which = np.repeat(np.arange(self.task.conditions), samples)
        shape = (len(which), self.task.horizon, self.task.du)
        draws = noise * rng.standard_normal(shape) if noise else np.zeros(shape)

        def act(x: Array, o: Array, t: int, rows: slice) -> Array:
            u = np.empty((len(o), self.task.du))
            for i in np.unique(which[rows]):
                own = which[rows] == i
                spread = np.linalg.cholesky(self.policies[i].covariance(o[own]))
                step = (spread @ draws[rows, t][own][..., None])[..., 0]
                u[own] = self.policies[i].mean(o[own]) + step
            return u

        return run_rows(self.task, act, which, rng)

    def state(self) -> State:
        """Returns what a new one needs to go on."""
        return {
            "learning": {str(i): part for i, part in self.states.items()},
            "policies": {str(i): state_of(policy) for i, policy in self.policies.items()},
            "cost": self.cost,
        }
