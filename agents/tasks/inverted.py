"""Gymnasium's InvertedPendulum-v5 and InvertedDoublePendulum-v5: a cart keeps a pole, or two in a row, upright.

The physics is that of the XML in the installed gymnasium package, and so are the resets, the observations and the
episode's end. Every condition has the same distribution of starts.
"""

import numpy as np

from lqr.costs import Action, Quadratic

from .model_task import ModelTask
from .reacher import gymnasium_xml

Array = np.ndarray


class InvertedPendulum(ModelTask):
    """x = o = [cart (m), angle (rad), their speeds]; it ends when the pole leans by 0.2 rad.

    Gymnasium rewards each step by 1. The cost is -1 per step plus (angle / 0.2)^2 and a little of the rest, so that
    it is smooth and below 0 while the pole stands.
    """

    name, env_id = "inverted_pendulum", "InvertedPendulum-v5"
    dx, du, do = 4, 1, 4

    def __init__(self, conditions: int = 1, horizon: int = 1000):
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

    def observe(self) -> Array:
        """Returns Gymnasium's observation, (B, 4)."""
        return self.states()

    def terminated(self) -> Array:
        """Returns which poles lean too far, (B,)."""
        return np.abs(self._sim.field("qpos")[:, 1]) > 0.2

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns Gymnasium's return, the number of steps before the one in which the pole fell, (N,)."""
        fallen = np.cumsum(np.abs(x[:, 1:, 1]) > 0.2, axis=1) > 0
        return {"return": (~fallen).sum(1).astype(float)}


class InvertedDoublePendulum(ModelTask):
    """x = [cart (m), 2 angles (rad), their speeds, tip's place sideways and relative to 2 m height (m)].

    The cost is the negated reward of a step in which the tip is above 1 m, 0.01 sideways^2 + (height - 2)^2
    + 0.001 speed_1^2 + 0.005 speed_2^2 - 10; it ends when the tip is lower. The ten that the step of the fall does not
    get is the only part of the reward that is not smooth, and `metrics` counts it.
    """

    name, env_id = "inverted_double_pendulum", "InvertedDoublePendulum-v5"
    dx, du, do = 8, 1, 9

    def __init__(self, conditions: int = 1, horizon: int = 1000):
        super().__init__(gymnasium_xml("inverted_double_pendulum.xml"), 5, conditions, horizon)
        C = 2 * np.diag([0, 0, 0, 0, 0.001, 0.005, 0.01, 1.0])
        self.cost = Quadratic(C, const=-10.0, ramp=np.r_[0.0, np.ones(horizon)])

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns positions uniform within 0.1, and normal speeds of 0.1."""
        B = len(conditions)
        return rng.uniform(-0.1, 0.1, size=(B, 3)), 0.1 * rng.standard_normal((B, 3))

    def states(self) -> Array:
        """Returns x (B, 8)."""
        tip = self._sim.field("site_xpos")[:, 0, [0, 2]] - [0.0, 2.0]
        return np.concatenate([self._sim.field("qpos"), self._sim.field("qvel"), tip], 1)

    def observe(self) -> Array:
        """Returns Gymnasium's observation: cart, sines, cosines, speeds, and the force at the cart's stop, (B, 9)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        stop = self._sim.field("qfrc_constraint")[:, :1]
        angles = [np.sin(q[:, 1:]), np.cos(q[:, 1:])]
        return np.concatenate([q[:, :1], *angles, np.clip(v, -10, 10), np.clip(stop, -10, 10)], 1)

    def terminated(self) -> Array:
        """Returns whose tip is too low, (B,)."""
        return self._sim.field("site_xpos")[:, 0, 2] <= 1.0

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns Gymnasium's return and the number of steps before the fall, (N,) each."""
        fallen = np.cumsum(x[:, 1:, 7] <= -1.0, axis=1) > 0
        counted = np.concatenate([np.ones((len(x), 1), bool), ~fallen[:, :-1]], 1)  # the step of the fall counts
        lost = counted & fallen
        return {
            "return": -(counted * self.cost(x, u)[:, 1:]).sum(1) - 10.0 * lost.sum(1),
            "steps": (~fallen).sum(1).astype(float),
        }
