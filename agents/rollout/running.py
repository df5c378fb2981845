"""Runs controllers and policies in a task, all conditions and samples side by side; or one episode
after the other, where there is one robot.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from dynamics import Chart
from lqr import Diverged, InputError, LinearGaussianController

from ..interfaces import Array, Policy, Task
from ..tasks.capabilities import Rewarded, capability, runs_serially
from .actors import acting, controllers, drawing, row_of
from .checks import checked_cost, named, shaped
from .episodes import one_by_one, side_by_side
from .in_turn import in_turn
from .noise import Antithetic, OneRow
from .trajectories import Act, Trajectories, Watch


def rollout(
    task: Task,
    actor: LinearGaussianController | Policy,
    conditions: Array,
    samples: int,
    rng: np.random.Generator,
    noise: float = 1.0,
    smoothing: float = 0.0,
    chart: Chart | None = None,
    antithetic: bool = False,
) -> Trajectories:
    """Returns `samples` episodes of each of the `conditions` (C,), N = C * samples, condition by
    condition.

    `actor` is one linear-Gaussian controller per condition (leading axis C), which sees x (or,
    where there is a chart, the tangent coordinates of x), or a policy, which sees o, or x where it
    says `input = "x"`. `noise` scales the controllers' standard deviation; with 0 their mean
    actions are taken (a policy's, too). Where a task runs its episodes one after the other, each
    has the noise that it has side by side with the others. With `antithetic`, the noise of every
    second episode of a condition is that of the one before with the other sign.
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; expected at least 1")
    where = np.repeat(np.asarray(conditions, dtype=int), samples)
    source = Antithetic(rng, samples) if antithetic else rng
    if isinstance(actor, LinearGaussianController):
        act = controllers(actor, samples, source, noise, smoothing, chart)
        found = run_rows(task, act, where, rng)
    elif getattr(actor, "in_turn", False) and runs_serially(task):
        plans = source if noise else np.random.default_rng(0)  # as it has for all side by side
        found = run(task, in_turn(drawing(actor), plans, len(where)), where, rng)
    elif noise and runs_serially(task):
        states: list[Any] = []
        acts = [row_of(actor, OneRow(source, i, len(where), states)) for i in range(len(where))]
        found = run(task, acts, where, rng)
    else:
        found = run(task, acting(actor, source if noise else None), where, rng)
    return found


def run_rows(
    task: Task, act: Callable[..., Array], where: Array, rng: np.random.Generator
) -> Trajectories:
    """Runs one episode in each of the conditions `where` (N,), each with an actor of its own:
    `act(x, o, t, rows)` acts in the episodes `rows` (a slice), all or one.
    """
    if runs_serially(task):
        acts = [partial(act, rows=slice(i, i + 1)) for i in range(len(where))]
        return run(task, acts, where, rng)
    return run(task, partial(act, rows=slice(None)), where, rng)


def run(
    task: Task,
    act: Act | Sequence[Act],
    where: Array,
    rng: np.random.Generator,
    watch: Watch | None = None,
) -> Trajectories:
    """Runs one episode in each of the conditions `where` (N,) and records it; once all have ended
    nobody is asked.

    Where a task runs its episodes one after the other, `act` may be one for each of them; one that
    the task discards is run again, with the random numbers that it had. What the
    world pays is what an episode costs; else it is the task's cost. `watch` is shown, before each
    step but the first, what has happened so far, with minus what the world paid as costs.

    Raises SimulationError where the task or the actor gives other shapes than promised, an action
    that is not finite, or a start that is not, and where every episode diverged; InputError for a
    cost that cannot be used.
    """
    if runs_serially(task):
        acts = list(act) if isinstance(act, Sequence) else [act] * len(where)
        parts = one_by_one(task, acts, where, rng, watch)
        found = Trajectories(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    else:
        assert not isinstance(act, Sequence)
        found = side_by_side(task, act, where, rng, watch)
    if found.failed.all():
        raise Diverged(
            f"all {len(where)} episodes diverged in {task.name}; the simulator's state became huge or not a number: "
            "lower initial_std, or check the task's model"
        )
    if capability(task, Rewarded):
        return found
    cost = checked_cost(task, found.x, found.u)
    cost[np.arange(task.horizon + 1) > found.length[:, None]] = 0.0
    return found._replace(cost=cost)


def metrics_of(task: Task, shown: Trajectories) -> dict[str, Array]:
    """Returns the task's own numbers of these episodes, (N,) each, and the return where the world
    pays each step.
    """
    found = named(f"{task.name}.metrics", task.metrics)(shown.x.copy(), shown.u.copy())
    if not isinstance(found, dict):
        raise InputError(
            f"the metrics of {task.name} gave a {type(found).__name__}; expected a dict of arrays, a number per episode"
        )
    found = {
        str(name): shaped(value, (len(shown.x),), f"{task.name}.metrics, {name!r},").copy()
        for name, value in found.items()
    }
    return found | {"return": -shown.cost.sum(-1)} if capability(task, Rewarded) else found
