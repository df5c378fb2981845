"""What planners agree on: an objective evaluates a batch of action sequences, a planner finds one
of low cost.

A planner is a callable of one shape,

    plan = planner(objective, start, low, high, rng)

`start` (M, H, du) holds sequences of H steps that are worth starting from, the likeliest first.
None, M = 0, is right at the beginning of an episode; later they are `plan.warm_starts`, one step
on. So nothing is remembered in the planner, and it may serve many episodes at once.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from lqr import InputError, NumericalError

from ..tasks.action_limits import bounded

Array = np.ndarray
Objective = Callable[[Array], Array]
"""Returns the costs (N,) of action sequences (N, H, du); one that is not finite is the worst."""


class Plan(NamedTuple):
    """What a planner found."""

    U: Array  # (H, du), to be carried out
    cost: float  # the lowest of all sequences that were evaluated
    warm_starts: Array  # (M, H, du), what to start from the next time
    evaluations: int  # how many sequences were evaluated
    trace: Array  # (iterations,), lowest cost in each iteration
    means: Array  # (iterations,), mean of the costs that are finite in each iteration


class Planner(Protocol):
    """A function of the one shape."""

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns a plan of actions within low and high (du,). Raises NumericalError where every
        cost is infinite or NaN.
        """
        ...


def evaluate(objective: Objective, U: Array) -> Array:
    """Returns costs (N,) of U (N, H, du); one that is not finite, of either sign, is the worst:
    inf.

    Raises InputError for another shape, and NumericalError where no cost is finite.
    """
    cost = np.asarray(objective(U), dtype=float)
    if cost.shape != (len(U),):
        raise InputError(
            f"the objective gave shape {cost.shape} for {len(U)} sequences; expected ({len(U)},)"
        )
    cost = finite_or_worst(cost)
    if not (cost < np.inf).any():
        raise NumericalError(
            f"none of {len(U)} action sequences has a finite cost; expected one or more: the model or the cost breaks"
        )
    return cost


def finite_or_worst(cost: Array) -> Array:
    """Returns costs (N,) with inf for what is not finite: a sequence that breaks the model."""
    cost = np.asarray(cost, dtype=float)
    return np.where(np.isfinite(cost), cost, np.inf)


def lowest(cost: Array, count: int) -> Array:
    """Returns the indices of the `count` lowest costs (N,), lowest first; fewer where fewer are
    finite.
    """
    order = np.argsort(cost, kind="stable")[:count]
    return order[np.isfinite(cost[order])]


def box(start: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Returns the middle (du,) and half the width (du,) of the limits.

    Raises InputError where they are no box, or where `start` is no (M, H, du) of that du.
    """
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if (
        low.ndim != 1
        or low.shape != high.shape
        or not bounded(low, high).all()
        or not (low < high).all()
    ):
        raise InputError(
            f"low is {low} and high {high}; expected finite limits (du,) with low < high: set limits that a plan "
            "may use, and leave out an actuator that cannot move"
        )
    if np.ndim(start) != 3 or np.shape(start)[1] < 1 or np.shape(start)[2] != len(low):
        raise InputError(
            f"start has shape {np.shape(start)}; expected (M, H, {len(low)}), H above 0"
        )
    return 0.5 * (low + high), 0.5 * (high - low)


def first(start: Array, low: Array, high: Array) -> Array:
    """Returns the sequence (H, du) to begin with: the likeliest of `start`, or the middle of the
    limits.
    """
    middle, _ = box(start, low, high)
    return np.clip(start[0], low, high) if len(start) else np.tile(middle, (np.shape(start)[1], 1))


class SearchLog:
    """The sequence of lowest cost so far, how many were evaluated, and how the search went."""

    def __init__(self) -> None:
        self.U, self.cost, self.evaluations = np.zeros((0, 0)), np.inf, 0
        self._trace: list[float] = []
        self._means: list[float] = []

    def add(self, U: Array, cost: Array) -> None:
        """Takes in sequences (N, H, du) and their costs (N,)."""
        best = int(np.argmin(cost))
        if cost[best] < self.cost:
            self.U, self.cost = U[best].copy(), float(cost[best])
        self.evaluations += len(U)
        self._trace.append(float(cost[best]))
        finite = cost[np.isfinite(cost)]
        with np.errstate(over="ignore"):
            self._means.append(float(finite.mean()) if len(finite) else np.inf)

    def plan(self, U: Array, warm_starts: Array) -> Plan:
        """Returns the plan that carries out U (H, du)."""
        return Plan(
            U=U,
            cost=self.cost,
            warm_starts=warm_starts,
            evaluations=self.evaluations,
            trace=np.array(self._trace),
            means=np.array(self._means),
        )
