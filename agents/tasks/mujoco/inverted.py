"""Gymnasium's InvertedPendulum-v5 and InvertedDoublePendulum-v5: a cart keeps a pole, or two in a
row, upright.

The physics is that of the XML in the installed gymnasium package, and so are the resets, the
observations and the episode's end. Every condition has the same distribution of starts.
"""

from dataclasses import dataclass

import numpy as np

from lqr import QuadraticCost
from lqr.costs import Action, Quadratic, stack

from ...settings import Count
from ..base.mujoco_task import ModelTask
from .reacher import gymnasium_xml

Array = np.ndarray


class InvertedPendulum(ModelTask):
    """x = o = [cart (m), angle (rad), their speeds]; it ends when the pole leans by 0.2 rad.

    Gymnasium rewards each step by 1. The cost is -1 per step plus (angle / 0.2)^2 and a little of
    the rest, so that it is smooth and below 0 while the pole stands.
    """

    name, env_id = "inverted_pendulum", "InvertedPendulum-v5"
    dx, du, do = 4, 1, 4
    state_names = ("cart (m)", "angle (rad)", "cart speed (m/s)", "angle speed (rad/s)")
    action_names = ("force",)

    def __init__(self, conditions: Count = 1, horizon: Count = 1000):
        super().__init__(gymnasium_xml("inverted_pendulum.xml"), 2, conditions, horizon)
        C = 2 * np.diag([0.1, 25.0, 0.01, 0.01])
        self.cost = Quadratic(C, const=-1.0, ramp=np.r_[0.0, np.ones(horizon)]) + Action(0.002)

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns positions and speeds, uniform within 0.01."""
        draw = rng.uniform(-0.01, 0.01, size=(2, len(conditions), 2))
        return draw[0], draw[1]

    def states(self) -> Array:
        """Returns x (B, 4)."""
        return np.concatenate([self._sim.field("qpos"), self._sim.field("qvel")], 1)

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions and speeds of x (B, 4)."""
        return x[:, :2], x[:, 2:]

    def observe(self) -> Array:
        """Returns Gymnasium's observation, (B, 4)."""
        return self.states()

    def ended(self, x: Array) -> Array:
        """Returns which poles lean too far, (...)."""
        return np.abs(x[..., 1]) > 0.2

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns Gymnasium's return, the number of steps before the one in which the pole fell,
        (N,).
        """
        fallen = np.cumsum(self.ended(x[:, 1:]), axis=1) > 0
        return {"return": (~fallen).sum(1).astype(float)}


@dataclass(frozen=True)
class TipCost:
    """0.01 sideways^2 + (height - 2)^2 of the tip of two poles of 0.6 m on a cart, after each step;
    x starts with cart, angle and angle between the poles."""

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        return self._derivatives(X)[0]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the exact expansion."""
        xu = stack(X, U)
        n = xu.shape[-1]
        value, slope, curvature = self._derivatives(np.asarray(X, dtype=float))
        g, H = np.zeros(xu.shape), np.zeros((*xu.shape, n))
        g[..., :3], H[..., :3, :3] = slope, curvature
        c = g - (H @ xu[..., None])[..., 0]
        return QuadraticCost(H, c, value - 0.5 * ((g + c) * xu).sum(-1))

    def _derivatives(self, X: Array) -> tuple[Array, Array, Array]:
        """Returns value, gradient and Hessian with respect to the three coordinates."""
        side, height = tip(X)
        a, b = X[..., 1], X[..., 1] + X[..., 2]
        zero, one = np.zeros_like(a), np.ones_like(a)
        sin, cos = 0.6 * (np.sin(a) + np.sin(b)), 0.6 * (np.cos(a) + np.cos(b))
        low_sin, low_cos = 0.6 * np.sin(b), 0.6 * np.cos(b)
        first = np.stack(
            [np.stack([one, cos, low_cos], -1), np.stack([zero, -sin, -low_sin], -1)], -1
        )  # (..., 3, 2)
        second = np.zeros((*a.shape, 2, 3, 3))
        for k, (both, low) in enumerate(((-sin, -low_sin), (-cos, -low_cos))):
            second[..., k, 1, 1], second[..., k, 2, 2] = both, low
            second[..., k, 1, 2] = second[..., k, 2, 1] = low
        d = np.stack([0.02 * side, 2 * (height - 2.0)], -1)
        slope = (first @ d[..., None])[..., 0]
        curvature = first @ (np.array([0.02, 2.0])[:, None] * np.swapaxes(first, -1, -2))
        curvature = curvature + np.einsum("...k,...kij->...ij", d, second)
        ramp = np.r_[0.0, np.ones(X.shape[-2] - 1)]
        value = 0.01 * side**2 + (height - 2.0) ** 2
        return ramp * value, ramp[:, None] * slope, ramp[:, None, None] * curvature


