"""What is imagined with: a model of the task, what a step of it pays, where it ends, what is seen.

    x'  ~  one member of the ensemble, drawn anew for each row and step, and its noise
    r   =  the task's own cost of the step, or one more coordinate of x' that is learned along
    end =  the task's rule of x', or a logistic function of it that is learned

A reward that is a coordinate has a unit and a noise of its own, so that it does not disturb the
rest of the model; rare ones are no outliers. With the model "simulator" nothing is learned: that is
the bound of what a model can bring.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from dynamics import Ensemble, ReplayBuffer
from dynamics.replay_buffer import Transitions
from lqr import InputError

from ...imagine import imagine
from ...interfaces import Array, Task
from ...learners.learned_end import LearnedEnd
from ...planners.models import SimulatorModel
from ...rollout import Trajectories
from ...settings import Count, Counts, word_of
from ...tasks.capabilities import (
    Ends,
    LearnedCost,
    ObservationOf,
    Projected,
    Rewarded,
    capability,
    manifold_of,
)
from ...tasks.costs.step_cost import StepCost

Known = Literal["task", "learned"]


@dataclass(frozen=True)
class ModelSettings:
    """Settings of what is imagined with."""

    # of the task: ensemble, or simulator, the task's own, which tells what a perfect model brings
    model: Annotated[str, word_of(("ensemble", "simulator"))] = "ensemble"
    members: Count = 5  # networks of the ensemble
    model_hidden: Counts = (64, 64)  # units of their hidden layers
    fit_steps: Count = 300  # minibatch steps of each regression, twice as many on a fresh start
    fit_every: Count = 250  # steps between fits
    reward: Known = "task"  # what a step pays: task, as it says itself, or learned
    ends: Known = "task"  # where episodes end: task, as it says itself, or learned


class EnvironmentModel:
    """The model and its heads; `state` and `load_state` are as a model's."""

    def __init__(self, task: Task, c: Any):
        """`c` are `ModelSettings`. Raises InputError for a task whose observation is no function
        of its state, or that lies on a manifold.
        """
        if manifold_of(task):
            raise InputError(
                f"{task.name} has states on a manifold; expected a plain vector: choose another method"
            )
        self.task, self.c, dx = task, c, task.dx
        self.seen = capability(task, ObservationOf)
        projected, ends = capability(task, Projected), capability(task, Ends)
        self.project = projected.project if projected else None
        self.true = SimulatorModel(task) if c.model == "simulator" else None
        self.cost = StepCost(task)
        pays = capability(task, Rewarded) or capability(task, LearnedCost)
        self.learns_reward = self.true is None and (c.reward == "learned" or pays is not None)
        self.learned_end = LearnedEnd(dx) if c.ends == "learned" or ends is None else None
        self.ends: Callable[[Array], Array] = (
            ends.ended if ends and self.learned_end is None else self._learned_ends
        )
        self.model = Ensemble(
            c.members,
            hidden=c.model_hidden,
            steps=c.fit_steps,
            rare=(dx,) if self.learns_reward else (),
        )
        self.known = 0  # transitions that the model was fitted to

    def fit(self, buffer: ReplayBuffer, rng: np.random.Generator) -> float:
        """Learns from all that is kept; returns the error on what was new, in units of the spread
        of changes, 0 at first.
        """
        data = buffer.data
        if self.seen is None and not np.array_equal(data.x, np.asarray(data.o)):
            raise InputError(
                f"what a policy sees of {self.task.name} is not told as a function of x; expected observation_of(x)"
            )
        if self.learned_end:
            self.learned_end.fit(data.xnext, data.end, rng)  # type: ignore[arg-type]
        if self.true:
            return 0.0
        new = min(buffer.total - self.known, len(buffer)) if self.known else 0
        x, u, xnext = self._extended(data)
        error = self._error(x[-new:], u[-new:], xnext[-new:]) if new else 0.0
        self.known = buffer.total
        self.model.fit(x, u, xnext, rng)
        return error

    def rollouts(
        self,
        policy: Any,
        x0: Array,
        horizon: int,
        rng: np.random.Generator,
        until: Callable[[Array], Array] | None = None,
        bonus: float = 0.0,
        deterministic: bool = False,
    ) -> Trajectories:
        """Returns imagined episodes of the policy from states x0 (N, dx), whose only cost is minus
        the bonus; `rows` tells what they pay besides. With a reward that is learned, x has it as
        its last coordinate, which `rows` takes off again.
        """
        draws = None if deterministic else rng
        doubts = self.doubt if until or bonus else None
        return imagine(
            lambda x, u: self.step(x, u, rng),
            lambda x, o, t: policy.sample(o, t, draws),
            self.extended(x0),
            horizon,
            self.task.action_low,
            self.task.action_high,
            observation_of=self.observation_of,
            ended=lambda x: self.ends(x[..., : self.task.dx]),
            disagreement=doubts,
            until=until,
            bonus=bonus,
        )

    def rows(self, found: Trajectories) -> Transitions:
        """Returns the transitions of imagined episodes, those of diverged ones left out."""
        dx, mask = self.task.dx, found.mask
        x, u, xnext = found.x[:, :-1][mask], found.u[mask], found.x[:, 1:][mask]
        end = np.asarray(self.ends(xnext[:, :dx]), bool)
        reward = self.rewards(x, u, xnext, end) - found.cost[:, :-1][mask]
        return Transitions(x[:, :dx], u, xnext[:, :dx], reward=reward, end=end)

    def rewards(self, x: Array, u: Array, xnext: Array, end: Array) -> Array:
        """Returns what imagined steps pay, (...)."""
        return xnext[..., -1] if self.learns_reward else self.cost.rewards(x, u, xnext, end)

    def step(
        self, x: Array, u: Array, rng: np.random.Generator, member: Array | None = None
    ) -> Array:
        """Returns x' (..., dx), or (..., dx + 1) with the reward; of members (...), or else of one
        drawn for each row.
        """
        dx = self.task.dx
        if self.true:
            return self.true.step(x, u)
        if self.learns_reward:
            x = np.concatenate([x[..., :dx], np.zeros((*x.shape[:-1], 1))], -1)
        if member is None:
            after = self.model.sample(x, u, rng)
        else:
            after = self.model.sample_members(x, u, member, rng)
        if self.project:
            after[..., :dx] = self.project(after[..., :dx])
        return after

    def doubt(self, x: Array, u: Array) -> Array:
        """Returns how much the members disagree, (...); 0 in the simulator."""
        if self.true:
            return np.zeros(x.shape[:-1])
        if self.learns_reward:
            x = np.concatenate([x[..., :-1], np.zeros((*x.shape[:-1], 1))], -1)
        return self.model.disagreement(x, u)

    def observation_of(self, x: Array) -> Array:
        """Returns what a policy sees, (..., do)."""
        x = x[..., : self.task.dx]
        return self.seen.observation_of(x) if self.seen else x

    def extended(self, x: Array) -> Array:
        """Returns states (..., dx) as imagination has them: with a reward of 0, if it is learned."""
        return np.concatenate([x, np.zeros((*x.shape[:-1], 1))], -1) if self.learns_reward else x

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        end = {"end": self.learned_end.state()} if self.learned_end else {}
        return {"model": self.model.state(), "known": self.known, **end}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned."""
        self.model.load_state(state["model"])
        self.known = state["known"]
        if self.learned_end:
            self.learned_end.load_state(state["end"])

    def _extended(self, data: Transitions) -> tuple[Array, Array, Array]:
        if not self.learns_reward:
            return data[:3]
        xnext = np.concatenate([data.xnext, np.reshape(data.reward, (-1, 1))], 1)  # type: ignore[arg-type]
        return self.extended(data.x), data.u, xnext

    def _error(self, x: Array, u: Array, xnext: Array) -> float:
        gap = np.abs(self.model.mean(x, u) - xnext).mean(0)
        assert self.model.normaliser is not None
        return float((gap / self.model.normaliser.change_std).mean())

    def _learned_ends(self, x: Array) -> Array:
        assert self.learned_end is not None
        return self.learned_end.ended(x)
