"""A task cut into cells and moves, for learners on tables.

A task may tell its cells and moves (`Tabular`); any other is cut into `bins` along each
observation, between the least and the largest that were seen, and `levels` of each action. Where
the cells are not told the mean reward is taken off, so that no constant in it matters where no
episode ends early.
"""

from itertools import product

import numpy as np

from lqr import InputError

from ..interfaces import Array, State, Task
from ..policies.tabular import Grid, TabularPolicy
from ..tasks.capabilities import Moves, Tabular, capability
from .stepwise import refuse_unlimited

MOST = 10**6  # entries of a table


def moves_of(task: Task, levels: int, ends: bool = True) -> Array:
    """Returns the moves (A, du) of a task: its own, or `levels` of each action, each with each; the
    limits among them, or without `ends` the middles of as many equal parts.
    """
    if told := capability(task, Moves):
        return told.moves
    share = np.linspace(0, 1, levels) if ends else (np.arange(levels) + 0.5) / levels
    limits = zip(task.action_low, task.action_high, strict=True)
    return np.array(list(product(*(low + share * (high - low) for low, high in limits))))


class Cells:
    """The grid over observations, and the moves; `state` and `load_state` as a model's."""

    def __init__(self, task: Task, bins: int, levels: int):
        """Raises InputError for a task without limits, and for a table that would be too large."""
        refuse_unlimited(task)
        told = capability(task, Tabular)
        self.low, self.high = task.action_low, task.action_high
        self.moves = moves_of(task, levels)  # (A, du)
        counts = told.cells[2] if told else np.full(task.do, bins)
        if np.prod(counts, dtype=float) * len(self.moves) > MOST:
            raise InputError(
                f"{task.name} has {task.do} observations and {task.du} actions: a table of {bins} bins and "
                f"{levels} levels has more than {MOST} entries; expected fewer, or another method"
            )
        extent = told.cells[:2] if told else (np.zeros(task.do), np.ones(task.do))
        self.grid, self.ready = Grid(extent[0], extent[1], counts), told is not None
        self.mean, self.unit = 0.0, 1.0  # of the rewards

    def measure(self, o: Array, reward: Array) -> None:
        """Learns the range of observations (M, do), and the mean and the spread of rewards (M,)."""
        self.grid = Grid(o.min(0), o.max(0), self.grid.counts)
        self.mean, self.ready = float(reward.mean()), True
        spread = float(reward.std())
        self.unit = spread if spread > 1e-12 * abs(self.mean) else 1.0

    def move_of(self, u: Array) -> Array:
        """Returns the numbers of the moves (...) nearest to actions u (..., du)."""
        gap = (self.moves - u[..., None, :]) / self.high.max()
        return np.argmin((gap**2).sum(-1), -1)

    def worth(self, reward: Array, end: Array, discount: float) -> Array:
        """Returns rewards (...) less their mean; after an end nothing is paid any more."""
        ahead = self.mean * discount / (1 - discount)
        return reward - self.mean - np.where(end, ahead, 0.0)

    def random_moves(self, count: int, rng: np.random.Generator) -> Array:
        """Returns actions (count, du), any within the limits."""
        return rng.uniform(self.low, self.high, (count, len(self.low)))

    def policy(self, moves: Array) -> TabularPolicy:
        """Returns the policy that makes the move of that number (S,) in each cell."""
        return TabularPolicy(self.grid, self.moves[moves], self.low, self.high)

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        grid = {"low": self.grid.low, "high": self.grid.high}
        return grid | {"mean": self.mean, "unit": self.unit, "ready": self.ready}

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned."""
        self.grid = Grid(state["low"], state["high"], self.grid.counts)
        self.mean, self.unit, self.ready = state["mean"], state["unit"], state["ready"]
