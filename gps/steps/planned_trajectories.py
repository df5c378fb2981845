"""Planned trajectories in a learned model, by iLQR: from a policy's actions there, from earlier
plans and from random actions.

    U, K  <-  argmin over U of  sum_t l_t(x_t, u_t),   x_t+1 = f(x_t, u_t),   low <= u_t <= high,   f the model's mean

As iLQR finds only the nearest optimum, it starts from several guesses, and the plan of lowest cost
is kept.
"""

from typing import Any, NamedTuple

import numpy as np

from agents.imagine import imagine
from agents.interfaces import Task
from agents.planners.models import PlanningModel
from agents.rollout import Act, smoothed
from lqr import LinearGaussianController, NumericalError, ilqr, window

from .local_data import cost_scale

Array = np.ndarray


class PlannedTrajectories(NamedTuple):
    """The plan from each start; leading axis C."""

    controller: LinearGaussianController
    X: Array  # (C, T+1, dx)
    U: Array  # (C, T, du)
    cost: Array  # (C,)
    converged: Array  # (C,) bool


def plan(
    task: Task,
    planning_model: PlanningModel,
    x0: Array,
    U: Array,
    iterations: int,
    warm_start_bias: float,
) -> PlannedTrajectories:
    """Returns a plan from each start x0 (C, dx): the best of those that iLQR finds from the guesses
    U (C, S, T, du).

    The plan from the first guess, the warm start, is taken unless another costs less by at least
    the share `warm_start_bias` of its cost's variation along the episode, see `cost_scale`.
    """
    C, S, T, _ = U.shape
    found = ilqr(
        planning_model.step,
        plan_cost(task, T),
        np.repeat(x0[:, None], S, axis=1),
        U,
        low=task.action_low,
        high=task.action_high,
        jacobian=planning_model.jacobian,
        vectorised="any",
        second_order=False,
        max_iterations=iterations,
        tolerance=1e-4,
    )
    biased = found.cost.copy()
    steps = plan_cost(task, T)(found.X[:, :1], found.U[:, :1])
    biased[:, 0] -= warm_start_bias * cost_scale(steps, np.ones(steps.shape, bool))
    pick = np.arange(C), np.argmin(biased, axis=1)
    controller = LinearGaussianController(*(a[pick] for a in found.controller))
    return PlannedTrajectories(
        controller=controller,
        X=found.X[pick],
        U=found.U[pick],
        cost=found.cost[pick],
        converged=found.converged[pick],
    )


def guesses(
    task: Any,
    planning_model: PlanningModel,
    policy: Any,
    x0: Array,
    sequences: Array,
    last: Array | None,
) -> Array:
    """Returns actions (C, S, T, du) to start iLQR from at x0 (C, dx): the policy's in the model, the
    last plan, random ones.

    `sequences` (C, S, T, du), S > 1, are random and are cut to the limits; `last` (L, T, du) are
    plans from the first L of the starts. A guess under which the model diverges is replaced by that
    of lowest cost. Raises NumericalError where the model diverges under all guesses of a start.
    """
    low, high, (C, S, T, _) = task.action_low, task.action_high, sequences.shape
    U = np.clip(sequences, low, high)
    if last is not None:
        U[: len(last), 1] = last
    cost = np.empty((C, S))
    for s in range(S):
        act = _policy(policy) if s == 0 else _sequence(U[:, s].copy())
        see = task.observation_of if s == 0 else None
        found = imagine(planning_model.step, act, x0, T, low, high, see, plan_cost(task, T))
        U[:, s], cost[:, s] = found.u, found.cost.sum(-1)
    valid = np.isfinite(cost)
    if not valid.any(1).all():
        raise NumericalError(
            f"the model diverges from start {int(valid.any(1).argmin())} under each of {S} guesses; "
            "expected a finite cost: take more episodes, a smaller initial_std, or a shorter plan_length"
        )
    best = U[np.arange(C), np.where(valid, cost, np.inf).argmin(1)]
    return np.where(valid[..., None, None], U, best[:, None])


def _policy(policy: Any) -> Act:
    return lambda x, o, t: policy.mean(o)


def _sequence(U: Array) -> Act:
    return lambda x, o, t: U[:, t]


def plan_cost(task: Any, T: int) -> Any:
    """Returns the cost of a plan of T steps from an episode's start."""
    return window(task.cost, 0, T, task.horizon)


def noise(shape: tuple[int, ...], std: Array, smoothing: float, rng: np.random.Generator) -> Array:
    """Returns normal draws (N, T, du) of deviation `std` (du,), smoothed over the steps at the same
    variance.
    """
    return std * smoothed(rng.standard_normal(shape), smoothing)


def near(x: Array, visited: Array) -> Array:
    """Returns which states (..., dx) lie within ten times the range of the visited ones (M, dx),
    (...) bool.

    Farther away the model has no data: a trajectory there has diverged.
    """
    low, high = visited.min(0), visited.max(0)
    reach = 10.0 * (high - low) + 1e-6 * (1 + np.abs(high))
    return ((low - reach <= x) & (x <= high + reach)).all(-1)
