"""Tasks of dm_control's suite as environments of Gymnasium, `dm/DOMAIN-TASK-v0`, registered where
this module is imported: `--task gymnasium:experiments.benchmarking.any_task.dm_suite:dm/finger-spin-v0`.

What is observed is all of the suite's observations, one after the other.
"""

from typing import Any

import gymnasium
import numpy as np

from .rows import DM_CONTROL, ROWS

STEPS = 1000  # of an episode of the suite


class SuiteEnv(gymnasium.Env):
    """One task of the suite."""

    def __init__(self, domain: str, task: str):
        from dm_control import suite

        self.env: Any = suite.load(domain, task)
        self.dt = float(self.env.control_timestep())  # s
        limits = self.env.action_spec()
        self.action_space = gymnasium.spaces.Box(
            limits.minimum.astype(np.float32), limits.maximum.astype(np.float32)
        )
        first = _flat(self.env.reset().observation)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, first.shape, np.float64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode, of the seed's start where one is told; returns what is seen (do,)."""
        super().reset(seed=seed)
        if seed is not None:
            self.env.task._random = np.random.RandomState(seed)  # no other way to give one
        return _flat(self.env.reset().observation), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Returns what is seen (do,), the reward, and whether the episode ended or was cut."""
        found = self.env.step(action)
        ended = found.last() and found.discount == 0.0
        return _flat(found.observation), float(found.reward or 0.0), ended, found.last(), {}


def _flat(seen: Any) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(part, float)) for part in seen.values()])


def register() -> None:
    """Makes the rows' tasks known to Gymnasium."""
    for row in ROWS:
        if row.module == "dm_control" and row.task not in gymnasium.registry:
            domain, task = row.name.split("-")
            gymnasium.register(
                row.task,
                f"{DM_CONTROL}:SuiteEnv",
                max_episode_steps=STEPS,
                kwargs={"domain": domain, "task": task},
            )


register()
