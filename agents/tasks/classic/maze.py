"""Sutton's mazes: cells of a grid, walls, a start and a goal; for methods on tables.

x = o = [column, row]; the whole number below u, 0 to 3, is the move: up, right, down, left; a wall
keeps one where one is. An episode ends at the goal, which pays 1; nothing else pays or costs (Sutton &
Barto, Reinforcement Learning, 2018, examples 8.1 and 8.3).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lqr import QuadraticCost

from ...settings import Count
from ..base.ode_task import MapTask

Array = np.ndarray

MAZES = {
    "dyna": (".......#G|..#....#.|S.#....#.|..#......|.....#...|.........", 14),
    "shortcut": ("........G|.........|.........|.########|.........|...S.....", 16),
    "opened": ("........G|.........|.........|.#######.|.........|...S.....", 10),
}
"""Rows of each maze, the upper first, and the steps of a shortest path."""
MOVES = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]])


@dataclass(frozen=True)
class GoalCost:
    """-1 in one cell."""

    goal: tuple[int, int]
    careful = True  # it writes to nothing that it gets

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        return -(np.abs(X - np.array(self.goal)).max(-1) < 0.5).astype(float)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the cost itself: it is flat in each cell."""
        n = X.shape[-1] + U.shape[-1]
        zero = np.zeros((*X.shape[:-1], n))
        return QuadraticCost(zero[..., None] * np.zeros(n), zero, self(X, U))

    def window(self, t: int, count: int, T: int) -> "GoalCost":
        """Returns the cost of any steps: the same."""
        return self


class Maze(MapTask):
    """One of the mazes."""

    name, horizon, dt = "maze", 5000, 1.0
    dx, du, do = 2, 1, 2
    action_low, action_high = np.array([0.0]), np.array([3.999])

    def __init__(
        self, which: Literal["dyna", "shortcut", "opened"] = "dyna", conditions: Count = 1
    ):
        super().__init__(conditions)
        rows, self.shortest = MAZES[which]
        cells = np.array([list(row) for row in rows.split("|")]).T  # (columns, rows)
        self.walls, self.size = cells == "#", cells.shape
        self.start_cell, self.goal = (tuple(np.argwhere(cells == mark)[0]) for mark in "SG")
        self.cost = GoalCost((int(self.goal[0]), int(self.goal[1])))
        self.cells = np.array([[-0.5, -0.5], np.array(self.size) - 0.5, self.size])
        self.moves = np.arange(4.0)[:, None] + 0.5

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns the start's cell."""
        return np.tile(np.array(self.start_cell, float), (len(conditions), 1))

    def advance(self, s: Array, u: Array) -> Array:
        """Returns the cells after a move."""
        sound = np.isfinite(u[..., :1]) & np.isfinite(s)
        move = np.clip(np.floor(np.where(sound[..., 0], u[..., 0], 0.0)), 0, 3).astype(int)
        to = np.where(sound, s, 0.0) + MOVES[move]
        to = np.clip(to, 0, np.array(self.size) - 1)
        blocked = self.walls[tuple(np.moveaxis(to, -1, 0).astype(int))]
        return np.where(sound, np.where(blocked[..., None], s, to), np.nan)

    def states(self, s: Array) -> Array:
        """Returns a copy of s."""
        return s.copy()

    see = states

    def ended(self, x: Array) -> Array:
        """Returns who is at the goal."""
        return np.asarray((x == np.array(self.goal)).all(-1))

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the steps to the goal, (N,)."""
        at = self.ended(x[:, 1:])
        return {"steps": np.where(at.any(1), at.argmax(1) + 1.0, float(self.horizon))}
