"""A gripper pushes a block to a goal: an arm of three joints in the plane, and two fingers that
open and close.

After the gripper pusher of Chebotar et al., Combining Model-Based and Model-Free Updates (2017):
contact comes and goes, which local linear models take for noise. The arm of `models/gripper.xml`
starts at rest beside the block; torques within (4, 3, 1) Nm and 5 N at the fingers for u of 1; 100
steps of 0.05 s. x = [3 joint angles (rad), opening of a finger (m), their velocities (4), block -
goal (2, m), the block's velocity (2, m/s), grip - block (2, m)]; the policy sees x. Each condition
is one place of the block. With d the block's distance to the goal and g the grip's to the block,
the cost is 2 sqrt(1e-4 + d^2) + sqrt(1e-3 + g^2) / 2 + 0.01 |u|^2.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lqr.costs import Action, WeightedNorm

from ...interfaces import Cost
from ...settings import Count
from ..base.mujoco_task import ModelTask

Array = np.ndarray

MODEL = Path(__file__).parents[1] / "models" / "gripper.xml"
GOAL = np.array([0.45, 0.25])  # m
BLOCKS = np.array([[0.43, -0.05], [0.47, -0.05], [0.45, -0.02], [0.45, -0.08]])  # m
REST = np.array([-0.811, 0.578, 1.803])  # rad, the hand in front of the blocks
NEAR = 0.04  # m, of a block at the goal


class Gripper(ModelTask):
    """Four places of the block."""

    name = "gripper"
    dx, du, do = 14, 4, 14
    plane = (8, 9)
    camera: ClassVar[dict[str, Any]] = {"lookat": (0.35, 0.0, 0.0), "distance": 1.1}
    targets: ClassVar[Array] = np.zeros((4, 2))

    def __init__(self, conditions: Count = 4, horizon: Count = 100):
        super().__init__(str(MODEL), 5, min(conditions, len(BLOCKS)), horizon)
        far, near = (np.r_[np.zeros(8), w] for w in ([1, 1, 0, 0, 0, 0.0], [0, 0, 0, 0, 1, 1.0]))
        reach = WeightedNorm(near, l1=0.5, l2=0.0, alpha=1e-3)
        self.cost: Cost = WeightedNorm(far, l1=2.0, l2=0.0, alpha=1e-4) + reach + Action(0.02)

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns the arm at rest but for small velocities, and each condition's block."""
        B = len(conditions)
        qpos = np.concatenate([np.tile(REST, (B, 1)), np.zeros((B, 2)), BLOCKS[conditions]], 1)
        qvel = np.zeros((B, 7))
        qvel[:, :3] = rng.uniform(-0.005, 0.005, size=(B, 3))
        return qpos, qvel

    def states(self) -> Array:
        """Returns x (B, 14)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        grip = self._sim.field("site_xpos").reshape(len(q), -1, 3)[:, 1, :2] - q[:, 5:]
        return np.concatenate([q[:, :4], v[:, :4], q[:, 5:] - GOAL, v[:, 5:], grip], 1)

    def observe(self) -> Array:
        """Returns x (B, 14)."""
        return self.states()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the block's final distance to the goal (m), and whether it is there, (N,)
        each.
        """
        distance = np.linalg.norm(x[:, -1, 8:10], axis=-1)
        return {"distance": distance, "success": (distance < NEAR).astype(float)}
