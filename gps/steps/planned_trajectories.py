"""Plans in a learned model: by iLQR, from what a policy does there, from earlier plans and from
random actions.

    U, K  <-  argmin over U of  sum_t l_t(x_t, u_t),   x_t+1 = f(x_t, u_t),   low <= u_t <= high,   f the model's mean

As iLQR finds the nearest optimum alone, each start is planned from several guesses, and the
cheapest plan is kept.
"""

from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Task
from agents.planners.models import PlanningModel
from agents.rollout import smoothed
from lqr import LinearGaussianController, NumericalError, ilqr, window

Array = np.ndarray


class Plans(NamedTuple):
    """What is planned, from each start; leading axis C."""

    controller: LinearGaussianController
    X: Array  # (C, T+1, dx)
    U: Array  # (C, T, du)
    cost: Array  # (C,)


def plan(
    task: Task, world: PlanningModel, x0: Array, U: Array, iterations: int, loyalty: float
) -> Plans:
    """Returns a plan from each start x0 (C, dx): the best of those that iLQR makes of the guesses U
    (C, S, T, du).

    One that is not made of the first guess has to be cheaper than that by the share `loyalty` of
    its cost.
    """
    C, S, T, _ = U.shape
    found = ilqr(
        world.step,
        planned_for(task, T),
        np.repeat(x0[:, None], S, axis=1),
        U,
        low=task.action_low,
        high=task.action_high,
        jacobian=world.jacobian,
        vectorised="any",
        second_order=False,
        max_iterations=iterations,
        tolerance=1e-4,
    )
    price = found.cost.copy()
    price[:, 0] -= loyalty * abs(price[:, 0])
    pick = np.arange(C), np.argmin(price, axis=1)
    controller = LinearGaussianController(*(a[pick] for a in found.controller))
    return Plans(controller, found.X[pick], found.U[pick], found.cost[pick])


def guesses(
    task: Any, world: PlanningModel, policy: Any, x0: Array, random: Array, last: Array | None
) -> Array:
    """Returns actions (C, S, T, du) to plan from x0 (C, dx): the policy's in the model, the last
    plan, random ones.

    `random` (C, S, T, du), S > 1, is cut to the limits; `last` (L, T, du) are plans from the first
    L of the starts. The cheapest of the others stands in for one under which the model diverges.
    Raises NumericalError where it does under all of a start's.
    """
    U = np.clip(random, task.action_low, task.action_high)
    C, S, T, _ = U.shape
    if last is not None:
        U[: len(last), 1] = last
    X = np.repeat(x0[:, None, None], S, axis=1).repeat(T + 1, axis=2)  # (C, S, T+1, dx)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(T):
            U[:, 0, t] = np.clip(
                policy.mean(task.observation_of(X[:, 0, t])), task.action_low, task.action_high
            )
            for s in range(S):
                X[:, s, t + 1] = world.step(X[:, s, t], U[:, s, t])
        price = planned_for(task, T)(X, U).sum(-1)
    sound = np.isfinite(price)
    if not sound.any(1).all():
        raise NumericalError(
            f"the model diverges from start {int(sound.any(1).argmin())} under each of {S} guesses of what to do; "
            "expected a finite cost: take more trials, a smaller initial_std, or a shorter plan_length"
        )
    cheapest = U[np.arange(C), np.where(sound, price, np.inf).argmin(1)]
    return np.where(sound[..., None, None], U, cheapest[:, None])


def planned_for(task: Any, T: int) -> Any:
    """Returns the cost of a plan of T steps from an episode's start."""
    return window(task.cost, 0, T, task.horizon)


def noise(shape: tuple[int, ...], std: Array, smoothing: float, rng: np.random.Generator) -> Array:
    """Returns normal draws (N, T, du) of deviation `std` (du,), smoothed over the steps without
    loss of variance.
    """
    return std * smoothed(rng.standard_normal(shape), smoothing)


def near(x: Array, known: Array) -> Array:
    """Returns which states (..., dx) lie within ten times the range of the known ones (M, dx),
    (...) bool.

    Beyond that nothing is known of the model: what goes there has run off.
    """
    low, high = known.min(0), known.max(0)
    reach = 10.0 * (high - low) + 1e-6 * (1 + np.abs(high))
    return ((low - reach <= x) & (x <= high + reach)).all(-1)
