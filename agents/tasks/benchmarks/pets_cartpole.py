"""The cart-pole swing-up of PETS, with its constants and its reward (Chua et al. 2018).

A cart of about 10 kg and a pole of 5 kg and 0.6 m that hangs at the start; steps of 0.04 s,
episodes of 8 s; at most 300 N. x = o = [cart (m), cos, sin of the angle, 0 hanging, cart's speed,
pole's speed]. The reward of a step is exp(-(distance of the pole's tip to its place above the
middle of the rail)^2 / (0.6 m)^2) - 0.01 u^2, at most 200 in all.
"""

from pathlib import Path

import numpy as np

from lqr.costs import Action

from ...settings import Count
from ..base.mujoco_task import ModelTask
from ..costs.gaussian_bump import Bump

Array = np.ndarray

LENGTH = 0.6  # m
XML = str(Path(__file__).parents[1] / "models" / "pets_cartpole.xml")


class PetsCartPole(ModelTask):
    """The cost of a state is minus the reward that came with it."""

    name = "pets_cartpole"
    dx, du, do = 5, 1, 5

    def __init__(self, conditions: Count = 1, horizon: Count = 200):
        super().__init__(XML, 2, conditions, horizon)
        tip = np.array([[1.0, 0, -LENGTH, 0, 0], [0, -LENGTH, 0, 0, 0]])
        after = np.r_[0.0, np.ones(horizon)]  # no action has led to step 0
        self.cost = Bump(tip, np.array([0.0, LENGTH]), LENGTH, ramp=after) + Action(0.02)

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns positions and speeds about rest, normal with 0.1 m, rad, m/s, rad/s."""
        draw = 0.1 * rng.standard_normal((2, len(conditions), 2))
        return draw[0], draw[1]

    def states(self) -> Array:
        """Returns x (B, 5)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        return np.concatenate([q[:, :1], np.cos(q[:, 1:]), np.sin(q[:, 1:]), v], 1)

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions and speeds of x (B, 5)."""
        return np.stack([x[:, 0], np.arctan2(x[:, 2], x[:, 1])], 1), x[:, 3:]

    def observe(self) -> Array:
        """Returns x (B, 5)."""
        return self.states()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return, (N,)."""
        return {"return": -self.cost(x, u).sum(-1)}
