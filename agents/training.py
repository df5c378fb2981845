"""What every method keeps count of, tells and saves, written once.

    training = Training(task, config.iterations, state, model=model, buffer=buffer)
    for number in training.iterations():
        episodes = training.count(rollout(...))
        ...
        shown = training.evaluate(policy, rng)
        scalars = training.row(shown, policy_loss=loss)
        yield training.iteration(policy, scalars, arrays, {"policy": state_of(policy)})

The parts, by name, have `state()` and `load_state(state)`; they are restored when it is made, and
saved with every iteration. What is no such part is handed to `iteration` as it is, and found again
in `saved`. A cost that the task learns from rewards is a part by itself.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from dynamics import Chart
from dynamics.storage.tree import check_tree
from lqr import LinearGaussianController

from .interfaces import Array, Iteration, Policy, State, Task
from .rollout import Trajectories, metrics_of, rollout
from .rollout.visible import cost_by_state, cost_variation
from .tasks.action_form import HandsOut
from .tasks.capabilities import LearnedCost, SharesEpisodes, action_form_of, capability

COUNTS = ("number", "episodes", "steps", "evaluation_episodes", "evaluation_steps")


class Training:
    """Counts of episodes and steps, the common metrics row, and the parts that go on."""

    def __init__(
        self,
        task: Task,
        iterations: int,
        state: State | None = None,
        evaluate_every: int = 1,
        **parts: Any,
    ):
        """Restores the parts from a state of `iteration`; one that is None is none. Raises
        CheckpointError for another's.

        Noise-free episodes are made in the first iteration, in every `evaluate_every`-th from then
        on, and in the last; with 0 in none.
        """
        parts = {name: part for name, part in parts.items() if part is not None}
        if told := capability(task, LearnedCost):
            parts["rewards"] = told.learned
        self.task, self.last, self.parts = task, iterations, parts
        self.evaluate_every = evaluate_every
        self.saved: State = state or {}
        self.warned = False
        self.seen: Trajectories | None = None  # the episodes that were counted last
        self.number = self.episodes = self.steps = 0
        self.evaluation_episodes = self.evaluation_steps = 0
        if state:
            form: dict[str, Any] = dict.fromkeys(COUNTS, int) | dict.fromkeys(parts, dict)
            check_tree({name: state.get(name) for name in form}, form, "state")
            for name in COUNTS:
                setattr(self, name, state[name])
            for name, part in parts.items():
                part.load_state(state[name])

    def iterations(self) -> range:
        """Returns the numbers of the iterations that are still to come."""
        return range(self.number + 1, self.last + 1)

    def count(self, trajectories: Trajectories, explored: bool = True) -> Trajectories:
        """Adds real episodes to the counts, and returns them. Warns, once, where they `explored` and
        yet no action differs from another.
        """
        if explored and not self.warned:
            self.warned = warn_if_still(self.task, trajectories)
        self.add(len(trajectories.length), int(trajectories.length.sum()))
        self.seen = trajectories
        if told := capability(self.task, SharesEpisodes):
            told.share(trajectories)
        return trajectories

    def add(self, episodes: int, steps: int) -> None:
        """Adds so many real episodes, and their steps, to the counts."""
        self.episodes += episodes
        self.steps += steps

    @property
    def evaluates(self) -> bool:
        """Whether this iteration has noise-free episodes."""
        every = self.evaluate_every
        return every > 0 and (self.number % every == 0 or self.number + 1 == self.last)

    def evaluate(
        self,
        actor: LinearGaussianController | Policy,
        rng: np.random.Generator,
        samples: int = 1,
        chart: Chart | None = None,
    ) -> Trajectories:
        """Returns noise-free episodes of each condition, counted apart; nothing is learned from
        them. In an iteration that has none, all numbers of them are NaN, and their lengths 0.
        """
        every = np.arange(self.task.conditions)
        if not self.evaluates:
            return not_run(self.task, samples * len(every))
        found = rollout(self.task, actor, every, samples, rng, noise=0.0, chart=chart)
        self.evaluation_episodes += len(found.length)
        self.evaluation_steps += int(found.length.sum())
        return found

    def counts(self) -> dict[str, float]:
        """Returns the columns that say what it took so far."""
        return {
            "episodes": float(self.episodes),
            "env_steps": float(self.steps),
            "evaluation_episodes": float(self.evaluation_episodes),
        }

    def row(
        self, shown: Trajectories, cost: float | None = None, **more: float
    ) -> dict[str, float]:
        """Returns a row of the metrics: the counts, the task's own numbers of these episodes, their
        mean cost if no other is told, what the cost looks like in the episodes that were counted
        for this row, or else in these, and more.
        """
        seen, self.seen = self.seen or shown, None
        return {
            **self.counts(),
            "cost": float(shown.valid.costs.mean() if cost is None else cost),
            **measured(self.task, shown),
            "cost_variation": cost_variation(seen),
            "cost_by_state": cost_by_state(seen),
            **{name: float(value) for name, value in more.items()},
        }

    def iteration(
        self,
        policy: Policy,
        scalars: dict[str, float],
        arrays: dict[str, Array],
        saved: Mapping[str, Any] | None = None,
    ) -> Iteration:
        """Returns what `train` yields at the end of an iteration, with all parts and what else is
        `saved`. The policy hands out actions as the task's environment takes them.
        """
        if isinstance(policy, HandsOut):
            policy.form = action_form_of(self.task)
        self.number += 1
        counts = {name: getattr(self, name) for name in COUNTS}
        parts = {name: part.state() for name, part in self.parts.items()}
        self.saved = {**counts, **parts, **(saved or {})}
        return Iteration(self.number, policy, scalars, arrays, self.saved)


def warn_if_still(task: Task, found: Trajectories) -> bool:
    """Returns whether all actions of these episodes are the same to rounding, and warns then:
    nothing can be learned from them.
    """
    u = found.u[found.mask]
    still = len(u) > 1 and bool((np.ptp(u, axis=0) <= 1e-14 * np.abs(u).max(0)).all())
    if still:
        warnings.warn(
            f"no action varied in {len(found.u)} episodes of {task.name}: each was {u[0]}, within {task.action_low} "
            f"and {task.action_high}; nothing is learned from that: raise initial_std, or begin inside the limits",
            stacklevel=4,
        )
    return still


def not_run(task: Task, count: int) -> Trajectories:
    """Returns what stands for so many episodes that were not made: NaN, of length 0."""
    T = task.horizon
    return Trajectories(
        x=np.full((count, T + 1, task.dx), np.nan),
        u=np.full((count, T, task.du), np.nan),
        o=np.full((count, T + 1, task.do), np.nan),
        cost=np.full((count, T + 1), np.nan),
        length=np.zeros(count, int),
        failed=np.zeros(count, bool),
    )


def measured(task: Task, shown: Trajectories, prefix: str = "") -> dict[str, float]:
    """Returns the means of the task's own metrics over the episodes that did not diverge; NaN where
    none was made.
    """
    valid = shown.valid
    if not valid.length.any():
        x, u, cost = (np.zeros_like(a) for a in (valid.x, valid.u, valid.cost))
        still = valid._replace(x=x, u=u, cost=cost)
        with np.errstate(all="ignore"):  # only the names count
            return {f"{prefix}{name}": float("nan") for name in metrics_of(task, still)}
    found = metrics_of(task, valid)
    return {f"{prefix}{name}": float(value.mean()) for name, value in found.items()}
