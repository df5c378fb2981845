"""Any task as an environment of Gymnasium, for libraries of model-free methods.

An episode begins in a condition drawn anew. The reward of a step is minus the cost of its state and
action. Where an episode ends by itself it is terminated, and its last state is paid for as well.
Where its length ends it, it is truncated, and a learner goes on with what its critic says of the
last state, which that state's own cost is a part of (Pardo et al., Time Limits in Reinforcement
Learning, 2018): paid for is what the last state costs beyond that. Where the simulation diverges,
an episode is truncated as well, in the last sound state, which is paid for in all steps that were
left besides: nothing is to be gained by it.

Rewards may be shaped by a potential, minus what it would cost to stay in a state for ever: a step
is then paid by how much that falls, and by its action, and a critic need not learn what each state
costs, only what will change. Which policies are best stays as it is (Ng, Harada and Russell, Policy
Invariance under Reward Transformations, 1999).
"""

from typing import Any

import gymnasium
import numpy as np

from ...interfaces import Array, Cost, EpisodeDiscarded, Task
from ..action_limits import bounded
from ..capabilities import applied, diverged
from ..costs.step_cost import StepCost


class TaskEnv(gymnasium.Env):
    """One simulation of a task; observations are `(o - centre) / scale`, actions within -1 and 1
    are those limits.

    `info` tells the cost of the episode so far, with its last state's at the end, and whether it
    diverged.
    """

    def __init__(
        self,
        task: Task,
        centre: Array | float = 0.0,
        scale: Array | float = 1.0,
        per_reward: float = 1.0,
        shaping: float | None = None,
        endless: float = 0.0,
        discount: float = 1.0,
    ):
        """`centre`, `scale` (do,) are units of the observations; `per_reward` is the cost that is a
        reward of -1.

        `shaping` is the learner's discount, where rewards are to be shaped. `endless` is a potential
        that is the same everywhere, in the unit of the cost, for a learner of that `discount`: each
        step costs its share of it less, and an end all of it. No policy is better or worse for it.
        """
        self.task = task
        self.centre = centre
        self.scale = scale
        self.per_reward = per_reward
        self.shaping = shaping
        self.endless, self.discount = endless, discount
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (task.do,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (task.du,), np.float32)
        low, high = task.action_low, task.action_high
        limited = bounded(low, high)  # else the unit is 1, about 0 or the limit
        with np.errstate(over="ignore", invalid="ignore"):
            self.middle = np.where(limited, 0.5 * (low + high), np.clip(0.0, low, high))
            self.half = np.where(limited, 0.5 * (high - low), 1.0)
        self._cost = StepCost(task)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts an episode; returns what is seen (do,), and nothing more."""
        super().reset(seed=seed)
        condition = self.np_random.integers(self.task.conditions, size=1)
        self._x, self._t, self._total = self.task.reset(condition, self.np_random)[0], 0, 0.0
        self._o = self.task.observe()[0]
        self._stays = 0.0 if self.shaping is None else self._standing(self.shaping)
        return self._seen(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Returns what is seen (do,), the reward, and whether the episode ended by itself, or was
        cut off.
        """
        u = self.middle + self.half * np.clip(np.asarray(action, dtype=float), -1.0, 1.0)
        u = np.clip(u, self.task.action_low, self.task.action_high)
        t = self._t
        before = self._x
        try:
            after = self.task.step(u[None])[0]
            seen = self.task.observe()[0]
            u = applied(self.task, u[None])[0]
        except EpisodeDiscarded:
            after, seen = np.full(self.task.dx, np.nan), np.full(self.task.do, np.nan)
        broken = bool(diverged(self.task, 1).any())
        sound = bool(np.isfinite(after).all() and np.isfinite(seen).all()) and not broken
        if sound:
            self._x, self._o = after, seen
        now, last = self._price(t, before, self._x, u)
        self._t, T = t + 1, self.task.horizon
        terminated = sound and bool(self.task.done()[0])
        truncated = not terminated and (not sound or self._t == T)
        times = (1 if sound else T - t) if terminated or truncated else 0
        paid = now + times * last
        self._total += paid
        if truncated and sound and last:
            paid -= self._price(t, self._x, self._x, 0.0 * u)[0]  # the critic knows of it
        if self.shaping is not None:
            stays = self._stays
            self._stays = self._standing(self.shaping)
            paid += (0.0 if terminated else self.shaping * self._stays) - stays
        paid += (0.0 if terminated else self.discount * self.endless) - self.endless
        told = {"cost": self._total, "diverged": not sound}
        return self._seen(), -paid / self.per_reward, terminated, truncated, told

    def _price(self, t: int, x: Array, after: Array, u: Array) -> tuple[float, float]:
        """Returns the costs of x (dx,) with u (du,) at step t, and of the state after it by
        itself.
        """
        now, last = self._cost.parts(x, u, after, t)
        return float(now), float(last)

    def _standing(self, discount: float) -> float:
        """Returns what staying where it is would cost, at the last step's cost: one potential for
        all times.
        """
        return float(
            standing(self._cost.at(self.task.horizon - 1), self._x, self.task.du, discount)
        )

    def _seen(self) -> Array:
        return ((self._o - self.centre) / self.scale).astype(np.float32)


def standing(cost: Cost, x: Array, du: int, discount: float) -> Array:
    """Returns what it would cost, discounted, to stay in states x (..., dx) for ever without
    action.

    `cost` is that of one step, as `lqr.window` cuts it out of an episode's.
    """
    return cost(np.stack([x, x], -2), np.zeros((*x.shape[:-1], 1, du)))[..., 0] / (1.0 - discount)
