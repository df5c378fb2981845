"""What planners agree on: an objective prices a batch of action sequences, a planner finds a cheap
one.

A planner is a callable of one shape,

    plan = planner(objective, start, low, high, rng)

`start` (M, H, du) holds sequences of H steps that are worth starting from, the likeliest first.
None, M = 0, is right at the beginning of an episode; later they are `plan.kept`, one step on. So
nothing is remembered in the planner, and it may serve many episodes at once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from lqr import InputError, NumericalError

from ..settings import count, positive

Array = np.ndarray
Objective = Callable[[Array], Array]
"""Prices action sequences (N, H, du); returns costs (N,), of which NaN is worse than anything."""


class Plan(NamedTuple):
    """What a planner found."""

    U: Array  # (H, du), to be carried out
    cost: float  # of the cheapest sequence that was priced
    kept: Array  # (M, H, du), what to start from the next time
    evaluations: int  # how many sequences were priced
    trace: Array  # (iterations,), cheapest cost in each iteration
    means: Array  # (iterations,), mean of the costs that are finite in each iteration


class Planner(Protocol):
    """A function of the one shape."""

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns a plan of actions within low and high (du,). Raises NumericalError where every
        cost is NaN.
        """
        ...


def check_settings(planner: Any) -> None:
    """Raises InputError for a count below 1, or a width or temperature that is not above 0."""
    rules = dict.fromkeys(("samples", "elites", "iterations", "starts"), count)
    rules |= dict.fromkeys(("std", "temperature", "kappa", "rate"), positive)
    for name, rule in rules.items():
        if hasattr(planner, name) and (expected := rule(getattr(planner, name))):
            raise InputError(f"{name} is {getattr(planner, name)!r}; expected {expected}")


def prices(objective: Objective, U: Array) -> Array:
    """Returns costs (N,) of U (N, H, du), NaN made infinite: a sequence that breaks the model is
    the worst of all.

    Raises InputError for another shape, and NumericalError where no cost is finite.
    """
    cost = np.asarray(objective(U), dtype=float)
    if cost.shape != (len(U),):
        raise InputError(
            f"the objective gave shape {cost.shape} for {len(U)} sequences; expected ({len(U)},)"
        )
    cost = np.where(np.isnan(cost), np.inf, cost)
    if not (cost < np.inf).any():
        raise NumericalError(
            f"none of {len(U)} action sequences has a finite cost; expected one or more: the model or the cost breaks"
        )
    return cost


def box(start: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Returns the middle (du,) and half the width (du,) of the limits.

    Raises InputError where they are no box, or where `start` is no (M, H, du) of that du.
    """
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if (
        low.ndim != 1
        or low.shape != high.shape
        or not np.isfinite([low, high]).all()
        or not (low < high).all()
    ):
        raise InputError(
            f"low is {low} and high {high}; expected finite limits (du,) with low < high"
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


class Record:
    """The cheapest sequence so far, and the count."""

    def __init__(self) -> None:
        self.U, self.cost, self.evaluations = np.zeros((0, 0)), np.inf, 0
        self._trace: list[float] = []
        self._means: list[float] = []

    def see(self, U: Array, cost: Array) -> None:
        """Takes in sequences (N, H, du) and their costs (N,)."""
        best = int(np.argmin(cost))
        if cost[best] < self.cost:
            self.U, self.cost = U[best].copy(), float(cost[best])
        self.evaluations += len(U)
        self._trace.append(float(cost[best]))
        finite = cost[np.isfinite(cost)]
        self._means.append(float(finite.mean()) if len(finite) else np.inf)

    def plan(self, U: Array, kept: Array) -> Plan:
        """Returns the plan that carries out U (H, du)."""
        return Plan(
            U, self.cost, kept, self.evaluations, np.array(self._trace), np.array(self._means)
        )
