"""Two rooms with a door between them, and a goal in the farther one: tasks that begin alike.

x = o = [column, row, number of the goal]; the whole number below u, 0 to 3, is the move: up, right,
down, left; a wall keeps one where one is. Episodes begin in any cell of the left room, end at the
goal, and each step before costs 0.1. Each condition is a goal, of eight that lie in the right room.
"""

from dataclasses import dataclass

import numpy as np

from lqr import InputError, QuadraticCost

from ...settings import Indices, checked
from ..base.ode_task import MapTask
from .maze import MOVES

Array = np.ndarray

WIDTH, HEIGHT, WALL, DOOR = 25, 7, 12, 3  # columns, rows, the wall's column, the door's row
GOALS = np.array([[23, 1], [23, 5], [17, 0], [17, 6], [20, 3], [14, 1], [14, 5], [24, 3]])
PRICE = 0.1  # of a step


@dataclass(frozen=True)
class StepPrice:
    """0.1 in each state but the goal."""

    careful = True  # it writes to nothing that it gets

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        return PRICE * ~at_goal(X)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the cost itself: it is flat in each cell."""
        n = X.shape[-1] + U.shape[-1]
        zero = np.zeros((*X.shape[:-1], n))
        return QuadraticCost(zero[..., None] * np.zeros(n), zero, self(X, U))

    def window(self, t: int, count: int, T: int) -> "StepPrice":
        """Returns the cost of any steps: the same."""
        return self


class Rooms(MapTask):
    """The tasks of some of the goals, one each."""

    name, horizon, dt = "rooms", 500, 1.0
    dx, du, do = 3, 1, 3
    action_low, action_high = np.array([0.0]), np.array([3.999])

    def __init__(self, goals: Indices = (0, 1, 2, 3)):
        goals = checked("goals", goals, Indices)
        if not goals or max(goals) >= len(GOALS):
            raise InputError(f"goals is {goals}; expected some of 0 to {len(GOALS) - 1}")
        super().__init__(len(goals))
        self.goals, self.cost = np.array(goals), StepPrice()
        size = np.array([WIDTH, HEIGHT, len(GOALS)])
        self.cells = np.array([np.full(3, -0.5), size - 0.5, size])
        self.moves = np.arange(4.0)[:, None] + 0.5

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns any cells of the left room."""
        column = rng.integers(WALL, size=len(conditions))
        row = rng.integers(HEIGHT, size=len(conditions))
        return np.stack([column, row, self.goals[conditions]], -1).astype(float)

    def advance(self, s: Array, u: Array) -> Array:
        """Returns the cells after a move."""
        sound = np.isfinite(u[..., :1]) & np.isfinite(s).all(-1, keepdims=True)
        move = np.clip(np.floor(np.where(sound[..., 0], u[..., 0], 0.0)), 0, 3).astype(int)
        place = np.where(sound, s, 0.0)[..., :2]
        to = np.clip(place + MOVES[move], 0, [WIDTH - 1, HEIGHT - 1])
        blocked = (to[..., :1] == WALL) & (to[..., 1:] != DOOR)
        to = np.concatenate([np.where(blocked, place, to), s[..., 2:]], -1)
        return np.where(sound, to, np.nan)

    def states(self, s: Array) -> Array:
        """Returns a copy of s."""
        return s.copy()

    see = states

    def ended(self, x: Array) -> Array:
        """Returns who is at the goal."""
        return at_goal(x)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the steps to the goal, (N,)."""
        at = self.ended(x[:, 1:])
        return {"steps": np.where(at.any(1), at.argmax(1) + 1.0, float(self.horizon))}


def at_goal(x: Array) -> Array:
    """Returns which states (..., 3) are at their goal, (...)."""
    number = np.clip(np.nan_to_num(x[..., 2]), 0, len(GOALS) - 1).astype(int)
    return np.asarray((np.abs(x[..., :2] - GOALS[number]) < 0.5).all(-1))
