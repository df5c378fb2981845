"""What can be seen in episodes: does the cost depend on the states, and do the actions do anything?

All numbers are shares and ratios: neither a constant in the cost nor any unit changes them.
"""

import math

import numpy as np

from ..interfaces import Array
from . import Trajectories

CLEAR = 1e9  # no effect is told to be clearer than this
ROUNDING = 1e-12  # of a number's size; what differs by less does not differ


def cost_variation(found: Trajectories) -> float:
    """Returns by how much the costs of single steps differ, times the T + 1 of an episode: the
    size of a cost that knows no zero. NaN where no step was taken.
    """
    cost, size = _sized(_paid(found)[1])
    return float(cost.std() * found.cost.shape[1] * size) if len(cost) else math.nan


def cost_by_state(found: Trajectories) -> float:
    """Returns the share of the variation of the steps' costs that their actions do not explain: 0
    where the cost is the same in all states that were seen, whatever the actions cost.

    The actions explain what a regression on u, u^2 and |u| does, |u| together. NaN where fewer
    steps were taken than that needs.
    """
    u, paid = _paid(found)
    cost, _ = _sized(paid)
    free = len(cost) - 2 * u.shape[-1] - 2
    if free < 1:
        return math.nan
    spread = cost.std()
    if spread <= ROUNDING:
        return 0.0
    u = u / np.maximum(np.abs(u).max(0), np.finfo(float).tiny)
    features = np.column_stack([np.ones(len(u)), u, u**2, np.linalg.norm(u, axis=1)])
    gap = cost - features @ np.linalg.lstsq(features, cost, rcond=None)[0]
    return float(np.sqrt((gap**2).sum() / free) / spread)


def cost_spread(found: Trajectories, conditions: int) -> float:
    """Returns how far the costs of the same step differ between the episodes of a condition, added
    up over the steps, mean over the episodes: what their noise does. NaN for one episode each.

    The episodes come condition by condition.
    """
    cost, taken = _grouped(found.cost, conditions), _grouped(found.mask, conditions)
    if cost.shape[1] < 2:
        return math.nan
    taken = np.concatenate([taken, taken[..., -1:]], -1)
    return float(np.where(taken, np.abs(_deviations(cost, taken)), 0.0).sum(-1).mean())


def action_effect(found: Trajectories, conditions: int) -> float:
    """Returns how clearly the noise of the actions is seen in the next states: the largest F
    statistic of the coordinates, about 1 where nothing is seen but chance. NaN where there are too
    few episodes to tell.

    Deviations from the mean over a condition's episodes are regressed, all steps together: x' on x
    alone, and on x and u. The episodes come condition by condition.
    """
    x, u = _grouped(found.x, conditions), _grouped(found.u, conditions)
    taken = _grouped(found.mask, conditions)
    before, after = _deviations(x[:, :, :-1], taken)[taken], _deviations(x[:, :, 1:], taken)[taken]
    moves = _deviations(u, taken)[taken]
    free = int(np.maximum(taken.sum(1) - 1, 0).sum()) - before.shape[1] - moves.shape[1]
    if free < 1:
        return math.nan
    size = np.abs(x[:, :, 1:][taken]).max(0)
    after, size = after / np.where(size > 0, size, 1.0), size > 0
    left = _left_over(_scaled(before), after)
    both = _left_over(np.column_stack([_scaled(before), _scaled(moves)]), after)
    rounding = len(after) * (ROUNDING * size) ** 2 + np.finfo(float).tiny
    effect = (left - both) / moves.shape[1] / ((both + rounding) / free)
    seen = left > rounding
    return min(float(effect[seen].max()), CLEAR) if seen.any() else 0.0


def _paid(found: Trajectories) -> tuple[Array, Array]:
    """Returns the actions (M, du) and the costs (M,) of the steps that were taken; where all cost the
    same, those of the last states too, in which no action is taken: a cost may be paid there alone.
    """
    u, cost = found.u[found.mask], found.cost[:, :-1][found.mask]
    last = np.take_along_axis(found.cost, found.length[:, None], 1)[:, 0][found.mask.any(1)]
    if len(cost) and np.ptp(cost) <= ROUNDING * np.abs(cost).max() and (last != 0).any():
        return np.concatenate([u, np.zeros((len(last), u.shape[1]))]), np.concatenate([cost, last])
    return u, cost


def _sized(a: Array) -> tuple[Array, float]:
    """Returns numbers divided by their largest size, and that: squares of them are finite then."""
    size = float(np.abs(a).max(initial=0.0))
    return (a / size if size > 0 else a), size


def _grouped(a: Array, conditions: int) -> Array:
    return a.reshape(conditions, -1, *a.shape[1:])


def _deviations(a: Array, taken: Array) -> Array:
    """Returns a (C, N, T, ...) minus its mean over the N episodes that took (C, N, T) that step."""
    weight = taken.reshape(*taken.shape, *[1] * (a.ndim - taken.ndim))
    known = np.where(weight, a, 0.0)
    return known - known.sum(1, keepdims=True) / np.maximum(weight.sum(1, keepdims=True), 1)


def _scaled(a: Array) -> Array:
    size = np.abs(a).max(0)
    return a / np.where(size > 0, size, 1.0)


def _left_over(features: Array, targets: Array) -> Array:
    """Returns the sums of squares of what a regression of the targets leaves, (d,)."""
    gap = targets - features @ np.linalg.lstsq(features, targets, rcond=None)[0]
    return np.asarray((gap**2).sum(0))
