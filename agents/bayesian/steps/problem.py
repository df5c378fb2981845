"""The model as a search knows it: a Gaussian process, starts, and what an episode is worth."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dynamics import GaussianProcess
from dynamics.features import Featured

from ...imagine import imagine
from ...interfaces import Array, Task
from ...policies.rbf import features
from ...rollout import Act, Trajectories
from ...tasks.capabilities import ObservationOf, PaysNear, angles_of, capability

SIGNAL_TO_NOISE = 500.0  # the largest, as in PILCO's code

Worth = Callable[[Array, Array], Array]  # X (..., T+1, dx), U (..., T, du) -> (...)


def process(task: Task) -> Featured:
    """Returns a Gaussian process for each coordinate's change, which sees angles as cosine and
    sine.
    """
    gp = GaussianProcess(slope=False, signal_to_noise=SIGNAL_TO_NOISE, reject_outliers=False)
    return Featured(gp, angles_of(task))


def loss_of(task: Task, planned: Task, widen: float = 1.0) -> Worth:
    """Returns what a search lowers: minus the task's saturating reward, where it tells one, whose
    width is multiplied by `widen`; else the cost of `planned`, the task with the cost to plan by.
    """
    told = capability(task, PaysNear)
    if told is None:
        return lambda X, U: np.asarray(planned.cost(X, U)).sum(-1)
    paid = told.saturating._replace(width=widen * told.saturating.width)
    angles = angles_of(task)
    return lambda X, U: -paid.reward(features(X[..., 1:, :], angles)).sum(-1)


def drawn(model: Any, noise: Array) -> Callable[[Array, Array], Array]:
    """Returns a step x, u -> x' of the model with standard normal numbers (T, S, dx), one row after
    the other: common random numbers, for whatever is compared.
    """
    rows = iter(noise)

    def step(x: Array, u: Array) -> Array:
        mean, var = model.marginals(x, u)
        return mean + np.sqrt(var) * next(rows)

    return step


def episodes_of(
    task: Task, model: Any, act: Act, starts: Array, noise: Array, points: int
) -> Trajectories:
    """Returns imagined episodes of so many policies, (points, S), from starts (S, dx) with noise
    (T, S, dx).
    """
    told = capability(task, ObservationOf)
    x0 = np.broadcast_to(starts, (points, *starts.shape))
    low, high = task.action_low, task.action_high
    see = None if told is None else told.observation_of
    return imagine(drawn(model, noise), act, x0, task.horizon, low, high, see)
