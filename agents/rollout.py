"""Runs controllers and policies in a task, all conditions and samples side by side."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from dynamics import Chart
from lqr import InputError, LinearGaussianController, SimulationError

from .interfaces import Array, Policy, Task


class Trajectories(NamedTuple):
    """What happened, in N episodes. Past an episode's end the last state is repeated, with zero actions and cost."""

    x: Array  # (N, T+1, dx)
    u: Array  # (N, T, du), the actions that were applied, within the limits
    o: Array  # (N, T+1, do)
    cost: Array  # (N, T+1)
    length: Array  # (N,) int, steps until termination, T where there was none
    failed: Array  # (N,) bool, the simulator diverged; the fit must not see it


Act = Callable[[Array, Array, int], Array]  # x (N, dx), o (N, do), t -> u (N, du)


def rollout(
    task: Task,
    actor: LinearGaussianController | Policy,
    conditions: Array,
    samples: int,
    rng: np.random.Generator,
    noise: float = 1.0,
    smoothing: float = 0.0,
    chart: Chart | None = None,
) -> Trajectories:
    """Returns `samples` episodes of each of the `conditions` (C,), N = C * samples, condition by condition.

    `actor` is one linear-Gaussian controller per condition (leading axis C), which sees x (or, where there
    is a chart, the tangent coordinates of x), or a policy, which sees o.
    `noise` scales the controllers' standard deviation; with 0 their mean actions are taken (a policy's, too).
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; expected at least 1")
    where = np.repeat(np.asarray(conditions, dtype=int), samples)
    if isinstance(actor, LinearGaussianController):
        act = _controllers(actor, samples, rng, noise, smoothing, chart)
    else:
        act = _policy(actor, rng if noise else None)
    return run(task, act, where, rng)


def run(task: Task, act: Act, where: Array, rng: np.random.Generator) -> Trajectories:
    """Runs one episode in each of the conditions `where` (N,) and records it."""
    N, T = len(where), task.horizon
    x, u, o = np.empty((N, T + 1, task.dx)), np.zeros((N, T, task.du)), np.empty((N, T + 1, task.do))
    length, alive, failed = np.full(N, T), np.ones(N, bool), np.zeros(N, bool)
    x[:, 0], o[:, 0] = task.reset(where, rng), task.observe()
    for t in range(T):
        action = np.clip(act(x[:, t], o[:, t], t), task.action_low, task.action_high)
        if not np.isfinite(action[alive]).all():
            i = int(np.argmax(~np.isfinite(action).all(1) & alive))
            raise SimulationError(f"the action of episode {i} at step {t} is {action[i]}; expected finite numbers")
        u[:, t] = np.where(alive[:, None], action, 0.0)
        after, seen = task.step(u[:, t]), task.observe()
        broken = ~(np.isfinite(after).all(1) & np.isfinite(seen).all(1))
        failed |= (broken | _diverged(task, N)) & alive  # what a simulation does after its episode does not count
        x[:, t + 1] = np.where((alive & ~broken)[:, None], after, x[:, t])
        o[:, t + 1] = np.where((alive & ~broken)[:, None], seen, o[:, t])
        ended = (task.done() | broken) & alive
        length[ended] = t + 1
        alive &= ~ended
    if failed.all():
        raise SimulationError(
            f"all {N} episodes diverged in {task.name}; the simulator's state became huge or not a number: "
            "lower initial_std, or check the task's model"
        )
    cost = checked_cost(task, x, u)
    cost[np.arange(T + 1) > length[:, None]] = 0.0
    return Trajectories(x, u, o, cost, length, failed)


def checked_cost(task: Task, x: Array, u: Array) -> Array:
    """Returns task.cost(x, u); raises InputError if its shape or type is wrong or an entry is not finite."""
    cost = np.asarray(task.cost(x, u))
    expected = (*x.shape[:-2], task.horizon + 1)
    if cost.shape != expected or cost.dtype.kind not in "fiu":
        raise InputError(
            f"the cost of {task.name} has shape {cost.shape} and type {cost.dtype}; expected {expected}, real"
        )
    if not np.isfinite(cost).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(cost))[0])
        raise InputError(
            f"the cost of {task.name} is {cost[where]} at (episode, step) {where}; expected finite numbers"
        )
    return cost.astype(float)


def _diverged(task: Task, N: int) -> Array:
    return np.array(getattr(task, "diverged", np.zeros(N, bool)))


def _controllers(
    actor: LinearGaussianController,
    samples: int,
    rng: np.random.Generator,
    noise: float,
    smoothing: float,
    chart: Chart | None,
) -> Act:
    rows = np.repeat(np.arange(len(actor.k)), samples)
    K, k = (np.repeat(a, samples, axis=0) for a in (actor.K, actor.k))
    spread = np.repeat(np.linalg.cholesky(actor.cov), samples, axis=0)
    draws = rng.standard_normal(k.shape) if noise else np.zeros_like(k)
    if smoothing:  # correlated over time, with the variance of white noise
        draws = gaussian_filter1d(draws, smoothing, axis=1, mode="wrap")
        draws /= np.sqrt((gaussian_filter1d(np.eye(k.shape[1])[0], smoothing, mode="wrap") ** 2).sum())
    steps = noise * (spread @ draws[..., None])[..., 0]

    def act(x: Array, o: Array, t: int) -> Array:
        seen = x if chart is None else chart.see(x, t, rows)
        return (K[:, t] @ seen[..., None])[..., 0] + k[:, t] + steps[:, t]

    return act


def _policy(policy: Policy, rng: np.random.Generator | None) -> Act:
    return lambda x, o, t: policy.sample(o, t, rng)