def tip(x: Array) -> tuple[Array, Array]:
    """Returns how far sideways and how high (m) the tip of the double pendulum is."""
    a, b = x[..., 1], x[..., 1] + x[..., 2]
    return x[..., 0] + 0.6 * (np.sin(a) + np.sin(b)), 0.6 * (np.cos(a) + np.cos(b))


class InvertedDoublePendulum(ModelTask):
    """x = [cart (m), angle, angle between the poles (rad), their speeds].

    The cost is the negated reward of a step in which the tip is above 1 m, 0.01 sideways^2 +
    (height - 2)^2 + 0.001 speed_1^2 + 0.005 speed_2^2 - 10, and 0.1 u^2, without which plans are
    wild; it ends when the tip is lower. Gymnasium reads the tip's place one substep of 0.01 s
    before the rest of the state. The ten that the step of the fall does not get is the only part of
    the reward that is not smooth, and `metrics` counts it.
    """

    name, env_id = "inverted_double_pendulum", "InvertedDoublePendulum-v5"
    ended = None  # type: ignore[assignment]  # Gymnasium looks at the tip a substep before x
    dx, du, do = 6, 1, 9

    def __init__(self, conditions: Count = 1, horizon: Count = 1000):
        super().__init__(gymnasium_xml("inverted_double_pendulum.xml"), 5, conditions, horizon)
        speeds = Quadratic(
            2 * np.diag([0, 0, 0, 0, 0.001, 0.005]), const=-10.0, ramp=np.r_[0.0, np.ones(horizon)]
        )
        self.cost = speeds + TipCost() + Action(0.2)

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns positions uniform within 0.1, and normal speeds of 0.1."""
        B = len(conditions)
        return rng.uniform(-0.1, 0.1, size=(B, 3)), 0.1 * rng.standard_normal((B, 3))

    def states(self) -> Array:
        """Returns x (B, 6)."""
        return np.concatenate([self._sim.field("qpos"), self._sim.field("qvel")], 1)

    def observe(self) -> Array:
        """Returns Gymnasium's observation: cart, sines, cosines, speeds, and the force at the
        cart's stop, (B, 9).
        """
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        stop = self._sim.field("qfrc_constraint")[:, :1]
        angles = [np.sin(q[:, 1:]), np.cos(q[:, 1:])]
        return np.concatenate([q[:, :1], *angles, np.clip(v, -10, 10), np.clip(stop, -10, 10)], 1)

    def terminated(self) -> Array:
        """Returns whose tip is too low, (B,)."""
        return self._sim.field("site_xpos")[:, 0, 2] <= 1.0

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return and the number of steps before the fall, (N,) each; Gymnasium may see
        the fall a step later."""
        fallen = np.cumsum(tip(x[:, 1:])[1] <= 1.0, axis=1) > 0
        counted = np.concatenate(
            [np.ones((len(x), 1), bool), ~fallen[:, :-1]], 1
        )  # the step of the fall counts
        lost = counted & fallen
        return {
            "return": -(counted * self.cost(x, 0 * u)[:, 1:]).sum(1) - 10.0 * lost.sum(1),
            "steps": (~fallen).sum(1).astype(float),
        }
