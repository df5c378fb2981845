"""dm_control's peg insertion: the manipulator of its suite brings a peg into a slot (Tassa et al.
2018, extra `tasks`).

A planar arm of four joints with a two-fingered hand, as `suite/manipulator.xml` has it. The file is
read where dm_control is installed; nothing of that package is imported, so that it need not run on
the MuJoCo at hand. Slot and goal differ from condition to condition, as in `insert_peg`. Arm and
slot are drawn from its distributions, with the peg in the hand, until the peg is in front of the
slot, no farther than 0.3 m and 60 degrees from where it belongs, and touches the fingers alone;
these hold it between guard and pommel, as else it would fall. An episode has 100 steps of 0.02 s;
dm_control's has 1000 of 0.01 s, and in most of its starts the peg falls through the air.

x = [4 angles of the arm, 2 of each finger (rad), the peg's place (2, m) and angle (rad), the 11
velocities, the places of the peg's middle and tip relative to their goals, across and along the
slot (2 x 2, m), of its pommel relative to the palm, and of its hilt to the fingertips (2 x 2, m)].
The policy sees what dm_control shows: sines and cosines of the joints, their velocities, log(1 +
touch), and the poses of hand, peg and goal, 44 numbers. With s the squared distances of middle and
tip, those across the slot weighed by 30, and g those of pommel and hilt, the cost is s / 2 +
log(0.001 + s) / 20 + 5 g + 0.005 |u|^2, the part of s tenfold in the last step. `return` is the sum
of dm_control's reward.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lqr import InputError
from lqr.costs import Action, Lorentzian, WeightedNorm

from ...settings import Count, Whole
from ..base.mujoco_task import ModelTask

Array = np.ndarray

SITES = (
    ("peg", "target_peg"),
    ("peg_tip", "target_peg_tip"),
    ("peg_grasp", "grasp"),
    ("peg_pinch", "pinch"),
)
TOUCH = ("palm_touch", "finger_touch", "thumb_touch", "fingertip_touch", "thumbtip_touch")
ORDER = (0, 1, 2, 3, 6, 7, 4, 5)  # dm_control names the finger before the thumb
CLOSE, MARGIN = (
    0.01,
    0.02,
)  # m, within which dm_control pays in full, and over which its pay falls to a tenth
SIDEWAYS = 30.0  # weight of a squared distance across the slot: the peg is to be before the slot, then go in
GRIP = 0.5, 0.2  # rad, of each finger and its tip, around the neck of the peg
NEAR, TURN = 0.3, np.pi / 3  # m, rad: how far the peg is from its goal at the start, at most
INSIDE = 0.03  # m, of middle and tip: the slot is 0.07 m deep


def model_xml() -> str:
    """Returns the manipulator with peg and slot, which can be moved. Raises InputError without
    dm_control.
    """
    import mujoco

    package = find_spec("dm_control")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "dm_control is not installed; expected it for dm_peg: pip install -c constraints.txt dm_control"
        )
    spec = mujoco.MjSpec.from_file(
        str(Path(package.submodule_search_locations[0]) / "suite" / "manipulator.xml")
    )
    for name in ("ball", "target_ball", "cup"):
        spec.delete(spec.body(name))
    for name in ("slot", "target_peg"):
        spec.body(name).mocap = True
    spec.compile()
    return str(spec.to_xml())


class DmPeg(ModelTask):
    """Each condition is one start of the arm, and one place and angle of the slot."""

    name = "dm_peg"
    dx, du, do = 30, 5, 44
    joints = ((0, 1, 2, 3, 4), (11, 12, 13, 14, 15))
    camera: ClassVar[dict[str, Any]] = {
        "lookat": (0.0, 0.0, 0.35),
        "distance": 1.25,
        "azimuth": 90,
        "elevation": 0,
    }

    def __init__(self, conditions: Count = 4, horizon: Count = 100, layout_seed: Whole = 20_000):
        super().__init__(model_xml(), 20, conditions, horizon)
        bring = np.r_[np.zeros(22), SIDEWAYS, 1.0, SIDEWAYS, 1.0, np.zeros(4)]
        hold = np.r_[np.zeros(26), np.ones(4)]
        end = np.r_[np.ones(horizon), 10.0]
        self.cost = (
            Lorentzian(bring, l1=0.1, l2=1.0, alpha=1e-3, ramp=end)
            + WeightedNorm(hold, l2=10.0)
            + Action(0.01)
        )
        model = self.model
        self._pairs = np.array([[model.site(name).id for name in pair] for pair in SITES])
        self._touch = [model.sensor(name).adr[0] for name in TOUCH]
        self._poses = [model.body(name).id for name in ("hand", "peg", "target_peg")]
        rng = np.random.default_rng(layout_seed)
        self.layout = np.array([draw(model, rng) for _ in range(conditions)])  # (C, 8 + 3 + 3)
        self.joint_target = self.layout[:, :5] + [0.0, 0.0, 0.0, 0.0, 0.5]  # the fingers press

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, ...]:
        """Returns the places of conditions[i], at rest but for small velocities, and the goals."""
        where = self.layout[conditions]
        qvel = np.zeros((len(where), 11))
        qvel[:, :4] = rng.uniform(-0.005, 0.005, size=(len(where), 4))
        return where[:, :11], qvel, where[:, 11:]

    def start(self, qpos: Array, qvel: Array, goals: Array | None = None) -> Array:
        """Starts simulations at positions and velocities (B, 11) and goals (x, z, angle) (B, 3);
        returns x.
        """
        goals = np.tile(self.layout[0, 11:], (len(qpos), 1)) if goals is None else goals
        place, turn = np.zeros((len(goals), 2, 3)), np.zeros((len(goals), 2, 4))
        place[:, :, [0, 2]] = goals[:, None, :2]
        place[:, 1, 1] = 0.001  # the goal is drawn behind the peg
        turn[:, :, 0], turn[:, :, 2] = (f(goals[:, None, 2] / 2) for f in (np.cos, np.sin))
        self._sim.start(qpos, qvel, mocap_pos=place, mocap_quat=turn)
        c, s = np.cos(goals[:, 2]), np.sin(goals[:, 2])
        self._frame = np.moveaxis(
            np.array([[c, s], [-s, c]]), -1, 0
        )  # (B, 2, 2), columns across and along the slot
        self._over = np.zeros(len(qpos), bool)
        return self.states()

    def states(self) -> Array:
        """Returns x (B, 30)."""
        site = self._sim.field("site_xpos").reshape(len(self._over), -1, 3)
        gaps = (site[:, self._pairs[:, 0]] - site[:, self._pairs[:, 1]])[..., [0, 2]]
        gaps[:, :2] = gaps[:, :2] @ self._frame
        return np.concatenate(
            [self._sim.field("qpos"), self._sim.field("qvel"), gaps.reshape(len(gaps), 8)], 1
        )

    def observe(self) -> Array:
        """Returns what dm_control shows, (B, 44)."""
        q, v, touch = (self._sim.field(name) for name in ("qpos", "qvel", "sensordata"))
        angles = q[:, ORDER]
        hand, peg, goal = (
            np.concatenate(
                [
                    self._sim.field("xpos")[:, i][:, [0, 2]],
                    self._sim.field("xquat")[:, i][:, [0, 2]],
                ],
                1,
            )
            for i in self._poses
        )
        arm = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(len(q), 16)
        return np.concatenate(
            [arm, v[:, ORDER], np.log1p(touch[:, self._touch]), hand, peg, v[:, 8:], goal], 1
        )

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns dm_control's pay of the whole episode, the final distance of the tip (m), and
        success, (N,) each.
        """
        middle, tip, grasp, pinch = np.moveaxis(x[:, 1:, 22:].reshape(len(x), -1, 4, 2), 2, 0)
        middle, tip = (np.hypot(np.linalg.norm(gap, axis=-1), 0.001) for gap in (middle, tip))
        held = (close(np.linalg.norm(grasp, axis=-1)) + close(np.linalg.norm(pinch, axis=-1))) / 2
        reward = np.maximum((close(middle) + close(tip)) / 2, held / 3)
        inside = np.maximum(middle, tip)[:, -1] < INSIDE
        return {"return": reward.sum(1), "distance": tip[:, -1], "success": inside.astype(float)}


