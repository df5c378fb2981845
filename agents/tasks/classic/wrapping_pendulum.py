"""The pendulum with an angle that wraps at +-pi, which is upright: the swing-up ends where the
number jumps.

x = [angle within pi (rad), 0 hanging, speed (rad/s)]. The angle is declared, so that models and
controllers are of the shorter way round.
"""

from dataclasses import dataclass

import numpy as np

from dynamics import Manifold
from dynamics.manifold import wrapped
from lqr import Action, QuadraticCost, WeightedNorm
from lqr.expansion import ramp_weights, stack

from ...settings import Count
from .pendulum import Pendulum

Array = np.ndarray


@dataclass(frozen=True)
class Upright:
    """ramp_t * 2 (1 + cos x_0), the squared distance in the plane between the angle and upright."""

    ramp: str = "quadratic"

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        return 2 * ramp_weights(self.ramp, X.shape[-2] - 1) * (1 + np.cos(X[..., 0]))

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the second-order expansion."""
        xu, weight, angle = stack(X, U), 2 * ramp_weights(self.ramp, X.shape[-2] - 1), X[..., 0]
        slope, curvature = -weight * np.sin(angle), -weight * np.cos(angle)
        C, c = np.zeros((*xu.shape, xu.shape[-1])), np.zeros(xu.shape)
        C[..., 0, 0], c[..., 0] = curvature, slope - curvature * angle
        return QuadraticCost(C, c, self(X, U) - slope * angle + 0.5 * curvature * angle**2)


class WrappingPendulum(Pendulum):
    """It starts 0.3 rad aside, about at rest; the cost is periodic in the angle."""

    name = "wrapping_pendulum"
    manifold: Manifold | None = Manifold("angle", "real")
    start_std = 0.02  # rad and rad/s

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions)
        self.cost = WeightedNorm([0.0, 0.05], ramp="quadratic") + Upright() + Action(0.1)

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns states about 0.3 rad and at rest, normal, (B, 2)."""
        return np.array([0.3, 0.0]) + super().starts(conditions, rng)

    def states(self, s: Array) -> Array:
        """Returns the angle within pi, and the speed."""
        return np.concatenate([wrapped(s[..., :1]), s[..., 1:]], -1)
