"""What every method keeps count of, tells and saves, written once.

    training = Training(task, config.iterations, state, model=model, buffer=buffer)
    for number in training.iterations():
        trajectories = training.count(rollout(...))
        ...
        shown = training.evaluate(policy, rng)
        scalars = training.row(shown, policy_loss=loss)
        yield training.iteration(policy, scalars, arrays)

The parts, by name, have `state()` and `load_state(state)`; they are restored when it is made, and
saved with every iteration. What is no such part is handed to `iteration` as it is, and found again
in `saved`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import LinearGaussianController

from .interfaces import Array, Iteration, Policy, State, Task
from .rollout import Trajectories, metrics_of, rollout

COUNTS = ("number", "episodes", "steps")


class Training:
    """Counts of episodes and steps, the common metrics row, and the parts that go on."""

    def __init__(self, task: Task, iterations: int, state: State | None = None, **parts: Any):
        """Restores the parts from a state of `iteration`. Raises CheckpointError for another's."""
        self.task, self.last, self.parts, self.saved = task, iterations, parts, state
        self.number = self.episodes = self.steps = 0
        if state:
            form: dict[str, Any] = dict.fromkeys(COUNTS, int) | dict.fromkeys(parts, dict)
            check_tree({name: state.get(name) for name in form}, form, "state")
            self.number, self.episodes, self.steps = (state[name] for name in COUNTS)
            for name, part in parts.items():
                part.load_state(state[name])

    def iterations(self) -> range:
        """Returns the numbers of the iterations that are still to come."""
        return range(self.number + 1, self.last + 1)

    def count(self, trajectories: Trajectories) -> Trajectories:
        """Adds real episodes to the counts, and returns them."""
        self.episodes += len(trajectories.length)
        self.steps += int(trajectories.length.sum())
        return trajectories

    def evaluate(
        self, actor: LinearGaussianController | Policy, rng: np.random.Generator, samples: int = 1
    ) -> Trajectories:
        """Returns noise-free episodes of each condition; nothing is learned from them."""
        every = np.arange(self.task.conditions)
        return rollout(self.task, actor, every, samples, rng, noise=0.0)

    def row(self, shown: Trajectories, **more: float) -> dict[str, float]:
        """Returns a row of the metrics: the counts, the mean cost and the task's own numbers of
        these episodes, and more.
        """
        return {
            "episodes": float(self.episodes),
            "env_steps": float(self.steps),
            "cost": float(shown.valid.costs.mean()),
            **measured(self.task, shown),
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
        `saved`.
        """
        self.number += 1
        counts = {"number": self.number, "episodes": self.episodes, "steps": self.steps}
        parts = {name: part.state() for name, part in self.parts.items()}
        return Iteration(self.number, policy, scalars, arrays, {**counts, **parts, **(saved or {})})


def measured(task: Task, shown: Trajectories, prefix: str = "") -> dict[str, float]:
    """Returns the means of the task's own metrics over the episodes that did not diverge."""
    valid = shown.valid
    found = metrics_of(task, valid)
    return {f"{prefix}{name}": float(value.mean()) for name, value in found.items()}
