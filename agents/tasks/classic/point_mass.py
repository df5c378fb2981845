"""A point of 1 kg on a plane without friction is pushed to a target: a task whose optimum is known.

x = [position - target (2, m), velocity (2, m/s)], u a force (2, N, within +-10). Per step of 0.05 s
the cost is sqrt(0.01 + distance^2) + 0.025 |velocity|^2 + 0.05 |u|^2: nearly linear far away, sharp
at the target.
"""

from typing import ClassVar

import numpy as np

from lqr import ilqr
from lqr.costs import Action, WeightedNorm

from ...interfaces import Cost
from ...settings import Count, typed

Array = np.ndarray
STARTS = np.array([[-1.0, -0.5], [0.6, -1.0], [-0.8, 0.7], [1.0, 1.0]])  # m, from the target
JITTER = 1e-4  # standard deviation of the initial position (m) and velocity (m/s)


class PointMass:
    """Up to four starts at rest; the policy sees x."""

    name = "point_mass"
    horizon, dt = 100, 0.05
    dx, du, do = 4, 2, 4
    state_names = ("x - target (m)", "y - target (m)", "speed x (m/s)", "speed y (m/s)")
    action_names = ("force x (N)", "force y (N)")
    plane = (0, 1)
    joints, joint_target = (range(2), range(2, 4)), (0.0, 0.0)
    targets: ClassVar[Array] = np.zeros((4, 2))

    @typed
    def __init__(self, conditions: Count = 1):
        self.conditions = conditions
        self.action_low, self.action_high = np.full(2, -10.0), np.full(2, 10.0)
        place, speed = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
        self.cost: Cost = (
            WeightedNorm(place, l1=1.0, l2=0.0, alpha=0.01)
            + WeightedNorm(speed, l2=0.05)
            + Action(0.1)
        )
        self.x, self.diverged = np.zeros((0, 4)), np.zeros(0, bool)

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i at rest at the start of conditions[i], but for a slight jitter;
        returns x (B, 4).
        """
        self.x = JITTER * rng.standard_normal((len(conditions), 4))
        self.x[:, :2] += STARTS[conditions]
        self.diverged = np.zeros(len(conditions), bool)
        return self.x.copy()

    def step(self, u: Array) -> Array:
        """Applies forces u (B, 2) for 0.05 s; returns x (B, 4)."""
        self.x = self.dynamics(self.x, u)
        self.diverged = self.diverged | ~np.isfinite(self.x).all(1)
        return self.x.copy()

    def dynamics(self, x: Array, u: Array) -> Array:
        """Returns the exact next state (..., 4) under a constant force (..., 2)."""
        position, velocity, h = x[..., :2], x[..., 2:], self.dt
        return np.concatenate([position + h * velocity + 0.5 * h**2 * u, velocity + h * u], -1)

    def observe(self) -> Array:
        """Returns x (B, 4)."""
        return self.x.copy()

    def done(self) -> Array:
        """Returns which simulations have diverged, (B,); nothing else ends an episode."""
        return self.diverged

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the final distance to the target (m), (N,)."""
        return {"distance": np.linalg.norm(x[:, -1, :2], axis=-1)}

    def optimum(self) -> Array:
        """Returns the least cost of each condition without jitter, (C,), by iLQR on the dynamics
        themselves.
        """
        still = np.zeros((self.horizon, self.du))
        starts = np.pad(STARTS[: self.conditions], ((0, 0), (0, 2)))
        return np.array(
            [
                ilqr(
                    self.dynamics, self.cost, x0, still, low=self.action_low, high=self.action_high
                ).cost
                for x0 in starts
            ]
        )
