"""One round of Bayesian policy search, but for the search: episodes, the model, and the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics import ReplayBuffer
from dynamics.storage.tree import check_tree
from lqr import InputError

from ...interfaces import Array, Policy, State, Task
from ...learners.learned_reward import LearnedReward, by_reward
from ...rollout import Trajectories, rollout
from ...saving import build_policy
from ...settings import Count, EvaluationSettings
from ...tasks.action_limits import bounded
from ...tasks.capabilities import ObservationOf, capability, manifold_of
from ...training import Training, measured
from .problem import process


@dataclass(frozen=True)
class SearchSettings(EvaluationSettings):
    """What all methods of Bayesian policy search take."""

    iterations: Count = 4  # rounds of episodes and a search; the first acts at random
    samples: Count = 1  # episodes of each condition in each iteration
    starts: Count = 20  # of the task that are looked at, to imagine episodes from


class RandomActions:
    """Uniform actions within the limits: what a first episode is made of."""

    def __init__(self, task: Task):
        self.low, self.high = task.action_low, task.action_high

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (B, du); the middle where rng is None."""
        half, middle = 0.5 * (self.high - self.low), 0.5 * (self.low + self.high)
        if rng is None:
            return np.tile(middle, (len(o), 1))
        normal = rng.standard_normal((len(o), len(half)))
        return middle + half * np.clip(0.7 * normal, -1.0, 1.0)


class Search:
    """What goes on from round to round: the model, all transitions, starts, and the policy."""

    def __init__(
        self,
        task: Task,
        config: SearchSettings,
        rng: np.random.Generator,
        state: State | None,
        model: Any = None,
    ):
        """Begins, or goes on from a state. Raises InputError for a task that cannot be searched in,
        CheckpointError for another's state.
        """
        check_task(task)
        self.task, self.config = task, config
        self.model = model or process(task)
        self.buffer, self.reward = ReplayBuffer(), LearnedReward.of(task)
        parts = {"model": self.model, "buffer": self.buffer, "reward": self.reward}
        self.training = Training(task, config.iterations, state, config.evaluate_every, **parts)
        self.policy: Any = RandomActions(task)
        if state:
            form = {"policy": dict, "starts": ("S", task.dx), "where": ("S",)}
            check_tree({name: state.get(name) for name in form}, form, "state")
            self.policy = build_policy(state["policy"], "state")
            self.starts, self.where = state["starts"], state["where"]
        else:
            where = np.arange(max(config.starts, task.conditions)) % task.conditions
            self.starts, self.where = np.array(task.reset(where, rng), float), where.astype(float)

    @property
    def planned(self) -> Task:
        """The task with the cost to search by."""
        return by_reward(self.task, self.reward)

    @property
    def known(self) -> Array:
        """All states that were seen, (M, dx)."""
        data = self.buffer.data
        return np.concatenate([data.x, data.xnext])

    @property
    def acts_at_random(self) -> bool:
        """Whether no policy was found yet: the first episodes act at random."""
        return isinstance(self.policy, RandomActions)

    def observe(self, rng: np.random.Generator) -> Trajectories:
        """Runs episodes of the policy, and learns from all that were run so far."""
        every = np.arange(self.task.conditions)
        found = rollout(self.task, self.policy, every, self.config.samples, rng)
        episodes = self.training.count(found, explored=self.acts_at_random)
        self.buffer.add_and_fit(self.model, *episodes.transitions, rng)
        if self.reward:
            self.reward.fit(episodes, rng)
        return episodes

    def report(
        self, policy: Policy, episodes: Trajectories, rng: np.random.Generator, **more: float
    ) -> tuple[dict[str, float], dict[str, Array], dict[str, Any]]:
        """Returns the metrics row, the arrays for figures and what to save, with the policy to try
        next. Columns `episode_...` are of the episodes that were learned from.
        """
        self.policy = policy
        test = self.training.evaluate(policy, rng)
        own = measured(self.task, episodes, "episode_")
        diverged = float(episodes.failed.sum() + test.failed.sum())
        sampled = float(episodes.valid.costs.mean())
        scalars = self.training.row(test, sampled_cost=sampled, **own, **more, diverged=diverged)
        arrays = {"policy_cost": test.costs, "policy_x": test.states}
        saved: Mapping[str, Any] = {"starts": self.starts, "where": self.where}
        return scalars, arrays, dict(saved)


def start_moments(known: Search) -> list[tuple[Any, Any]]:
    """Returns mean (dx,) and covariance (dx, dx) of each condition's starts, as tensors."""
    import torch

    found = []
    for c in range(known.task.conditions):
        x = known.starts[known.where == c]
        cov = np.cov(x.T, bias=True).reshape(x.shape[1], -1)
        floor = np.diag(1e-8 * np.maximum(known.known.var(0), 1e-12))
        found.append((torch.as_tensor(x.mean(0)), torch.as_tensor(cov + floor)))
    return found


def check_task(task: Task) -> None:
    """Raises InputError for a task whose states lie on a manifold, whose actions have no limits, or
    whose observations do not follow from its states.
    """
    low, high = task.action_low, task.action_high
    if manifold_of(task):
        raise InputError(
            f"{task.name} has states on a manifold; expected a plain vector, whose angles may be "
            "told as `angles`: choose another method"
        )
    if not bounded(low, high).all() or not (low < high).all():
        raise InputError(
            f"low is {low} and high {high}; expected finite limits (du,) with low < high: set "
            "limits that a policy may use, and leave out an actuator that cannot move"
        )
    if capability(task, ObservationOf) is None:
        raise InputError(
            f"the observations of {task.name} do not follow from its states; expected "
            "`observation_of`: choose a method that learns a policy from episodes"
        )
