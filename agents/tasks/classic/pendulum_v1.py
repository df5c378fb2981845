"""Gymnasium's Pendulum-v1 as equations: swing a rod up, and hold it, with a motor too weak to lift
it at once.

x = o = [cos, sin of the angle, 0 upright, speed]; a torque within 2 Nm on a rod of 1 kg and 1 m,
steps of 0.05 s, episodes of 200 steps. The cost is minus Gymnasium's reward: angle^2 + 0.1 speed^2
+ 0.001 torque^2 where a step starts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lqr.cost_terms import Parts, Term
from lqr.costs import Action, Quadratic

from ...settings import Count
from ..base.ode_task import MapTask

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class SquaredAngle(Term):
    """ramp_t * atan2(x_1, x_0)^2."""

    ramp: Any = "constant"

    def _value(self, X: Array, U: Array) -> Array:
        return np.arctan2(X[..., 1], X[..., 0]) ** 2

    def _parts(self, X: Array, U: Array) -> Parts:
        c, s, n = X[..., 0], X[..., 1], X.shape[-1] + U.shape[-1]
        r2, angle = np.maximum(c**2 + s**2, 1e-12), np.arctan2(s, c)
        first = np.stack([-s, c], -1) / r2[..., None]
        second = np.stack(
            [np.stack([2 * c * s, s**2 - c**2], -1), np.stack([s**2 - c**2, -2 * c * s], -1)], -1
        )
        g, H = np.zeros((*X.shape[:-1], n)), np.zeros((*X.shape[:-1], n, n))
        g[..., :2] = 2 * angle[..., None] * first
        bend = angle[..., None, None] * second / (r2**2)[..., None, None]
        H[..., :2, :2] = 2 * (first[..., :, None] * first[..., None, :] + bend)
        return angle**2, g, H


class PendulumV1(MapTask):
    """Starts and physics are Gymnasium's; nothing ends an episode but its length."""

    name, env_id = "pendulum_v1", "Pendulum-v1"
    horizon, dt = 200, 0.05
    dx, du, do = 3, 1, 3
    action_low, action_high = np.array([-2.0]), np.array([2.0])  # Nm

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions)
        ramp = np.r_[np.ones(self.horizon), 0.0]
        speed = Quadratic(np.diag([0.0, 0.0, 0.2]), ramp=ramp)
        self.cost = SquaredAngle(ramp) + speed + Action(0.002)

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns any angle, and a speed within 1 rad/s."""
        return rng.uniform([-np.pi, -1.0], [np.pi, 1.0], size=(len(conditions), 2))

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s one step later, by Euler's method, the speed first."""
        speed = np.clip(
            s[..., 1] + (15.0 * np.sin(s[..., 0]) + 3.0 * u[..., 0]) * self.dt, -8.0, 8.0
        )
        return np.stack([s[..., 0] + speed * self.dt, speed], -1)

    def states(self, s: Array) -> Array:
        """Returns Gymnasium's observation."""
        return np.stack([np.cos(s[..., 0]), np.sin(s[..., 0]), s[..., 1]], -1)

    see = states

    def to_physical(self, x: Array) -> Array:
        """Returns angle and speed."""
        return np.stack([np.arctan2(x[..., 1], x[..., 0]), x[..., 2]], -1)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns Gymnasium's return, (N,)."""
        return {"return": -self.cost(x, u).sum(-1)}
