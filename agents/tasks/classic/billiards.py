"""Soft disks on a table: the first is pushed, and they push each other.

`billiards` has three, `billiards:6` six. Disks of radius 0.08 m and 1 kg on a table of 1 m x 1 m,
which repel each other and the walls by 2000 N for each metre that they overlap, without friction,
so that a contact lasts about three steps of 0.02 s. x = [places (n, 2, m), velocities (n, 2, m/s)]
as one vector, u the force on the first disk (2, within +-50 N). The cost is the squared distance
between the first two, and 1e-5 |u|^2; `hit` tells whether they touched.
"""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np

from dynamics.graphs.graph import Graph
from lqr import InputError
from lqr.costs import Action, Quadratic

from ...settings import Count, Positive
from ..base.ode_task import MapTask

Array = np.ndarray
Tensor = Any
RADIUS, STIFFNESS, FORCE = 0.08, 2000.0, 50.0  # m, N/m, N
SUBSTEPS = 20  # of each step
SPEED = 0.7  # m/s, standard deviation of the velocities at the start
NEAR = 3 * RADIUS  # m, between the middles of two disks that see each other


class Billiards(MapTask):
    """Every condition is a random layout of its own, in which all move."""

    name = "billiards"
    horizon, dt = 50, 0.02

    def __init__(
        self,
        balls: Count = 3,
        conditions: Count = 1,
        still: bool = False,
        stiffness: Positive = STIFFNESS,
    ):
        """With `still`, all are at rest at the start. Raises InputError for fewer than two balls,
        and for more than the table has room for.
        """
        super().__init__(conditions)
        if not 2 <= balls <= 12:
            raise InputError(f"balls is {balls}; expected 2 to 12")
        self.balls, self.still, self.stiffness = balls, still, stiffness
        self.substeps = round(SUBSTEPS * max(stiffness / STIFFNESS, 1.0) ** 0.5)
        self.name = self.name if balls == 3 else f"billiards:{balls}"
        self.dx, self.du, self.do = 4 * balls, 2, 4 * balls
        self.action_low, self.action_high = np.full(2, -FORCE), np.full(2, FORCE)
        gap = np.zeros((2, self.dx))
        gap[[0, 1], [0, 1]], gap[[0, 1], [2, 3]] = 1.0, -1.0
        self.cost = Quadratic(2 * gap.T @ gap) + Action(2e-5)
        self.graph = graph_of(balls)
        self.state_names = tuple(
            f"{what} {i} {axis}"
            for what in ("place (m)", "velocity (m/s)")
            for i in range(balls)
            for axis in "xy"
        )
        self.action_names = ("force x (N)", "force y (N)")

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns random places that do not overlap and random velocities, (B, 4n); the same for
        the same condition but for the velocities' jitter.
        """
        s = np.stack([self._layout(np.random.default_rng([7, int(c)])) for c in conditions])
        return s + np.r_[
            np.zeros(2 * self.balls), np.full(2 * self.balls, 1e-4)
        ] * rng.standard_normal(s.shape)

    def layouts(self, count: int, rng: np.random.Generator) -> Array:
        """Returns so many other starts, (count, 4n)."""
        return np.stack([self._layout(rng) for _ in range(count)])

    def _layout(self, rng: np.random.Generator) -> Array:
        places: list[Array] = []
        while len(places) < self.balls:
            place = rng.uniform(RADIUS, 1 - RADIUS, 2)
            if all(np.linalg.norm(place - other) > 2.2 * RADIUS for other in places):
                places.append(place)
        speed = SPEED * (not self.still)
        return np.concatenate([*places, speed * rng.standard_normal(2 * self.balls)])

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s (..., 4n) one step after s (..., 4n) under forces u (..., 2)."""
        return self._moved(s, u, lambda p: disks(p) + walls(p))

    def advance_alone(self, s: Array, u: Array) -> Array:
        """Returns the same where each disk is alone on the table: a baseline."""
        return self._moved(s, u, walls)

    def _moved(self, s: Array, u: Array, overlaps: Callable[[Array], Array]) -> Array:
        n, h = self.balls, self.dt / self.substeps
        p, v = np.split(s.reshape(*s.shape[:-1], 2 * n, 2), 2, axis=-2)
        push = np.zeros(p.shape)
        push[..., 0, :] = u
        for _ in range(self.substeps):  # semi-implicit: the energy stays
            v = v + h * (push + self.stiffness * overlaps(p))
            p = p + h * v
        return np.concatenate([p, v], -2).reshape(s.shape)

    def states(self, s: Array) -> Array:
        """Returns s."""
        return s.copy()

    def see(self, s: Array) -> Array:
        """Returns s."""
        return s.copy()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns whether the first two touched, and how near they came (m), (N,) each."""
        near = closest(x)
        return {"hit": (near < 2 * RADIUS).astype(float), "nearest": near}


def disks(p: Array) -> Array:
    """Returns by how much disks at p (..., n, 2) overlap each other, summed up as vectors that
    point out of them, (..., n, 2, m).
    """
    gap = p[..., :, None, :] - p[..., None, :, :]
    far = np.sqrt((gap**2).sum(-1) + 1e-300)
    overlap = np.maximum(2 * RADIUS - far, 0.0)
    overlap[..., range(p.shape[-2]), range(p.shape[-2])] = 0.0
    among: Array = ((overlap / far)[..., None] * gap).sum(-2)
    return among


def walls(p: Array) -> Array:
    """Returns by how much disks at p (..., n, 2) overlap the walls, (..., n, 2, m), likewise."""
    return np.maximum(RADIUS - p, 0.0) - np.maximum(p - (1 - RADIUS), 0.0)


def closest(x: Array) -> Array:
    """Returns how near the first two disks came, (...), along x (..., T+1, 4n)."""
    near: Array = np.linalg.norm(x[..., :2] - x[..., 2:4], axis=-1).min(-1)
    return near


def straight_on(x: Array, steps: int, dt: float = Billiards.dt) -> Array:
    """Returns what x (..., 4n) would be after so many steps if disks met walls alone, which turned
    their velocities round at once: another baseline.
    """
    p, v = np.split(x, 2, axis=-1)
    room = 1 - 2 * RADIUS
    turn = (p - RADIUS + steps * dt * v) / room
    back = np.abs(np.mod(turn + 1, 2) - 1)  # a triangle wave
    sign = np.where(np.mod(np.floor(turn), 2) == 0, 1.0, -1.0)
    return np.concatenate([RADIUS + room * back, sign * v], -1)


def graph_of(balls: int) -> Graph:
    """Returns the graph of disks: each sees its velocity, the walls, the force on it, and the disks
    whose middles are within three radii. A change is that of place and velocity, (4,).
    """
    pairs = np.array(list(permutations(range(balls), 2)))
    senders, receivers = pairs.T

    def split(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.reshape(*x.shape[:-1], 2, balls, 2).unbind(-3)

    def nodes(x: Tensor, u: Tensor) -> Tensor:
        import torch

        p, v = split(x)
        walls = torch.cat([NEAR - p, NEAR - 1 + p], -1).clamp(min=0.0)  # 0 where they are far
        first = torch.zeros((balls, 1), dtype=x.dtype)
        first[0] = 1.0
        return torch.cat([v, walls, first * u[..., None, :]], -1)

    def edges(x: Tensor, u: Tensor) -> Tensor:
        import torch

        gap = [a[..., senders, :] - a[..., receivers, :] for a in split(x)]
        far = (gap[0] ** 2).sum(-1, keepdim=True).add(1e-12).sqrt()
        return torch.cat([*gap, far], -1) * (far < NEAR)

    def weights(x: Tensor) -> Tensor:
        p, _ = split(x)
        return ((p[..., senders, :] - p[..., receivers, :]) ** 2).sum(-1) < NEAR**2

    def changes(x: Tensor, after: Tensor) -> Tensor:
        import torch

        return torch.cat(split(after - x), -1)

    def move(x: Tensor, c: Tensor) -> Tensor:
        import torch

        return x + torch.cat([c[..., :2].flatten(-2), c[..., 2:].flatten(-2)], -1)

    return Graph(4 * balls, 2, senders, receivers, nodes, edges, changes, move, weights)
