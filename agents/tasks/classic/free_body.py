"""A body that floats freely, pushed and turned by its own thrusters, comes to rest at a place and
an orientation.

x = [place (3, m), orientation (unit quaternion, 4), velocity (3, m/s), angular velocity in the
body's frame (3, rad/s)], MuJoCo's free joint; the orientation is declared, so that models and
controllers are of rotation vectors. u = [force (3), torque (3)] in the body's frame. The policy
sees x, its quaternion with a scalar part that is not negative.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dynamics import Manifold
from lqr import Action, QuadraticCost, WeightedNorm
from lqr.expansion import ramp_weights, stack

from ..base.mujoco_batch import MujocoBatch, OneStep
from ..base.mujoco_task import ModelTask

Array = np.ndarray

XML = """
<mujoco model="free body">
  <option gravity="0 0 0" timestep="0.01" integrator="RK4"/>
  <worldbody>
    <light pos="0 0 3"/>
    <body name="body">
      <freejoint/>
      <inertial pos="0 0 0" mass="1" diaginertia="0.04 0.06 0.09"/>
      <geom type="box" size="0.3 0.2 0.1" contype="0" conaffinity="0"/>
      <site name="centre"/>
    </body>
  </worldbody>
  <actuator>
    <general site="centre" gear="1 0 0 0 0 0" ctrllimited="true" ctrlrange="-4 4"/>
    <general site="centre" gear="0 1 0 0 0 0" ctrllimited="true" ctrlrange="-4 4"/>
    <general site="centre" gear="0 0 1 0 0 0" ctrllimited="true" ctrlrange="-4 4"/>
    <general site="centre" gear="0 0 0 1 0 0" ctrllimited="true" ctrlrange="-1 1"/>
    <general site="centre" gear="0 0 0 0 1 0" ctrllimited="true" ctrlrange="-1 1"/>
    <general site="centre" gear="0 0 0 0 0 1" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""
STARTS = np.array(  # place (m), and rotation vector (rad): 100, 137 and 172 degrees
    [
        [0.5, 0.0, 0.0, 0.0, 1.75, 0.0],
        [0.0, -0.5, 0.3, 1.7, 0.0, 1.7],
        [-0.3, 0.3, 0.3, 1.0, -2.0, 2.0],
    ]
)
POSES = Manifold(*["real"] * 3, "quaternion", *["real"] * 6)
PARAMETERS: dict[str, list[tuple[str, Any]]] = {
    "mass": [("body_mass", 1)],
    "inertia": [("body_inertia", 1)],
}


@dataclass(frozen=True)
class Turned:
    """ramp_t * weight * 4 sin^2(angle / 2), about the square of the angle (rad), from an
    orientation `target` (4,).

    The quaternion is x[at : at + 4]. The expansion is that of a polynomial of its four numbers.
    """

    at: int
    target: Any
    weight: float = 1.0
    ramp: Any = "constant"

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        along = X[..., self.at : self.at + 4] @ np.asarray(self.target)
        return 4 * self.weight * ramp_weights(self.ramp, X.shape[-2] - 1) * (1 - along**2)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the polynomial, which is a quadratic of x already."""
        xu, weight = stack(X, U), 4 * self.weight * ramp_weights(self.ramp, X.shape[-2] - 1)
        goal = np.zeros(xu.shape[-1])
        goal[self.at : self.at + 4] = self.target
        C = -2 * weight[:, None, None] * np.outer(goal, goal)
        value = np.broadcast_to(weight, xu.shape[:-1]).copy()
        return QuadraticCost(
            np.broadcast_to(C, (*xu.shape, len(goal))).copy(), np.zeros(xu.shape), value
        )


class FreeBody(ModelTask):
    """The cost is the squared distance and the squared angle to the goal, more so towards the end,
    and effort.
    """

    name = "free_body"
    dx, du, do = 13, 6, 13
    manifold: Manifold | None = POSES

    def __init__(self) -> None:
        super().__init__(XML, frame_skip=5, conditions=len(STARTS), horizon=40)
        place, speed = [1.0] * 3 + [0.0] * 10, [0.0] * 7 + [0.1] * 6
        goal: Any = WeightedNorm(place, ramp="quadratic") + WeightedNorm(speed, ramp="quadratic")
        self.cost = (
            goal
            + Turned(3, [1.0, 0.0, 0.0, 0.0], ramp="quadratic")
            + Action([0.01] * 3 + [0.2] * 3)
        )

    @cached_property
    def simulator(self) -> OneStep:
        """One step from any state, for the prior `simulator`."""
        sim = MujocoBatch(self._sim.xml, self._sim.frame_skip)
        return OneStep(sim, lambda x: (x[:, :7], x[:, 7:]), _state, PARAMETERS)

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns the conditions' poses, turned and shifted a little, at rest."""
        pose = STARTS[conditions] + 0.01 * rng.standard_normal((len(conditions), 6))
        x = POSES.retract(POSES.zero, np.concatenate([pose, np.zeros_like(pose)], 1))
        return x[:, :7], x[:, 7:]

    def states(self) -> Array:
        """Returns x (B, 13)."""
        return _state(self._sim)

    def observe(self) -> Array:
        """Returns x (B, 13), with the quaternion of the two whose scalar part is not negative."""
        x = self.states()
        x[:, 3:7] *= np.where(x[:, 3:4] < 0, -1.0, 1.0)
        return x

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the final distance (m) and the final angle (degrees) to the goal, (N,) each."""
        last = POSES.difference(x[:, -1], POSES.zero)
        angle = np.degrees(np.linalg.norm(last[:, 3:6], axis=-1))
        return {"distance": np.linalg.norm(last[:, :3], axis=-1), "angle": angle}


def _state(sim: MujocoBatch) -> Array:
    return np.concatenate([sim.field("qpos"), sim.field("qvel")], 1)
