"""Pendulum swing-up with PILCO's constants: a rod, too heavy for its motor, goes up in several
swings and stays.

A uniform rod of 1 kg and 1 m, friction 0.01 Nms/rad, torque within 2.5 Nm, where holding it level
takes 4.9 Nm; steps of 0.1 s, episodes of 4 s, starting about rest (Deisenroth and Rasmussen 2011;
Chatzilygeroudis et al. 2017). s = x = [angle (rad), 0 hanging, speed (rad/s)]; the policy sees
[cos, sin, speed].
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lqr.costs import Action, WeightedNorm

from ...settings import Count
from ..base.ode_task import EquationTask
from ..costs.saturating import Saturating

Array = np.ndarray

NOTHING: Mapping[str, float] = MappingProxyType({})
LENGTH, MASS, FRICTION, GRAVITY = 1.0, 1.0, 0.01, 9.82  # m, kg, Nms/rad, m/s^2


class Pendulum(EquationTask):
    """The cost is half the squared angle from upright and 0.025 speed^2, from about 2.4 s on, plus
    0.05 torque^2.

    The angle, not the tip's distance: that has no slope where the rod hangs, and says nothing of
    full turns. What happens before is free, so that a swing away from upright costs nothing.
    """

    name = "pendulum"
    horizon, dt = 40, 0.1
    dx, du, do = 2, 1, 3
    state_names, action_names = ("angle (rad)", "speed (rad/s)"), ("torque (N m)",)
    start_std = 0.1  # rad and rad/s
    action_low, action_high = np.array([-2.5]), np.array([2.5])  # Nm
    width = 0.5  # m, of the published reward
    angles = (0,)  # of x
    constants = MappingProxyType({"mass": MASS, "length": LENGTH, "friction": FRICTION})

    def __init__(self, conditions: Count = 1, believed: Mapping[str, float] = NOTHING):
        """`believed` are the factors by which `simulator` takes the constants wrong."""
        super().__init__(conditions)
        self.believed = dict(believed)
        late = free_at_first(self.horizon, 0.6)
        self.cost = WeightedNorm([1.0, 0.05], target=[np.pi, 0.0], ramp=late) + Action(0.1)

    @property
    def saturating(self) -> Saturating:
        """The published reward, of the tip's place relative to its target."""
        rows = np.array([[0.0, LENGTH, 0.0], [-LENGTH, 0.0, 0.0]])
        return Saturating(rows, np.array([0.0, -LENGTH]), self.width)

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns states about rest, normal, (B, 2)."""
        return self.start_std * rng.standard_normal((len(conditions), 2))

    def derivative(
        self, s: Array, u: Array, mass: Any = MASS, length: Any = LENGTH, friction: Any = FRICTION
    ) -> Array:
        """Returns [speed, acceleration] of a uniform rod about its end."""
        angle, speed = s[..., 0], s[..., 1]
        torque = u[..., 0] - friction * speed - 0.5 * mass * GRAVITY * length * np.sin(angle)
        return np.stack([speed, torque / (mass * length**2 / 3)], -1)

    def states(self, s: Array) -> Array:
        """Returns a copy of s."""
        return s.copy()

    def see(self, s: Array) -> Array:
        """Returns cosine, sine and speed, (..., 3)."""
        angle = s[..., :1]
        return np.concatenate([np.cos(angle), np.sin(angle), s[..., 1:]], -1)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the tip's final distance (m), whether it stayed within 0.1 m for the last second,
        and the sum of PILCO's and Black-DROPS's reward exp(-distance^2 / (2 width^2)), (N,)
        each."""
        gap = LENGTH * np.stack([np.sin(x[..., 0]), -1 - np.cos(x[..., 0])], -1)
        return tip_metrics(gap, self.width, round(1 / self.dt))


def free_at_first(horizon: int, middle: float, width: float = 0.05) -> Array:
    """Returns weights of the steps 0..horizon, (horizon+1,), that rise smoothly from 0 to 1 about a
    share of them.
    """
    return 1 / (1 + np.exp((middle - np.linspace(0.0, 1.0, horizon + 1)) / width))


def tip_metrics(gap: Array, width: float, last: int) -> dict[str, Array]:
    """Returns the figures of a swing-up from the tip's place relative to its target, (N, T+1,
    2).
    """
    distance = np.linalg.norm(gap, axis=-1)
    return {
        "distance": distance[:, -1],
        "balanced": (distance[:, -last - 1 :] < 0.1).all(-1).astype(float),
        "reward": np.exp(-0.5 * (distance[:, 1:] / width) ** 2).sum(-1),
    }
