"""Episodes, step by step: side by side, or one after the other where there is one robot."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lqr import SimulationError
from lqr.user_functions import guarded

from ..interfaces import Array, EpisodeDiscarded, Task
from ..tasks.capabilities import Interruptible, Rewarded, applied, capability, diverged
from .checks import booleans, named, shaped
from .trajectories import Act, Trajectories, Watch


def one_by_one(
    task: Task, acts: Sequence[Act], where: Array, rng: np.random.Generator, watch: Watch | None
) -> list[Trajectories]:
    """Runs an episode of each of `acts`, again where the task discards it; whatever happens, nothing
    is left moving.
    """
    robot, parts, before = capability(task, Interruptible), list[Trajectories](), list[Any]()
    while (i := len(parts)) < len(acts):
        before.append(rng.bit_generator.state)
        try:
            if robot:
                robot.repeatable(i)
            parts.append(side_by_side(task, acts[i], where[i : i + 1], rng, watch))
        except EpisodeDiscarded as told:
            first = max(0, i - told.back)
            rng.bit_generator.state = before[first]
            del parts[first:], before[first:]
        except BaseException:
            if robot:
                robot.abort()
            raise
    if robot:
        robot.repeatable(0)
    return parts


def side_by_side(
    task: Task, act: Act, where: Array, rng: np.random.Generator, watch: Watch | None
) -> Trajectories:
    """Runs episodes side by side; their costs are minus what was paid, 0 where nobody pays."""
    N, T = len(where), task.horizon
    x = np.empty((N, T + 1, task.dx))
    u = np.zeros((N, T, task.du))
    length, alive, failed = np.full(N, T), np.ones(N, bool), np.zeros(N, bool)
    reset = named(f"{task.name}.reset", task.reset)
    step = named(f"{task.name}.step", task.step)
    observe = named(f"{task.name}.observe", task.observe)
    done = named(f"{task.name}.done", task.done)
    x[:, 0] = shaped(reset(where.copy(), rng), (N, task.dx), f"{task.name}.reset")
    first = shaped(observe(), (N, task.do), f"{task.name}.observe")
    o = np.empty((N, T + 1, task.do), np.float32 if first.dtype == np.float32 else float)
    o[:, 0] = first
    if not (np.isfinite(x[:, 0]).all() and np.isfinite(o[:, 0]).all()):
        i = int(np.argmin(np.isfinite(x[:, 0]).all(1) & np.isfinite(o[:, 0]).all(1)))
        raise SimulationError(
            f"{task.name}.reset gave condition {where[i]} the state {x[i, 0]} and observation {o[i, 0]}; "
            "expected finite numbers: check how the task starts"
        )
    cost = np.zeros((N, T + 1))
    record = Trajectories(x, u, o, cost, length, failed)
    for t in range(T):
        if watch and t:
            watch(record.between(0, t))
        acted = guarded("the actor", act)(x[:, t].copy(), o[:, t].copy(), t)
        action = shaped(acted, (N, task.du), "the actor")
        action = np.clip(action, task.action_low, task.action_high)
        if not np.isfinite(action[alive]).all():
            i = int(np.argmax(~np.isfinite(action).all(1) & alive))
            raise SimulationError(
                f"the action of episode {i} at step {t} is {action[i]}; expected finite numbers: was training healthy?"
            )
        u[:, t] = np.where(alive[:, None], action, 0.0)
        after = shaped(step(u[:, t].copy()), (N, task.dx), f"{task.name}.step").copy()
        seen = shaped(observe(), (N, task.do), f"{task.name}.observe")
        u[:, t] = np.where(alive[:, None], applied(task, u[:, t]), 0.0)
        if paid := capability(task, Rewarded):
            reward = shaped(paid.reward, (N,), f"{task.name}.reward")
            cost[:, t] = np.where(alive, -reward.astype(float), 0.0)
        broken = ~(np.isfinite(after).all(1) & np.isfinite(seen).all(1))
        failed |= (
            broken | _diverged(task, N)
        ) & alive  # what a simulation does after its episode does not count
        x[:, t + 1] = np.where((alive & ~broken)[:, None], after, x[:, t])
        o[:, t + 1] = np.where((alive & ~broken)[:, None], seen, o[:, t])
        over = booleans(done(), N, f"{task.name}.done")
        ended = (over | broken) & alive
        length[ended] = t + 1
        alive &= ~ended
        if not alive.any():
            x[:, t + 2 :], o[:, t + 2 :] = x[:, t + 1, None], o[:, t + 1, None]
            break
    return Trajectories(x, u, o, cost, length, failed)


def _diverged(task: Task, N: int) -> Array:
    return booleans(diverged(task, N), N, f"{task.name}.diverged")
