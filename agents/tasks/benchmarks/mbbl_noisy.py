"""The noisy environments of Benchmarking Model-Based Reinforcement Learning (Wang et al. 2019).

What is seen, or what is done, has uniform noise added at each step. The reward is that of what was
seen; in x, as in the observation, nothing tells the noise from the rest.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..base.wrapper import Wrapper
from .mbbl import MbblCartPole, MbblPendulum
from .mbbl_bodies import MbblHalfCheetah

Array = np.ndarray


class Noisy(Wrapper):
    """A task whose observations are off by at most `seen`, and whose actions by at most `acted`.

    `whole(o)` makes x (B, dx) of an observation (B, do); where it is not given, the two are the
    same. A reset is seen as it is. Planned in is the task without noise.
    """

    def __init__(
        self,
        task: Any,
        name: str,
        seen: float,
        acted: float,
        whole: Callable[[Array], Array] | None,
    ):
        super().__init__(task)
        self.name = name
        self.seen = seen
        self.acted = acted
        self._whole = whole or np.copy

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i in condition conditions[i]; returns x (B, dx)."""
        self._rng = np.random.default_rng(int(rng.integers(2**63)))
        x = self.task.reset(conditions, rng)
        self._o = self.task.observe()
        return x

    def step(self, u: Array) -> Array:
        """Applies controls u (B, du) and some noise; returns x (B, dx), as it is seen."""
        x = self.task.step(u + self._rng.uniform(-self.acted, self.acted, u.shape))
        o = self.task.observe()
        self._o = o + self._rng.uniform(-self.seen, self.seen, o.shape)
        return self._whole(self._o) if self.seen else x

    def observe(self) -> Array:
        """Returns what a policy sees now, o (B, do); the same until the next step."""
        return self._o.copy()


def noisy(kind: Any, name: str, seen: float, acted: float, conditions: int = 1) -> Noisy:
    """Returns a task of that kind with so much noise."""
    task = kind(conditions)
    return Noisy(task, f"mbbl_{name}", seen, acted, task.states if kind is MbblCartPole else None)


pendulum_o001 = partial(noisy, MbblPendulum, "pendulum_o001", 0.01, 0.0)
pendulum_o01 = partial(noisy, MbblPendulum, "pendulum_o01", 0.1, 0.0)
cartpole_o001 = partial(noisy, MbblCartPole, "cartpole_o001", 0.01, 0.0)
cartpole_o01 = partial(noisy, MbblCartPole, "cartpole_o01", 0.1, 0.0)
half_cheetah_o001 = partial(noisy, MbblHalfCheetah, "half_cheetah_o001", 0.01, 0.0)
half_cheetah_o01 = partial(noisy, MbblHalfCheetah, "half_cheetah_o01", 0.1, 0.0)
half_cheetah_a003 = partial(noisy, MbblHalfCheetah, "half_cheetah_a003", 0.0, 0.03)
half_cheetah_a01 = partial(noisy, MbblHalfCheetah, "half_cheetah_a01", 0.0, 0.1)
