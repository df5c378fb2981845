"""Any task as an environment of Gymnasium, for libraries of model-free methods.

An episode begins in a condition drawn anew. The rewards of an episode sum up to minus its cost: that of a step's state
and action, and at the end that of the last state. Where the episode's length ends it, it is truncated, else terminated.
Where the simulation diverges, the last state is paid for in all steps that were left: nothing is to be gained by it.
"""

from functools import cache
from typing import Any

import gymnasium
import numpy as np

from lqr import window

from .interfaces import Array, Task


class TaskEnv(gymnasium.Env):
    """One simulation of a task; observations are `(o - centre) / scale`, actions within -1 and 1 are those limits."""

    def __init__(self, task: Task, centre: Array | float = 0.0, scale: Array | float = 1.0, per_reward: float = 1.0):
        """`centre`, `scale` (do,) are units of the observations; `per_reward` is the cost that is a reward of -1."""
        self.task, self.centre, self.scale, self.per_reward = task, centre, scale, per_reward
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (task.do,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (task.du,), np.float32)
        self.middle, self.half = 0.5 * (task.action_low + task.action_high), 0.5 * (task.action_high - task.action_low)
        self._cost = cache(lambda t: window(task.cost, t, 1, task.horizon))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Starts an episode; returns what is seen (do,), and nothing more."""
        super().reset(seed=seed)
        condition = self.np_random.integers(self.task.conditions, size=1)
        self._x, self._t = self.task.reset(condition, self.np_random)[0], 0
        return self._seen(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Returns what is seen (do,), the reward, and whether the episode ended by itself, or by its length."""
        u = self.middle + self.half * np.clip(np.asarray(action, dtype=float), -1.0, 1.0)
        after = self.task.step(u[None])[0]
        sound = bool(np.isfinite(after).all())
        after = after if sound else self._x
        sound = sound and not np.any(getattr(self.task, "diverged", False))
        now, last = self._cost(self._t)(
            np.stack([self._x, after]), u[None]
        )  # of both states; the second without action
        self._x, self._t = after, self._t + 1
        terminated, truncated = not sound or bool(self.task.done()[0]), self._t == self.task.horizon
        times = (1 if sound else self.task.horizon - self._t + 1) if terminated or truncated else 0
        reward = -float(now + times * last) / self.per_reward
        return self._seen(), reward, terminated, truncated and not terminated, {}

    def _seen(self) -> Array:
        return ((self.task.observe()[0] - self.centre) / self.scale).astype(np.float32)
