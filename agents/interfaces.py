"""What the parts agree on: a task, a policy, and what a learning method yields. A user's class
inherits nothing.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from lqr import GPSError, QuadraticCost

Array = np.ndarray
State = dict[
    str, Any
]  # a tree of dicts with string keys; leaves are arrays, numbers, strings, booleans and None


class EpisodeDiscarded(GPSError):
    """What was done in this episode does not count: it is run again, and `back` episodes before it
    too.
    """

    def __init__(self, message: str, back: int = 0):
        super().__init__(message)
        self.back = back


class StoppedByUser(GPSError):
    """A person ended the run between two episodes."""


class Cost(Protocol):
    """A cost of whole trajectories, batch first."""

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1), of states X (..., T+1, dx) and actions U (...,
        T, du).
        """
        ...

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the second-order expansion around each trajectory, in absolute coordinates xu."""
        ...


class Task(Protocol):
    """A world that is asked in batches; B simulations live side by side.

    What a task may offer beyond this is listed in `agents.tasks.capabilities`, a Protocol each.
    """

    name: str
    horizon: int  # T, steps of an episode
    dt: float  # seconds of a step
    dx: int
    du: int
    do: int
    conditions: int  # how many training conditions there are
    action_low: Array  # (du,)
    action_high: Array  # (du,)
    cost: Cost

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i in condition conditions[i] (B,), and returns the states x (B, dx)."""
        ...

    def step(self, u: Array) -> Array:
        """Applies actions u (B, du), already within the limits, and returns the states x (B,
        dx).
        """
        ...

    def observe(self) -> Array:
        """Returns what a policy sees now, o (B, do)."""
        ...

    def done(self) -> Array:
        """Returns which episodes have ended, (B,) bool: terminated, or diverged."""
        ...

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns numbers that people judge this task by, each (N,), from x (N, T+1, dx) and u (N,
        T, du).
        """
        ...


class Policy(Protocol):
    """Acts on observations.

    To be kept by `agents.save_policy`, it is a NamedTuple of arrays, or has `state()`, all that its
    class's `from_state(state)` needs to build it again; its class stands in `agents.POLICIES`.
    """

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (B, du) for observations o (B, do) at step t; the mean action where rng
        is None.
        """
        ...


class Iteration(NamedTuple):
    """What `train` yields after each iteration."""

    number: int  # 1, 2, ...
    policy: Policy  # the best policy to use now
    scalars: dict[str, float]  # one row of the metrics table; the same keys in every iteration
    arrays: dict[str, Array]  # what the figures need, for this iteration only
    state: State  # all that train(..., state=...) needs to go on from here, besides the generator's own state
