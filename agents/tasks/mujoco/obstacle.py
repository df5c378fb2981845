"""A point is pushed around a box to a target, the first test of guided policy search (Levine &
Koltun 2013).

The disc of `models/obstacle.xml` (1 kg) starts at rest to the left of the box and the target lies
to the right of it, so that the straight way hits it. x = [position - target (2, m), velocity (2,
m/s)], u a share of 10 N (2); 100 steps of 0.05 s. Per step the cost is sqrt(0.01 + distance^2) +
0.025 |velocity|^2 + 0.05 |u|^2, and a smooth hill about the box, which tells the way around it
before the disc has been there. Each condition is one start.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lqr import QuadraticCost
from lqr.costs import Action, WeightedNorm
from lqr.expansion import absolute, stack

from ...interfaces import Cost
from ...settings import Count
from ..base.mujoco_task import ModelTask

Array = np.ndarray

MODEL = Path(__file__).parents[1] / "models" / "obstacle.xml"
TARGET = np.array([0.6, 0.3])  # m
STARTS = np.array([[-0.6, -0.15], [-0.6, 0.0], [-0.5, 0.1], [-0.6, 0.2]])  # m
REACHED = 0.05  # m


@dataclass(frozen=True)
class Hill:
    """height * exp(-1/2 |(x - centre) / width|^2) of the first two numbers of the state."""

    centre: Array  # (2,)
    width: Array  # (2,)
    height: float

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        z = (X[..., :2] - self.centre) / self.width
        return self.height * np.exp(-0.5 * (z**2).sum(-1))

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the exact expansion; it is not convex near the top."""
        xu, value = stack(X, U), self(X, U)
        z = (X[..., :2] - self.centre) / self.width**2
        g, H = np.zeros(xu.shape), np.zeros((*xu.shape, xu.shape[-1]))
        g[..., :2] = -value[..., None] * z
        curvature = z[..., :, None] * z[..., None, :] - np.diag(1.0 / self.width**2)
        H[..., :2, :2] = value[..., None, None] * curvature
        return absolute(value, g, H, xu)


class Obstacle(ModelTask):
    """Four starts at rest; the policy sees x."""

    name = "obstacle"
    dx, du, do = 4, 2, 4
    plane = (0, 1)
    targets: ClassVar[Array] = np.zeros((4, 2))
    camera: ClassVar[dict[str, Any]] = {"lookat": (0.05, 0.05, 0.0), "distance": 1.85}

    def __init__(self, conditions: Count = 4, horizon: Count = 100):
        super().__init__(str(MODEL), 5, min(conditions, len(STARTS)), horizon)
        place, speed = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
        hill = Hill(np.array([0.0, -0.05]) - TARGET, np.array([0.16, 0.26]), 3.0)
        motion = WeightedNorm(place, l1=1.0, l2=0.0, alpha=0.01) + WeightedNorm(speed, l2=0.05)
        self.cost: Cost = motion + Action(0.1) + hill

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns each condition's start, but for a millimetre."""
        return STARTS[conditions] + 1e-3 * rng.standard_normal((len(conditions), 2)), np.zeros(
            (len(conditions), 2)
        )

    def states(self) -> Array:
        """Returns x (B, 4)."""
        return np.concatenate([self._sim.field("qpos") - TARGET, self._sim.field("qvel")], 1)

    def observe(self) -> Array:
        """Returns x (B, 4)."""
        return self.states()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the final distance to the target (m), and whether it is reached, (N,) each."""
        distance = np.linalg.norm(x[:, -1, :2], axis=-1)
        return {"distance": distance, "success": (distance < REACHED).astype(float)}