def close(distance: Array) -> Array:
    """Returns dm_control's pay for a distance (m): 1 within CLOSE, and a bell that falls to 0.1 at
    MARGIN beyond.
    """
    beyond = np.maximum(distance - CLOSE, 0.0) / MARGIN
    return np.exp(np.log(0.1) * beyond**2)


def draw(model: Any, rng: np.random.Generator) -> Array:
    """Returns a start, angles of arm and hand and the peg's pose (11,), and the goal's x, z (m) and
    angle (3,).
    """
    import mujoco

    data = mujoco.MjData(model)
    holding = [
        model.body(name).id
        for name in ("peg", "pommel", "thumb", "thumbtip", "finger", "fingertip")
    ]
    limits = np.where(model.jnt_limited[:4, None], model.jnt_range[:4], [-np.pi, np.pi])
    while True:
        arm = rng.uniform(*limits.T)
        goal = rng.uniform([-0.4, 0.1, -np.pi / 3], [0.4, 0.4, np.pi / 3])
        data.mocap_pos[:] = [goal[0], 0.0, goal[1]], [goal[0], 0.001, goal[1]]
        data.mocap_quat[:] = np.cos(goal[2] / 2), 0.0, np.sin(goal[2] / 2), 0.0
        data.qpos[:8] = np.r_[arm, GRIP, GRIP]
        mujoco.mj_kinematics(model, data)
        hand, across = data.site("grasp").xpos, data.site("grasp").xmat.reshape(3, 3)[:, 0]
        data.qpos[8:] = hand[0], hand[2], np.pi - np.arctan2(across[2], across[0])
        mujoco.mj_forward(model, data)
        gap = data.site("peg_tip").xpos - data.site("target_peg_tip").xpos
        turn = (data.qpos[10] - goal[2] + np.pi) % (2 * np.pi) - np.pi
        above = gap @ [np.sin(goal[2]), 0.0, np.cos(goal[2])] > np.cos(np.pi / 4) * np.linalg.norm(
            gap
        )
        near = np.linalg.norm(gap) < NEAR and abs(turn) < TURN and above
        if near and np.isin(model.geom_bodyid[data.contact.geom], holding).all():
            return np.r_[data.qpos, goal]
