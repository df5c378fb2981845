"""Door opening: an arm of six joints hooks the handle of a door and pulls it open.

After Chebotar et al., Combining Model-Based and Model-Free Updates (2017): the hook must be behind
the handle before the door can move at all. The arm of `models/door.xml`, its weight compensated,
starts at rest beside the handle; torques within (20, 20, 10, 10, 3, 3) Nm for u of 1; 100 steps of
0.05 s. x = [6 joint angles (rad), 6 velocities (rad/s), angle of the door (rad) and its velocity,
hook relative to its place behind the handle (3, m), and that one's mean velocity over the last step
(3, m/s)]; the policy sees x. Each condition is one start of the arm. With a the door's angle minus
that which is wanted and d the hook's distance to its place, the cost is 2 a^2 + sqrt(1e-3 + a^2) /
2 + 5 d^2 + sqrt(1e-4 + d^2) / 2 + 0.1 |u|^2.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lqr.costs import Action, WeightedNorm

from ...interfaces import Cost
from ...settings import Count
from ..base.mujoco_task import ModelTask

Array = np.ndarray

MODEL = Path(__file__).parents[1] / "models" / "door.xml"
STARTS = np.array(  # rad; the hook 9 or 12 cm beside the handle, 3 cm above or below its middle
    [
        [-0.437, 0.844, -0.302, -1.685, 0.287, 0.797],
        [-0.478, 0.937, -0.377, -1.635, 0.276, 0.645],
        [-0.355, 0.865, -0.241, -1.714, 0.230, 0.822],
        [-0.390, 0.963, -0.304, -1.665, 0.220, 0.668],
    ]
)
OPEN = 0.6  # rad, the angle that is wanted
CLOSE = 0.1  # rad, from that angle


class Door(ModelTask):
    """Four starts of the arm."""

    name = "door"
    dx, du, do = 20, 6, 20
    state_names = (
        *(f"joint {i} (rad)" for i in range(6)),
        *(f"joint {i} speed (rad/s)" for i in range(6)),
        *("door (rad)", "door speed (rad/s)"),
        *(f"hook - handle {axis} (m)" for axis in "xyz"),
        *(f"hook speed {axis} (m/s)" for axis in "xyz"),
    )
    action_names = tuple(f"motor {i}" for i in range(6))
    camera: ClassVar[dict[str, Any]] = {
        "lookat": (0.4, -0.1, -0.15),
        "distance": 1.9,
        "azimuth": 35,
        "elevation": -25,
    }

    def __init__(self, conditions: Count = 4, horizon: Count = 100):
        super().__init__(str(MODEL), 5, min(conditions, len(STARTS)), horizon)
        angle, gap = (
            np.r_[np.zeros(12), w] for w in ([1.0] + 7 * [0.0], [0, 0, 1, 1, 1, 0, 0, 0.0])
        )
        wide = WeightedNorm(angle, l1=0.5, l2=4.0, alpha=1e-3, target=OPEN * angle)
        self.cost: Cost = wide + WeightedNorm(gap, l1=0.5, l2=10.0, alpha=1e-4) + Action(0.2)

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns each condition's arm, at rest but for small velocities, and the door shut."""
        qpos, qvel = np.pad(STARTS[conditions], ((0, 0), (0, 1))), np.zeros((len(conditions), 7))
        qvel[:, :6] = rng.uniform(-0.005, 0.005, size=(len(conditions), 6))
        return qpos, qvel

    def start(self, qpos: Array, qvel: Array) -> Array:
        """Starts simulations at these positions (B, 7) and velocities (B, 7); returns x (B, 20)."""
        self._sim.start(qpos, qvel)
        self._over = np.zeros(len(qpos), bool)
        self._gap = self.gap()
        self._speed = np.zeros((len(qpos), 3))
        return self.states()

    def step(self, u: Array) -> Array:
        """Applies torques u (B, 6) for 0.05 s; returns x (B, 20)."""
        before = self._gap
        self._sim.advance(u)
        self._gap = self.gap()
        self._speed = (self._gap - before) / self.dt
        return self.states()

    def gap(self) -> Array:
        """Returns the hook relative to its place behind the handle, (B, 3)."""
        hook, behind = np.moveaxis(self._sim.field("site_xpos").reshape(-1, 2, 3), 1, 0)
        return hook - behind

    def states(self) -> Array:
        """Returns x (B, 20)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        return np.concatenate([q[:, :6], v[:, :6], q[:, 6:], v[:, 6:], self._gap, self._speed], 1)

    def observe(self) -> Array:
        """Returns x (B, 20)."""
        return self.states()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the door's final angle (rad), and whether it is open as wanted, (N,) each."""
        angle = x[:, -1, 12]
        return {"angle": angle, "success": (np.abs(angle - OPEN) < CLOSE).astype(float)}
