"""What the classic tasks share: B simulations of an ordinary differential equation, integrated by
Runge and Kutta.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

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

    @abstractmethod
    def derivative(self, s: Array, u: Array) -> Array:
        """Returns ds/dt (..., d) at s (..., d) under u (..., du)."""

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s (..., d) one step after s (..., d) under u (..., du)."""
        return runge_kutta(self.derivative, s, u, self.dt, self.substeps)
