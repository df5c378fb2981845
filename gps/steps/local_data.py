"""The data of the local controllers: their episodes, condition by condition."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Cost, Task
from agents.rollout import Trajectories
from agents.tasks.capabilities import pixels_of
from dynamics import Chart
from lqr import Gaussian, LinearGaussianController

Array = np.ndarray


class LocalData(NamedTuple):
    """The accepted controller of each condition, its episodes, and the size of its next step.

    Where a task's states lie on a manifold, x and the controllers are in the tangent coordinates of
    the chart.
    """

    controller: LinearGaussianController  # leading axis C
    x: Array  # (C, N, T+1, dx)
    u: Array  # (C, N, T, du)
    o: Array  # (C, N, T+1, do)
    used: Array  # (C, N, T), 1 for the steps of an episode that took place
    cost: Array  # (C,), mean cost of the episodes; 0 where all of them diverged
    multiplier: Array  # (C,), of the KL step
    predicted: Array  # (C,), improvement that the model predicts for the controller tried next
    # (C,), the model's cost of what was evaluated minus that of `controller`; 0 where both are one
    baseline: Array
    variation: Array  # (C,), of the cost over the steps of the episodes; see `cost_scale`
    # (C,), standard error of `cost`: by how much chance alone moves it; 0 for a single episode
    error: Array
    chart: Chart | None = None  # None where states are plain vectors


def tree_of(data: LocalData) -> dict[str, Any]:
    """Returns data as a tree, without their chart."""
    tree = data._asdict() | {"controller": data.controller._asdict()}
    del tree["chart"]
    return tree


def data_of(tree: Mapping[str, Any], chart: Chart | None = None) -> LocalData:
    """Returns the data of a tree."""
    data = LocalData(**tree)
    return data._replace(controller=LinearGaussianController(**tree["controller"]), chart=chart)


def by_condition(
    trajectories: Trajectories,
    controller: LinearGaussianController,
    multiplier: Array,
    chart: Chart | None = None,
) -> LocalData:
    """Returns the episodes of these controllers, condition by condition."""
    C = len(controller.k)
    x, u, o, cost, length, failed = (a.reshape(C, -1, *a.shape[1:]) for a in trajectories)
    used = (np.arange(u.shape[2]) < length[..., None]) & ~failed[..., None]
    valid = np.maximum((~failed).sum(1), 1)
    total = np.where(failed, 0.0, cost.sum(-1))
    mean = total.sum(1) / valid
    gap = np.where(failed, 0.0, total - mean[:, None])
    return LocalData(
        controller=controller,
        x=x if chart is None else chart.to_tangent(x),
        u=u,
        o=o,
        used=used.astype(float),
        cost=mean,
        multiplier=multiplier,
        predicted=np.zeros(C),
        baseline=np.zeros(C),
        variation=cost_scale(cost, _costly(cost, used, length)),
        error=np.sqrt((gap**2).sum(1) / (np.maximum(valid - 1, 1) * valid)),
        chart=chart,
    )


def _costly(cost: Array, used: Array, length: Array) -> Array:
    """Returns which of the states of episodes have a cost, (C, N, T+1) bool: those of the steps that
    took place, and the last one, where that costs anything in any episode. It does not where each
    step is paid for: a 0 there is no cost, and lies no nearer to those of the steps than a constant
    in them does.
    """
    last = np.take_along_axis(cost, length[..., None], -1)[..., 0]
    if (last[used.any(-1)] != 0).any():
        return np.concatenate([used[..., :1], used], -1)
    return np.concatenate([used, np.zeros_like(used[..., :1])], -1)


def cost_scale(cost: Array, used: Array) -> Array:
    """Returns by how much the costs (C, N, T+1) of the steps that took place, `used` (C, N, T+1),
    differ along an episode, (C,): their standard deviation times the number of steps.

    It is the size of a cost that knows no zero: a constant in the cost does not change it.
    """
    steps = np.maximum(used.sum((1, 2)), 1)
    mean = np.where(used, cost, 0.0).sum((1, 2)) / steps
    gap = np.where(used, cost - mean[:, None, None], 0.0)
    return cost.shape[-1] * np.sqrt((gap**2).sum((1, 2)) / steps)


def without_pictures(data: LocalData, task: Task) -> LocalData:
    """Returns data whose observations, where they begin with a picture, are left out: local models
    do not see them, and they are large.
    """
    return data._replace(o=data.o[..., :0].astype(float)) if pixels_of(task) else data


def in_chart(data: LocalData, chart: Chart) -> LocalData:
    """Returns the same episodes, and the same controllers to first order, in another chart of the
    states.
    """
    assert data.chart is not None
    x = chart.to_tangent(data.chart.from_tangent(data.x))
    return data._replace(x=x, controller=data.chart.express(data.controller, chart), chart=chart)


def recentred(data: LocalData) -> LocalData:
    """Returns the same in the chart about the mean of the episodes; plain vectors stay as they
    are.
    """
    if data.chart is None:
        return data
    valid = data.used.any(-1)  # (C, N), the episodes that did not diverge
    one = np.take_along_axis(data.x, valid.argmax(1)[:, None, None, None], 1)[:, 0]
    # the mean is taken about an episode: about the old reference, some may lie half a turn off
    about = data.chart.retracted(one)
    d = about.to_tangent(data.chart.from_tangent(data.x))
    share = (valid / np.maximum(valid.sum(1, keepdims=True), 1))[..., None, None]
    return in_chart(data, about.retracted((share * d).sum(1)))


def states(data: LocalData) -> Array:
    """Returns the states of the task, (C, N, T+1, dx), whatever the chart."""
    return data.x if data.chart is None else data.chart.from_tangent(data.x)


def transitions(data: LocalData) -> tuple[Array, Array, Array]:
    """Returns the transitions that took place, (M, dx), (M, du), (M, dx), for a prior to learn
    from.
    """
    took_place = data.used > 0
    x = states(data)
    found = x[:, :, :-1][took_place], data.u[took_place], x[:, :, 1:][took_place]
    return found if data.chart is None else data.chart.transitions(*found)


def episode_costs(cost: Cost, data: LocalData) -> Array:
    """Returns the cost of each step of the episodes, (C, N, T+1), 0 after an episode's end."""
    return cost(states(data), data.u) * np.concatenate([data.used[..., :1], data.used], -1)


def initial_states(data: LocalData) -> Gaussian:
    """Returns the distribution of the initial states of the valid episodes, with a small spread
    added.
    """
    x0, weight = data.x[:, :, 0], data.used[:, :, :1]
    weight = np.where(weight.any(1, keepdims=True), weight, 1.0)  # all diverged: they did start
    total = weight.sum(1)
    spread = 1e-6 * np.maximum(data.x.var((0, 1, 2)), 1e-6)
    mean = (weight * x0).sum(1) / total
    gap = x0 - mean[:, None]
    cov = np.einsum("cni,cnj->cij", weight * gap, gap) / total[..., None] + np.diag(spread)
    return Gaussian(mean, cov)


def step_shares(data: LocalData) -> Array:
    """Returns the weight of each step, (C, N, T+1): even over the valid episodes, 0 after an
    episode's end.
    """
    valid = data.used[..., :1]
    count = np.maximum(valid.sum(1, keepdims=True), 1)
    return np.concatenate([valid, data.used], -1) / count
