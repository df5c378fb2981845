"""Many starts: each condition begins with several controllers, and goes on with the best of them.

A local method follows the slope from where it begins, and chance decides which optimum that leads
to: an arm may bend either way. So the first iterations are those of a task that has each condition
several times; the copies differ in the noise that they draw, and in what follows from it. Then the
copy of the lowest cost goes on, of each condition. All their episodes count, and models may learn
from all.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from agents.interfaces import State, Task
from agents.tasks.base.wrapper import Wrapper

Array = np.ndarray
ROWS = ("controller", "local", "trials", "origin")  # of a state: what has a row for each condition


class Repeated(Wrapper):
    """The task with each condition `count` times, one round of all after the other."""

    def __init__(self, task: Task, count: int):
        super().__init__(task)
        self.conditions = count * task.conditions

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulations in the conditions that these are copies of; returns x (B, dx)."""
        x: Array = self.task.reset(np.asarray(conditions) % self.task.conditions, rng)
        return x


def best_of_starts(
    train: Callable[..., Any], task: Task, config: Any, rng: np.random.Generator
) -> State:
    """Returns the state of `train` after `config.initial_iterations` iterations with `config.initial_controllers`
    controllers for each condition, of which the best are kept.
    """
    early = replace(
        config, iterations=config.initial_iterations, initial_controllers=1, evaluate_every=0
    )
    *_, last = train(Repeated(task, config.initial_controllers), early, rng)
    state = last.state
    cost = np.asarray(state["local"]["cost"])
    if "trials" in state:  # what was kept aside goes on
        cost = np.where(state["trials"]["on"] > 0, state["trials"]["data"]["cost"], cost)
    C = task.conditions
    rows = C * cost.reshape(-1, C).argmin(0) + np.arange(C)
    return {**state, **{name: taken(state[name], rows) for name in ROWS if name in state}}


def taken(tree: Any, rows: Array) -> Any:
    """Returns these rows of all arrays of a tree."""
    if isinstance(tree, dict):
        return {name: taken(part, rows) for name, part in tree.items()}
    return tree[rows]
