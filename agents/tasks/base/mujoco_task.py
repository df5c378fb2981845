"""What the tasks on a MuJoCo model share: one batch of simulations, started and stepped."""

from abc import ABC, abstractmethod
from copy import copy
from typing import Any, Self

import numpy as np

from ...interfaces import Cost
from ...settings import Count, typed
from .mujoco_batch import MujocoBatch

Array = np.ndarray


class ModelTask(ABC):
    """A task on a MuJoCo model; a subclass says where it starts, what is seen, what it costs and
    when it ends.

    It gives the numbers of `agents.interfaces.Task`, `cost`, `starts`, `states`, `observe` and
    `metrics`, and `ended` where something other than a divergence ends an episode. With
    `to_qpos_qvel(x) -> qpos, qvel` it can be planned in (`agents.planners.models.SimulatorModel`).
    """

    name: str
    env_id: str | None = None  # the environment in Gymnasium that this one mirrors
    horizon: int
    dx: int
    du: int
    do: int
    conditions: int
    cost: Cost

    def __init_subclass__(cls, **more: Any) -> None:
        """Has constructors check the kinds of their arguments."""
        super().__init_subclass__(**more)
        if "__init__" in vars(cls):
            cls.__init__ = typed(cls.__init__)  # type: ignore[method-assign]

    @typed
    def __init__(
        self,
        xml: str,
        frame_skip: int,
        conditions: Count,
        horizon: Count,
        sim: MujocoBatch | None = None,
    ):
        """`sim` simulates the model where the file alone does not say all of it."""
        self._sim = sim or MujocoBatch(xml, frame_skip)
        self.conditions, self.horizon, self.dt = conditions, horizon, self._sim.dt
        self.action_low, self.action_high = self._sim.action_limits

    @property
    def simulations(self) -> MujocoBatch:
        """What runs the physics."""
        return self._sim

    @property
    def model(self) -> Any:
        """The mujoco.MjModel, for rendering."""
        return self._sim.model

    def data(self, i: int) -> Any:
        """Returns simulation i as an MjData, for rendering."""
        return self._sim.data(i)

    @abstractmethod
    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, ...]:
        """Returns where simulations in these conditions (B,) begin, for `start`: qpos (B, nq), qvel
        (B, nv) ...
        """

    @abstractmethod
    def states(self) -> Array:
        """Returns what the local models see now, x (B, dx)."""

    @abstractmethod
    def observe(self) -> Array:
        """Returns what a policy sees now, o (B, do)."""

    def terminated(self) -> Array:
        """Returns which simulations are in a state that ends an episode, (B,)."""
        return self.ended(self.states())

    def ended(self, x: Array) -> Array:
        """Returns in which states x (..., dx) an episode terminates, (...)."""
        return np.zeros(x.shape[:-1], bool)

    def copy(self) -> Self:
        """Returns the same task with simulations of its own: for planning, beside an episode that
        goes on.
        """
        other = copy(self)
        other._sim = self._sim.another()
        return other

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i in condition conditions[i]; returns x (B, dx)."""
        return self.start(*self.starts(np.asarray(conditions), rng))

    def start(self, qpos: Array, qvel: Array) -> Array:
        """Starts simulations at these positions (B, nq) and velocities (B, nv); returns x (B,
        dx).
        """
        self._sim.start(qpos, qvel)
        self._over = np.zeros(len(qpos), bool)
        return self.states()

    def step(self, u: Array) -> Array:
        """Applies controls u (B, du) for dt seconds; returns x (B, dx)."""
        self._sim.advance(u)
        self._over = self._over | self.terminated()
        return self.states()

    @property
    def diverged(self) -> Array:
        """Which simulations have diverged since their start, (B,)."""
        return self._sim.diverged

    def done(self) -> Array:
        """Returns which episodes have terminated or diverged, (B,)."""
        return self.diverged | self._over
