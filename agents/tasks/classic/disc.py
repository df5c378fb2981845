"""A point steered in the plane, and a disc in which it costs less, with no slope that tells of it.

x = position - target (2, m), u the commanded velocity (2, m/s, within +-2). Per step of 0.05 s the
cost is |x|^2 + 0.02 |u|^2, and 0.5 less inside the disc, which lies beside the target and off the
straight way to it.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lqr import QuadraticCost
from lqr.costs import Action, WeightedNorm

from ...interfaces import Cost

Array = np.ndarray
START = np.array([-0.5, -0.25])  # m from the target
JITTER = 1e-3  # m, standard deviation of the initial position


@dataclass(frozen=True)
class Fall:
    """A cost that is lower by `depth` within a disc, and flat everywhere else."""

    centre: Array  # (2,), m
    radius: float  # m
    depth: float  # per step

    def inside(self, X: Array) -> Array:
        """Returns which states (..., T+1, dx) lie in the disc."""
        return np.linalg.norm(X[..., :2] - self.centre, axis=-1) < self.radius

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        return -self.depth * self.inside(X)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the expansion, which is constant."""
        n = X.shape[-1] + U.shape[-1]
        return QuadraticCost(
            np.zeros((*X.shape[:-1], n, n)), np.zeros((*X.shape[:-1], n)), self(X, U)
        )


class Disc:
    """One start; the policy sees x."""

    name = "disc"
    horizon, dt = 20, 0.05
    dx, du, do = 2, 2, 2
    conditions = 1
    plane = (0, 1)
    targets: ClassVar[Array] = np.zeros((1, 2))
    fall = Fall(np.array([-0.1, 0.2]), 0.15, 0.5)

    def __init__(self) -> None:
        self.action_low, self.action_high = np.full(2, -2.0), np.full(2, 2.0)
        self.cost: Cost = WeightedNorm(np.ones(2), l2=2.0) + Action(0.04) + self.fall
        self.x, self.diverged = np.zeros((0, 2)), np.zeros(0, bool)

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulations at the start, but for a slight jitter; returns x (B, 2)."""
        self.x = START + JITTER * rng.standard_normal((len(conditions), 2))
        self.diverged = np.zeros(len(conditions), bool)
        return self.x.copy()

    def step(self, u: Array) -> Array:
        """Moves at the velocities u (B, 2) for 0.05 s; returns x (B, 2)."""
        self.x = self.x + self.dt * u
        self.diverged = self.diverged | ~np.isfinite(self.x).all(1)
        return self.x.copy()

    def observe(self) -> Array:
        """Returns x (B, 2)."""
        return self.x.copy()

    def done(self) -> Array:
        """Returns which simulations have diverged, (B,); nothing else ends an episode."""
        return self.diverged

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the final distance to the target (m) and the share of the second half spent in
        the disc, (N,).
        """
        inside = self.fall.inside(x)[:, self.horizon // 2 :].mean(-1)
        return {"distance": np.linalg.norm(x[:, -1], axis=-1), "inside": inside}
