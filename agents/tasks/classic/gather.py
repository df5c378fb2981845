"""A torus of cells with food and poison, which reappear elsewhere when they are eaten: what is wanted
is not fixed, but measured.

Health falls by 1 in each step, food adds 6 and poison takes 6. A policy sees the 7 x 7 cells around
itself, once for food and once for poison, which move was its last, and the three measurements:
health, food and poison eaten so far, in hundreds. The whole number below u, 0 to 3, is the move: up,
right, down, left. The cost of a step is what health falls by.

After the gathering tasks of Dosovitskiy & Koltun, Learning to Act by Predicting the Future (2017),
without pictures. x = [row, column, seed, last change of health, health, food, poison, last move,
cells of eighteen pieces of food, and of as many of poison]; where a piece reappears is a function of
x, by the seed.
"""

from dataclasses import dataclass

import numpy as np

from lqr import QuadraticCost

from ...settings import Count
from ..base.ode_task import MapTask
from .maze import MOVES

Array = np.ndarray

SIDE, AROUND, PIECES = (
    14,
    3,
    18,
)  # cells of a side, cells that are seen on each side, pieces of a kind
BITE = 6.0  # of health
FIRST = 8  # the first coordinate of the pieces' cells
MIX = tuple(np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True)
class HealthCost:
    """What health falls by in the step before each state."""

    careful = True  # it writes to nothing that it gets

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        return -X[..., 3]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the cost itself, which is linear."""
        n = X.shape[-1] + U.shape[-1]
        slope = np.zeros((*X.shape[:-1], n))
        slope[..., 3] = -1.0
        return QuadraticCost(np.zeros((*slope.shape, n)), slope, np.zeros(slope.shape[:-1]))

    def window(self, t: int, count: int, T: int) -> "HealthCost":
        """Returns the cost of any steps: the same."""
        return self


class Gather(MapTask):
    """Food and poison on a torus."""

    name, horizon, dt = "gather", 200, 1.0
    dx, du, do = FIRST + 4 * PIECES, 1, 2 * (2 * AROUND + 1) ** 2 + 7
    action_low, action_high = np.array([0.0]), np.array([3.999])
    measurements = ("health", "food", "poison")

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions)
        self.cost = HealthCost()
        self.moves = np.arange(4.0)[:, None] + 0.5

    def measure(self, x: Array) -> Array:
        """Returns health, food and poison eaten so far, (..., 3)."""
        return x[..., 4:7]

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns any cells for all."""
        B = len(conditions)
        cells = rng.integers(SIDE, size=(B, 2 + 4 * PIECES)).astype(float)
        start = np.zeros((B, self.dx))
        start[:, :2], start[:, FIRST:], start[:, 2] = cells[:, :2], cells[:, 2:], rng.random(B)
        start[:, 7] = -1.0  # there was none
        return start

    def advance(self, s: Array, u: Array) -> Array:
        """Returns the states after a move; whoever comes to a piece eats it."""
        sound = np.isfinite(u[..., 0]) & np.isfinite(s).all(-1)
        move = np.clip(np.floor(np.where(sound, u[..., 0], 0.0)), 0, 3).astype(int)
        after = np.where(sound[..., None], s, 0.0)
        place = after[..., :2] = (after[..., :2] + MOVES[move][..., ::-1]) % SIDE
        pieces = after[..., FIRST:].reshape(*s.shape[:-1], 2, PIECES, 2)
        eaten = (pieces == place[..., None, None, :]).all(-1)
        elsewhere = new_cells(after[..., 2], after[..., 5] + after[..., 6])
        pieces = np.where(eaten[..., None], elsewhere, pieces)
        food, poison = np.moveaxis(eaten.sum(-1).astype(float), -1, 0)
        change = BITE * (food - poison) - 1.0
        after[..., 3], after[..., 7], after[..., FIRST:] = (
            change,
            move,
            pieces.reshape(*s.shape[:-1], -1),
        )
        after[..., 4:7] += np.stack([change, food, poison], -1)
        return np.where(sound[..., None], after, np.nan)

    def states(self, s: Array) -> Array:
        """Returns a copy of s."""
        return s.copy()

    def see(self, s: Array) -> Array:
        """Returns the cells around, row by row, food first, the last move, and the measurements in hundreds."""
        width = 2 * AROUND + 1
        known = np.where(np.isfinite(s), s, 0.0)
        pieces = known[..., FIRST:].reshape(*s.shape[:-1], 2, PIECES, 2)
        away = (pieces - known[..., None, None, :2] + AROUND) % SIDE
        near = (away < width).all(-1)
        cell = np.where(near, away[..., 0] * width + away[..., 1], width**2).astype(int)
        seen = np.zeros((*cell.shape[:-1], width**2 + 1))
        np.put_along_axis(seen, cell, 1.0, -1)
        window = seen[..., :-1].reshape(*s.shape[:-1], -1)
        last = known[..., 7:8] == np.arange(4)
        return np.concatenate([window, last, self.measure(s) / 100], -1)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the measurements at the end, (N,) each."""
        return dict(zip(self.measurements, np.moveaxis(self.measure(x[:, -1]), -1, 0), strict=True))


def new_cells(seed: Array, eaten: Array) -> Array:
    """Returns cells (..., 2, PIECES, 2) that look drawn at random, of seeds in [0, 1) and how many
    pieces were eaten before, (...) each: the mixing of SplitMix64 (Steele, Lea & Flood 2014).
    """
    with np.errstate(over="ignore"):
        z = (seed * 2.0**53).astype(np.uint64) + eaten.astype(np.uint64) * MIX[1]
        z = z[..., None] + np.arange(1, 2 * PIECES + 1, dtype=np.uint64) * MIX[0]
        z = (z ^ (z >> np.uint64(30))) * MIX[1]
        z = (z ^ (z >> np.uint64(27))) * MIX[2]
        z = (z ^ (z >> np.uint64(31))) % np.uint64(SIDE**2)
    cells = np.stack(np.divmod(z.astype(float), SIDE), -1)
    return cells.reshape(*seed.shape, 2, PIECES, 2)
