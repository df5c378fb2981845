"""Exploration: its unit, and the least of it."""

import numpy as np

from agents.interfaces import Task
from agents.tasks.action_limits import bounded
from lqr import LinearGaussianController

Array = np.ndarray


def action_scale(task: Task) -> Array:
    """Returns half the action range, (du,), the unit of exploration; 1 where an action has no
    limits, or none to choose.
    """
    low, high = task.action_low, task.action_high
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(bounded(low, high) & (low < high), 0.5 * (high - low), 1.0)


def with_std(
    controller: LinearGaussianController, scale: Array, least: float, most: float = np.inf
) -> LinearGaussianController:
    """Returns controllers whose covariance has no eigenvalue outside least^2 to most^2, in units of
    `scale` (du,).
    """
    values, vectors = np.linalg.eigh(controller.cov / (scale[:, None] * scale))
    held = np.clip(values, least**2, most**2)
    cov = (vectors * held[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return controller._replace(cov=cov * scale[:, None] * scale)
