"""A run's task as something to watch: one simulation that goes on, which may be given targets,
noise and pushes.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from agents.tasks.base.mujoco_warnings import heed
from agents.tasks.capabilities import Rendered, capability, env_id_of
from lqr import InputError

from ..engine.load_run import Opened

FIRST_SEED = 3_000_000  # of the resets; neither training nor evaluating draws there
PUSH = 0.2  # s that a push lasts


class Simulation(ABC):
    """One simulation under the policy. A push is a random action at full strength in place of the
    policy's.
    """

    def __init__(self, run: Opened):
        """Raises InputError for a task that is no MuJoCo model."""
        if capability(run.task, Rendered) is None:
            raise InputError(
                f"{run.task.name} is no MuJoCo model; expected one: its pictures are in {run.path}"
            )
        self.run = run
        self.noise = 0.0
        self.number = -1
        self.dt = float(run.task.dt)
        self.rng = np.random.default_rng(FIRST_SEED)
        self.low, self.high = run.task.action_low, run.task.action_high
        self.next_target()

    def next_target(self) -> None:
        """Begins another episode: with another reset, or in the task's next condition."""
        self.number = self.number + 1
        self.step_number = 0
        self.push_left = 0
        self.over = False
        self._start()
        getattr(self.run.policy, "reset", lambda: None)()  # a policy with memory forgets

    def push(self) -> None:
        """Takes the motors from the policy for a moment."""
        self.push_left = max(1, round(PUSH / self.dt))
        self.force = np.where(self.rng.random(len(self.low)) < 0.5, self.low, self.high)

    def step(self) -> None:
        """One step of the policy, with the noise that is set, a share of half the action range."""
        action = np.asarray(self._act(), float)
        if self.noise:
            action = action + self.noise * 0.5 * (self.high - self.low) * self.rng.standard_normal(
                len(action)
            )
        if self.push_left:
            self.push_left, action = self.push_left - 1, self.force
        self._advance(np.clip(action, self.low, self.high))
        self.step_number += 1
        self.over = self.over or self.step_number >= self.run.task.horizon

    @property
    @abstractmethod
    def model(self) -> Any:
        """The mujoco.MjModel."""

    @property
    @abstractmethod
    def data(self) -> Any:
        """The mujoco.MjData as it is now."""

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _act(self) -> Any: ...

    @abstractmethod
    def _advance(self, action: np.ndarray) -> None: ...


class InGymnasium(Simulation):
    """The environment that the task mirrors; what is done to its MjData, as with the mouse, is
    felt.
    """

    def __init__(self, run: Opened):
        import gymnasium

        heed()
        self.env = gymnasium.make(run.task.env_id)
        super().__init__(run)

    @property
    def model(self) -> Any:
        """The environment's own."""
        return self.env.unwrapped.model  # type: ignore[attr-defined]

    @property
    def data(self) -> Any:
        """The environment's own."""
        return self.env.unwrapped.data  # type: ignore[attr-defined]

    def _start(self) -> None:
        self.observation, _ = self.env.reset(seed=FIRST_SEED + self.number)

    def _act(self) -> Any:
        return self.run.policy.act(self.observation)

    def _advance(self, action: np.ndarray) -> None:
        self.observation, _, ended, late, _ = self.env.step(action)
        self.over = self.over or ended or late


class InTask(Simulation):
    """The task itself, its conditions in turn; the MjData is a copy."""

    @property
    def model(self) -> Any:
        """The task's."""
        return self.run.task.model

    @property
    def data(self) -> Any:
        """A copy of the simulation's."""
        return self.run.task.data(0)

    def _start(self) -> None:
        self.condition = self.number % self.run.task.conditions
        self.x = self.run.task.reset(np.array([self.condition]), self.rng)

    def _act(self) -> Any:
        if self.run.sees_state:  # the controllers end with the episode
            return self.run.policy.act(
                self.x[0], min(self.step_number, self.run.task.horizon - 1), self.condition
            )
        return self.run.policy.act(self.run.task.observe())[0]

    def _advance(self, action: np.ndarray) -> None:
        self.x = self.run.task.step(action[None])
        self.over = self.over or bool(self.run.task.done()[0])


def simulation_of(run: Opened) -> Simulation:
    """Returns what the run's policy can be watched in."""
    return InGymnasium(run) if env_id_of(run.task) and not run.sees_state else InTask(run)
