"""Peg insertion: a 7-joint arm puts a peg into a hole; the classic task of guided policy search
(Levine & Abbeel 2014).

The arm of `models/peg.xml`, its weight compensated, starts at rest above the block. The hole is 5
cm wide and 10 cm deep, the peg 3 cm thick and 15 cm long; torques within (20, 20, 10, 10, 3, 3, 2)
Nm for u of 1; 100 steps of 0.05 s. x = [7 joint angles (rad), 7 velocities (rad/s), tip and top of
the peg relative to where they belong (2 x 3, m), and their mean velocities over the last step (2 x
3, m/s)]; the policy sees x. Each condition is one place of the hole. The cost is s / 2 + log(0.001
+ s) / 20 + |u|^2 / 2 with s the sum of the two points' squared distances, those to the side weighed
by 30: else the shortest way leads across the rim, where the peg gets caught.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lqr import InputError
from lqr.costs import Action, Lorentzian

from ...settings import Count
from ..base.mujoco_task import ModelTask

Array = np.ndarray

MODEL = Path(__file__).parents[1] / "models" / "peg.xml"
REST = np.array(
    [0.0, -0.5, 0.0, 1.5, 0.0, 0.57, 0.0]
)  # rad, where the arm starts: the peg points down
HOLE = np.array([0.58, 0.0, -0.47])  # m, the middle of the hole's rim
DEPTH, LENGTH = 0.09, 0.15  # m, of the tip when the peg is in, and of the peg
FOUR = 0.1 * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])  # m, offsets of the hole
NINE = 0.1 * np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
UNSEEN = 0.025 * np.array([[i, j] for i in (-3, -1, 1, 3) for j in (-3, -1, 1, 3)])
SIDEWAYS = 30.0  # weight of a squared distance to the side: the peg is to be over the hole before it goes down
INSIDE = 0.06  # m, the published threshold of success


class Peg(ModelTask):
    """Four holes, 0.1 m before and behind, left and right of the middle."""

    name = "peg"
    dx, du, do = 26, 7, 26
    joints = (range(7), range(7, 14))
    state_names = (
        *(f"joint {i} (rad)" for i in range(7)),
        *(f"joint {i} speed (rad/s)" for i in range(7)),
        *(f"{end} - goal {axis} (m)" for end in ("tip", "top") for axis in "xyz"),
        *(f"{end} speed {axis} (m/s)" for end in ("tip", "top") for axis in "xyz"),
    )
    action_names = tuple(f"motor {i}" for i in range(7))
    offsets: Array = FOUR

    def __init__(self, offsets: Any = None, horizon: Count = 100):
        self.offsets = np.array(self.offsets if offsets is None else offsets, dtype=float).reshape(
            -1, 2
        )
        if not np.isfinite(self.offsets).all() or np.abs(self.offsets).max(initial=0.0) > 0.2:
            raise InputError(
                f"offsets are {self.offsets.tolist()}; expected pairs of metres within 0.2"
            )
        super().__init__(str(MODEL), 5, len(self.offsets), horizon)
        near = np.r_[np.zeros(14), SIDEWAYS, SIDEWAYS, 1.0, SIDEWAYS, SIDEWAYS, 1.0, np.zeros(6)]
        self.cost = Lorentzian(near, l1=0.1, l2=1.0, alpha=1e-3) + Action(1.0)

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, ...]:
        """Returns the arm at rest, and the hole of conditions[i]."""
        holes = self.offsets[conditions]
        return np.tile(REST, (len(holes), 1)), np.zeros((len(holes), 7)), holes

    def start(self, qpos: Array, qvel: Array, holes: Array | None = None) -> Array:
        """Starts simulations at angles and velocities (B, 7) and with holes at these offsets (B,
        2); returns x.
        """
        self._where = HOLE + np.pad(
            np.zeros((len(qpos), 2)) if holes is None else holes, ((0, 0), (0, 1))
        )
        self._sim.start(qpos, qvel)
        self._sim.field("mocap_pos")[:, 0] = self._where  # the next step moves the block there
        self._over = np.zeros(len(qpos), bool)
        self._gap = self.gap()
        self._speed = np.zeros((len(qpos), 6))
        return self.states()

    def step(self, u: Array) -> Array:
        """Applies torques u (B, 7) for 0.05 s; returns x (B, 26)."""
        before = self._gap
        self._sim.advance(u)
        self._gap = self.gap()
        self._speed = (self._gap - before) / self.dt
        return self.states()

    def gap(self) -> Array:
        """Returns tip and top of the peg relative to where they belong, (B, 6)."""
        goal = np.concatenate(
            [self._where - [0, 0, DEPTH], self._where - [0, 0, DEPTH - LENGTH]], 1
        )
        return self._sim.field("site_xpos").reshape(len(goal), -1)[:, :6] - goal

    def states(self) -> Array:
        """Returns x (B, 26)."""
        return np.concatenate(
            [self._sim.field("qpos"), self._sim.field("qvel"), self._gap, self._speed], 1
        )

    def observe(self) -> Array:
        """Returns x (B, 26)."""
        return self.states()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the final distance of the tip to the bottom of the hole (m), and whether it is
        in, (N,) each.
        """
        distance = np.linalg.norm(x[:, -1, 14:17], axis=-1)
        return {"distance": distance, "success": (distance < INSIDE).astype(float)}


class PegNine(Peg):
    """Nine holes on a 3 x 3 grid of 0.1 m."""

    name, offsets = "peg_nine", NINE

    def held_out(self) -> Peg:
        """Returns the task with 16 holes inside the grid, on a 4 x 4 grid of 0.05 m that shares
        none of its places.
        """
        return Peg(UNSEEN)


class PegBlind(Peg):
    """Four holes 0.012 m off the middle; the policy sees joint angles and velocities only, and has
    to feel its way.
    """

    name, offsets = "peg_blind", 0.12 * FOUR
    do = 14

    def observe(self) -> Array:
        """Returns joint angles and velocities, (B, 14)."""
        return self.states()[:, :14]
