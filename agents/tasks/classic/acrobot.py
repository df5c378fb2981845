"""Acrobot swing-up: two links hang from a bar, a motor at the elbow alone brings them up (Sutton
and Barto 2018).

The physics is that of Gymnasium's Acrobot-v1, with any torque within 1 Nm instead of three; steps
of 0.2 s. Nothing ends an episode: the links have to stay up, not to pass a line.
s = x = [shoulder (rad), 0 hanging, elbow (rad), 0 straight, their speeds (rad/s)]; the policy sees
Gymnasium's observation, [cos, sin of the shoulder, cos, sin of the elbow, speeds].
"""

import numpy as np

from lqr.costs import Action, WeightedNorm

from ...settings import Count
from ..base.ode_task import EquationTask

Array = np.ndarray

SPEEDS = np.array([4 * np.pi, 9 * np.pi])  # rad/s, limits of shoulder and elbow
GRAVITY = 9.8  # m/s^2; links of 1 m and 1 kg, each balanced half-way, with a moment of inertia of 1 kg m^2


class Acrobot(EquationTask):
    """The cost is the squared distance of the angles from upright, more so towards the end, and a
    little torque.
    """

    name = "acrobot"
    horizon, dt, substeps = 100, 0.2, 1
    dx, du, do = 4, 1, 6
    state_names: tuple[str, ...] = (
        "shoulder (rad)",
        "elbow (rad)",
        "shoulder speed (rad/s)",
        "elbow speed (rad/s)",
    )
    action_names = ("torque (N m)",)
    action_low, action_high = np.array([-1.0]), np.array([1.0])  # Nm

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions)
        upright = np.array([np.pi, 0.0, 0.0, 0.0])
        self.cost = WeightedNorm([1, 1, 0.1, 0.1], target=upright, ramp="quadratic") + Action(0.1)

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns angles and speeds, uniform within 0.1, (B, 4)."""
        return rng.uniform(-0.1, 0.1, size=(len(conditions), 4))

    def derivative(self, s: Array, u: Array) -> Array:
        """Returns the derivative of s, by the equations of the book."""
        shoulder, elbow, fast, faster = (s[..., i] for i in range(4))
        first = 0.25 + 1.25 + np.cos(elbow) + 2.0  # inertia about the bar
        coupling = 0.25 + 0.5 * np.cos(elbow) + 1.0
        lower = 0.5 * GRAVITY * np.sin(shoulder + elbow)
        whirl = 0.5 * (faster + 2 * fast) * faster * np.sin(elbow)
        upper = -whirl + 1.5 * GRAVITY * np.sin(shoulder) + lower
        torque = u[..., 0] + coupling / first * upper - 0.5 * fast**2 * np.sin(elbow) - lower
        bend = torque / (0.25 + 1.0 - coupling**2 / first)
        return np.stack([fast, faster, -(coupling * bend + upper) / first, bend], -1)

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s one step later, its speeds within their limits."""
        s = super().advance(s, u)
        return np.concatenate([s[..., :2], np.clip(s[..., 2:], -SPEEDS, SPEEDS)], -1)

    def states(self, s: Array) -> Array:
        """Returns a copy of s."""
        return s.copy()

    def see(self, s: Array) -> Array:
        """Returns Gymnasium's observation, (..., 6)."""
        angles = np.stack(
            [np.cos(s[..., 0]), np.sin(s[..., 0]), np.cos(s[..., 1]), np.sin(s[..., 1])], -1
        )
        return np.concatenate([angles, s[..., 2:]], -1)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the final and the highest height of the tip above the bar (m, at most 2), (N,)
        each.
        """
        height = -np.cos(x[..., 0]) - np.cos(x[..., 0] + x[..., 1])
        return {"height": height[:, -1], "highest": height.max(1)}
