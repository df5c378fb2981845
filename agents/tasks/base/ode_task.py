"""What the classic tasks share: B simulations of an ordinary differential equation, integrated by
Runge and Kutta.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import numpy as np

from lqr import InputError

from ...interfaces import Cost
from ...settings import Count, typed

Array = np.ndarray


def runge_kutta(
    derivative: Callable[[Array, Array], Array], s: Array, u: Array, dt: float, substeps: int
) -> Array:
    """Returns s (..., d) after dt seconds of ds/dt = derivative(s, u) with u held: the classic
    method of order 4.
    """
    h = dt / substeps
    for _ in range(substeps):
        a = derivative(s, u)
        b = derivative(s + 0.5 * h * a, u)
        c = derivative(s + 0.5 * h * b, u)
        s = s + h / 6 * (a + 2 * b + 2 * c + derivative(s + h * c, u))
    return s


class MapTask(ABC):
    """A task whose physics is one function of a step; a subclass says what s is, how it starts,
    moves and costs.

    It gives the numbers of `agents.interfaces.Task`, `starts`, `advance`, `states`, `see` and
    `metrics`, and `to_physical` where x is not s. Episodes start at `starts(conditions, rng)`,
    physical states s (B, d).
    """

    name: str
    horizon: int
    dt: float
    dx: int
    du: int
    do: int
    conditions = 1
    action_low: Array
    action_high: Array
    cost: Cost

    def __init_subclass__(cls, **more: Any) -> None:
        """Has constructors check the kinds of their arguments."""
        super().__init_subclass__(**more)
        if "__init__" in vars(cls):
            cls.__init__ = typed(cls.__init__)  # type: ignore[method-assign]

    @typed
    def __init__(self, conditions: Count = 1):
        self.conditions = conditions

    @abstractmethod
    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns where simulations in these conditions (B,) begin, s (B, d)."""

    @abstractmethod
    def advance(self, s: Array, u: Array) -> Array:
        """Returns s (..., d) one step after s (..., d) under u (..., du)."""

    @abstractmethod
    def states(self, s: Array) -> Array:
        """Returns what the local models see, x (..., dx)."""

    @abstractmethod
    def see(self, s: Array) -> Array:
        """Returns what a policy sees, o (..., do)."""

    def to_physical(self, x: Array) -> Array:
        """Returns the physical states s (..., d) of x (..., dx): the inverse of `states`."""
        return np.array(x, dtype=float)

    def observation_of(self, x: Array) -> Array:
        """Returns what a policy sees in states x (..., dx), o (..., do)."""
        return self.see(self.to_physical(x))

    def ended(self, x: Array) -> Array:
        """Returns in which states x (..., dx) an episode terminates, (...)."""
        return np.zeros(x.shape[:-1], bool)

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i in condition conditions[i]; returns x (B, dx)."""
        return self.start(self.starts(np.asarray(conditions), rng))

    def start(self, s: Array) -> Array:
        """Starts simulations at the physical states s (B, d); returns x (B, dx)."""
        self._s = np.array(s, dtype=float)
        self.diverged = np.zeros(len(self._s), bool)
        self._over = np.zeros(len(self._s), bool)
        return self.states(self._s)

    def step(self, u: Array) -> Array:
        """Applies u (B, du) for dt seconds; returns x (B, dx). A simulation that diverges stays
        where it was.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            after = self.advance(self._s, np.asarray(u, dtype=float))
            sound = np.isfinite(after).all(-1) & (np.abs(after) < 1e10).all(-1)
        self.diverged = self.diverged | ~sound
        self._s = np.where(sound[:, None], after, self._s)
        x = self.states(self._s)
        self._over = self._over | self.ended(x)
        return x

    def observe(self) -> Array:
        """Returns what a policy sees now, o (B, do)."""
        return self.see(self._s)

    def done(self) -> Array:
        """Returns which episodes have terminated or diverged, (B,)."""
        return self.diverged | self._over


class EquationTask(MapTask):
    """A task whose physics is a differential equation: `derivative` in place of `advance`."""

    substeps = 4  # of the integration, per step of the task
    constants: Mapping[str, float] = {}  # of the equation, in physical units, by name
    believed: Mapping[str, float] = {}  # factors by which they are wrong in `simulator`

    @abstractmethod
    def derivative(self, s: Array, u: Array) -> Array:
        """Returns ds/dt (..., d) at s (..., d) under u (..., du); where there are `constants`, also
        with others, numbers or (...,) each, by their names.
        """

    @property
    def simulator(self) -> Any:
        """One step from any state, for the prior `simulator`; None where no constant is told."""
        return EquationSimulator(self) if self.constants else None

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s (..., d) one step after s (..., d) under u (..., du)."""
        return runge_kutta(self.derivative, s, u, self.dt, self.substeps)


class EquationSimulator:
    """One step of a task's equation from any state, with its constants scaled: see
    `dynamics.capabilities.Simulator`.
    """

    def __init__(self, task: EquationTask):
        """Raises InputError where the task believes in constants that it has not."""
        self._task, self.parameters = task, tuple(task.constants)
        if unknown := set(task.believed) - set(task.constants):
            raise InputError(
                f"got factors of {', '.join(sorted(unknown))}; expected of {', '.join(task.constants)}"
            )
        believed = [task.believed.get(name, 1.0) for name in self.parameters]
        self._values = np.array(believed) * list(task.constants.values())

    def __call__(self, x: Array, u: Array, factors: Array) -> Array:
        """Returns the states (M, dx) one step after x (M, dx) under u (M, du); NaN where that
        failed.
        """
        constants = dict(zip(self.parameters, (self._values * factors).T, strict=True))
        task, derivative = self._task, cast(Any, self._task.derivative)
        motion = partial(derivative, **constants)
        with np.errstate(all="ignore"):
            after = runge_kutta(motion, task.to_physical(x), u, task.dt, task.substeps)
        return np.where(np.isfinite(after).all(-1)[:, None], task.states(after), np.nan)
