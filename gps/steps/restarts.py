"""Restarts: a condition that stands still, where another's controller would cost less, tries that.

A local method follows the slope from where it begins, and may end in a poor optimum: an arm that
bends the wrong way. What another condition's episodes would cost from its start is told by the cost
itself, along their states moved by the difference d of the two starts. Where that is less, its next
episodes are those of that controller, so moved,

    u = K (x - d) + k,

which cost none beyond the usual ones. What it has is kept aside meanwhile, and stays what it shows.
As soon as the newcomer costs less it takes its place; if it does not within `PATIENCE` iterations,
what was kept is put back.

Costs are compared with costs, by differences alone: neither their unit nor a constant in them
matters.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Cost
from lqr import LinearGaussianController

from .local_data import LocalData, data_of, episode_costs, tree_of
from .step_size import select, select_controllers

Array = np.ndarray
STILL = 2  # iterations without an improvement after which a condition stands still
PROGRESS = 0.05  # share of the typical gain that is an improvement
PATIENCE = 3  # iterations that a restart is given
LEAST = 0.02  # share of the cost's variation that others must have gained before any restart


class Trials(NamedTuple):
    """Which conditions are on trial, and what is kept of these; leading axis C."""

    on: Array  # (C,) bool
    age: Array  # (C,), iterations since the restart
    tries: Array  # (C,), restarts so far
    first: Array  # (C,), cost at the start of the run
    best: Array  # (C,), lowest cost from which progress is counted
    still: Array  # (C,), iterations since the last progress
    data: LocalData  # kept aside where `on`; without a chart
    controller: LinearGaussianController  # that would have been tried next


COUNTED = ("on", "age", "tries", "first", "best", "still")  # one number per condition


def tree_of_trials(trials: Trials) -> dict[str, Any]:
    """Returns trials as a tree of floats."""
    numbers = {name: getattr(trials, name).astype(float) for name in COUNTED}
    return numbers | {"data": tree_of(trials.data), "controller": trials.controller._asdict()}


def trials_of(tree: Mapping[str, Any]) -> Trials:
    """Returns the trials of a tree."""
    whole = {name: tree[name].astype(int) for name in ("age", "tries", "still")}
    controller = LinearGaussianController(**tree["controller"])
    trials = Trials(**{**tree, **whole})
    return trials._replace(on=tree["on"] > 0, data=data_of(tree["data"]), controller=controller)


class Start(NamedTuple):
    """What the conditions go on from."""

    data: LocalData
    controller: LinearGaussianController  # to be tried next


def begun(now: Start) -> Trials:
    """Returns the trials before the first restart."""
    C = len(now.data.cost)
    zero, cost = np.zeros(C, int), now.data.cost
    return Trials(zero > 0, zero, zero, cost, cost, zero, now.data, now.controller)


def restarted(
    trials: Trials, now: Start, cost: Cost, initial: LinearGaussianController, limit: int
) -> tuple[Trials, Start]:
    """Returns the trials, and what to go on from, after an iteration: newcomers that are better
    take their place, those that had their time go, and conditions that are stuck, up to `limit`
    times each, get another's controller with the covariance of `initial`.
    """
    trials, now = ended(trials, now)
    trials = watched(trials, now.data)
    stuck = is_stuck(trials, now.data, cost) & (trials.tries < limit)
    return begin(trials, now, stuck, cost, initial) if stuck.any() else (trials, now)


def ended(trials: Trials, now: Start) -> tuple[Trials, Start]:
    """Returns both after the trials that are decided."""
    kept, new = trials.data, now.data
    age = trials.age + trials.on
    # by more than chance, where that is known
    better = new.cost + np.hypot(new.error, kept.error) < kept.cost
    won = trials.on & new.used.any((1, 2)) & better
    lost = trials.on & ~won & (age >= PATIENCE)
    on = trials.on & ~won & ~lost
    now = chosen(lost, Start(kept, trials.controller), now)
    return trials._replace(on=on, age=np.where(on, age, 0)), now


def watched(trials: Trials, data: LocalData) -> Trials:
    """Returns the trials with the progress of this iteration."""
    cost = np.where(trials.on, trials.data.cost, data.cost)
    progress = cost < trials.best - PROGRESS * max(typical_gain(trials, data), 0.0)
    still = np.where(progress | trials.on, 0, trials.still + 1)
    return trials._replace(best=np.where(progress, cost, trials.best), still=still)


def is_stuck(trials: Trials, data: LocalData, cost: Cost) -> Array:
    """Returns which conditions stand still above what the episodes of another would cost from their
    start, (C,) bool.
    """
    gain = typical_gain(trials, data)
    still = ~trials.on & (trials.still >= STILL)
    if gain <= LEAST * np.median(data.variation):
        return np.zeros_like(still)
    donors = can_give(trials, data)
    for c in np.flatnonzero(still):
        least = moved_costs(int(c), data, donors, cost).min()
        still[c] = least + PROGRESS * gain < data.cost[c]
    return still


def typical_gain(trials: Trials, data: LocalData) -> float:
    """Returns the median of what the conditions have gained so far."""
    cost = np.where(trials.on, trials.data.cost, data.cost)
    return float(np.median(trials.first - cost))


def begin(
    trials: Trials, now: Start, stuck: Array, cost: Cost, initial: LinearGaussianController
) -> tuple[Trials, Start]:
    """Returns both with the stuck conditions (C,) bool on trial."""
    data = now.data
    K, k = initial.K.copy(), initial.k.copy()
    donors = can_give(trials, data) & ~stuck
    for c in map(int, np.flatnonzero(stuck)):
        found = np.argsort(moved_costs(c, data, donors, cost), kind="stable")
        if trials.tries[c] < donors.sum():
            d = int(found[trials.tries[c]])
            own = data.controller
            K[c], k[c] = own.K[d], own.k[d] - own.K[d] @ (start_of(data, c) - start_of(data, d))
    newcomer = LinearGaussianController(K, k, initial.cov)
    trials = trials._replace(
        on=trials.on | stuck,
        age=np.where(stuck, 0, trials.age),
        tries=trials.tries + stuck,
        still=np.where(stuck, 0, trials.still),
    )
    kept = chosen(stuck, now, Start(trials.data, trials.controller))
    trials = trials._replace(data=kept.data, controller=kept.controller)
    # without episodes whatever comes next is accepted
    empty = data._replace(
        used=0 * data.used, multiplier=np.ones_like(data.cost), predicted=0 * data.predicted
    )
    return trials, chosen(stuck, Start(empty, newcomer), now)


def can_give(trials: Trials, data: LocalData) -> Array:
    """Returns which conditions have episodes, and are not on trial, (C,) bool."""
    return ~trials.on & data.used.any((1, 2))


def moved_costs(c: int, data: LocalData, donors: Array, cost: Cost) -> Array:
    """Returns what the episodes of each donor would cost if they began where condition c does,
    (C,); infinite for c itself and for what is no donor.
    """
    starts = np.array([start_of(data, d) for d in range(len(donors))])
    moved = data._replace(x=data.x + (starts[c] - starts)[:, None, None])
    valid = data.used[..., 0]
    total = (episode_costs(cost, moved).sum(-1) * valid).sum(1)
    mean = total / np.maximum(valid.sum(1), 1)
    able = donors & np.isfinite(mean) & (np.arange(len(mean)) != c)
    return np.where(able, mean, np.inf)


def start_of(data: LocalData, c: int) -> Array:
    """Returns the mean initial state of a condition's episodes, (dx,)."""
    return np.asarray(data.x[c, :, 0].mean(0))


def chosen(at: Array, new: Start, old: Start) -> Start:
    """Returns `new` for the conditions where `at` (C,) is True, and `old` for the others."""
    a, b = new.data, old.data
    parts: dict[str, Any] = {
        name: select(at, getattr(a, name), getattr(b, name))
        for name in a._fields
        if name not in ("controller", "chart")
    }
    data = b._replace(controller=select_controllers(at, a.controller, b.controller), **parts)
    return Start(data, select_controllers(at, new.controller, old.controller))
