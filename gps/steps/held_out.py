"""Policies are compared in starts that none of them learned from, all in the same ones."""

from typing import Any

import numpy as np

from agents.interfaces import Task
from agents.rollout import rollout
from agents.tasks.capabilities import HeldOut, MoreStarts, capability
from agents.training import Training

Array = np.ndarray
SHARE = 0.01  # of the budget, for the episodes that judge a policy once
LEAST, MOST = 2, 20  # of these episodes; fewer where the budget is small
FIRST = 100_000  # number of the first start, where a task has any number of them
SEED = 5_000_000  # of the random numbers in these episodes, the same for all policies


class Judge:
    """Runs policies without noise in held-out starts, and counts that; where a task has its own
    conditions alone, in these.
    """

    def __init__(self, task: Task, budget: int, training: Training):
        self.task, self.training, T = task, training, task.horizon
        few = max(1, min(LEAST, budget // (10 * T)))
        self.count = int(np.clip(SHARE * budget / T, few, MOST))
        self.more = capability(task, MoreStarts) is not None
        other = capability(task, HeldOut)
        self.place: Any = task if self.more or other is None else other.held_out()

    @property
    def steps(self) -> int:
        """Environment steps that judging a policy once takes, at most."""
        return int(self.count * self.task.horizon)

    def costs(self, policy: Any, first: int = 0, count: int | None = None) -> Array:
        """Returns the costs in the held-out starts from number `first` on, (count,); infinite where
        an episode diverged.
        """
        numbers = first + np.arange(self.count if count is None else count)
        at = FIRST + numbers if self.more else numbers % self.place.conditions
        rng = np.random.default_rng(SEED + first)
        found = self.training.count(rollout(self.place, policy, at, 1, rng, noise=0.0), False)
        return np.where(np.isfinite(found.costs), found.costs, np.inf)


def surely_better(costs: Array, other: Array) -> bool:
    """Returns whether costs (N,) are lower than others (N,) of the same starts by more than the
    standard error of the difference.
    """
    if not np.isfinite(costs).all():
        return False
    if not np.isfinite(other).all():
        return True
    gain = other - costs
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return bool(gain.mean() > error)
