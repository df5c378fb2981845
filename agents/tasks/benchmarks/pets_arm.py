"""The reaching and the pushing task of PETS (Chua et al. 2018): an arm of 7 joints, episodes of 150
steps.

The reacher's x = o = [7 angles (rad), 7 velocities (rad/s), target (3, m)], a new target at each
reset, and its reward -|tip - target|^2 - 0.01 |u|^2 after each step, with motors of up to 20 Nm.
The tip's place follows from the angles.

The pusher is Gymnasium's model with the starts and the reward of PETS, -1.25 |object - goal|_1 -
0.5 |object - tip|_1 - 0.1 |u|^2 of the state before each step; its x is that of
`agents.tasks.mujoco.pusher`. Its object has inertia by its mass, not by its joints' armature. That
moves alike, but MuJoCo from version 3 on sizes the stiffness of a contact by mass alone, so that
the arm of Gymnasium's model goes through the object, which it pushed when PETS's figures were made.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lqr.cost_terms import Parts, Term
from lqr.costs import Action

from ...settings import Count
from ..base.mujoco_task import ModelTask
from ..mujoco.pusher import Pusher
from ..mujoco.reacher import ExactCost, gymnasium_xml
from .mbbl import before_each_step

Array = np.ndarray

BEHIND = 0.06  # m: how far behind the pusher's object its tip is planned to be
INERTIA = 0.04  # kg: of the pusher's object, the armature of its joints in Gymnasium's model
XML = str(Path(__file__).parents[1] / "models" / "pets_reacher.xml")
SHOULDER, HAND = (
    -0.188,
    0.16828,
)  # m: where the arm begins, along y, and how far the tip is from the wrist
CHAIN = (
    (2, 0, 0.0),
    (1, 1, 0.1),
    (0, 2, 0.0),
    (1, 3, 0.4),
    (0, 4, 0.0),
    (1, 5, 0.321),
    (0, 6, 0.0),
)
# of each joint: the axis it turns about, its number, and the length of the link before it (m),
# along x
WEIGHTS = np.repeat([0.5, 1.25], 3)  # of the pusher's gaps, in its x


class PetsReacher(ModelTask):
    """Reach a target that is normal with 0.1 m about (0, 0.25, 0)."""

    name = "pets_reacher"
    dx, du, do = 17, 7, 17

    def __init__(self, conditions: Count = 1, horizon: Count = 150):
        super().__init__(XML, 2, conditions, horizon)
        self.cost = Missed(np.r_[0.0, np.ones(horizon)]) + Action(0.02)

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns the outstretched arm at rest, and a target."""
        qpos, qvel = np.zeros((2, len(conditions), 10))
        qpos[:, 7:] = [0.0, 0.25, 0.0] + 0.1 * rng.standard_normal((len(conditions), 3))
        return qpos, qvel

    def states(self) -> Array:
        """Returns x (B, 17)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        return np.concatenate([q[:, :7], v[:, :7], q[:, 7:]], 1)

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions and velocities of x (B, 17)."""
        return np.concatenate([x[:, :7], x[:, 14:]], 1), np.concatenate(
            [x[:, 7:14], np.zeros((len(x), 3))], 1
        )

    def observe(self) -> Array:
        """Returns x (B, 17)."""
        return self.states()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return, and the final distance of the tip to the target (m), (N,) each."""
        gap = tip(x[:, -1]) - x[:, -1, 14:]
        return {"return": -self.cost(x, u).sum(-1), "distance": np.linalg.norm(gap, axis=-1)}


def tip(x: Array) -> Array:
    """Returns where the tip is, (..., 3), at the joint angles x_0 .. x_6 of x (..., 7 or more)."""
    p = np.broadcast_to([HAND, 0.0, 0.0], (*x.shape[:-1], 3))  # in the hand
    for axis, joint, length in reversed(CHAIN):
        p = _turned(p, axis, x[..., joint])
        p[..., 0] += length
    p[..., 1] += SHOULDER
    return p


@dataclass(frozen=True)
class Missed(Term):
    """ramp_t |tip - target|^2 of the reacher's x."""

    ramp: Any = "constant"

    def _value(self, X: Array, U: Array) -> Array:
        return ((tip(X) - X[..., 14:17]) ** 2).sum(-1)

    def _parts(self, X: Array, U: Array) -> Parts:
        gap, (J, second), n = tip(X) - X[..., 14:17], _derivatives(X), X.shape[-1] + U.shape[-1]
        D, H = np.zeros((*X.shape[:-1], 3, n)), np.zeros((*X.shape[:-1], n, n))
        D[..., :7], D[..., 14:17] = J, -np.eye(3)
        H[..., :7, :7] = np.einsum("...k,...kij->...ij", gap, second)
        H += np.swapaxes(D, -1, -2) @ D
        return (gap**2).sum(-1), 2 * (gap[..., None, :] @ D)[..., 0, :], 2 * H


def _derivatives(x: Array) -> tuple[Array, Array]:
    """Returns the tip's first and second derivatives by the angles, (..., 3, 7) and (..., 3, 7, 7).

    A joint turns what follows about its axis w at a: dp/dq_j = w_j x (p - a_j), d2p/dq_i dq_j = w_i
    x dp/dq_j, i <= j.
    """
    R = np.broadcast_to(
        np.eye(3), (*x.shape[:-1], 3, 3)
    )  # its columns are the axes of the frame so far
    at, axes, places = np.broadcast_to([0.0, SHOULDER, 0.0], (*x.shape[:-1], 3)), [], []
    for axis, joint, length in CHAIN:
        at = at + length * R[..., :, 0]
        axes.append(R[..., :, axis])
        places.append(at)
        turn = _turned(
            np.broadcast_to(np.eye(3), R.shape), axis, x[..., joint, None]
        )  # its rows are the new axes
        R = R @ np.swapaxes(turn, -1, -2)
    p = at + HAND * R[..., :, 0]
    J = np.stack([np.cross(w, p - a) for w, a in zip(axes, places, strict=True)], -1)
    second = np.empty((*J.shape, 7))
    for i in range(7):
        for j in range(i, 7):
            second[..., i, j] = second[..., j, i] = np.cross(axes[i], J[..., :, j])
    return J, second


def _turned(p: Array, axis: int, angle: Array) -> Array:
    """Returns the points p (..., 3) turned about an axis."""
    out = np.array(p)
    (i, j) = ((axis + 1) % 3, (axis + 2) % 3)
    cos = np.cos(angle)
    sin = np.sin(angle)
    out[..., i], out[..., j] = cos * p[..., i] - sin * p[..., j], sin * p[..., i] + cos * p[..., j]
    return out


class PetsPusher(Pusher):
    """Push an object that lies about (0.6, -0.3) m to (0.45, -0.05) m.

    MPC plans by another cost than it is judged by: one that asks the tip for a place a bit behind
    the object, seen from the goal. Asked for the object's own place it comes from anywhere, and
    then drags the object along the wrong way.
    """

    name = "pets_pusher"

    def __init__(self, conditions: Count = 1, horizon: Count = 150):
        ModelTask.__init__(self, heavy(gymnasium_xml("pusher_v5.xml")), 4, conditions, horizon)
        self.env_id = None  # type: ignore[assignment]  # its reward is another
        self.find_bodies()
        ramp, alphas = before_each_step(horizon), (0.0, 1e-4)
        self.cost, self.planning_cost = (
            ExactCost(*(Apart(alpha, ramp, behind) + Action(0.2) for alpha in alphas))
            for behind in (0.0, BEHIND)
        )

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns the arm at rest but for small velocities, and objects that are normal with 0.025
        m.
        """
        self.objects = [-0.25, 0.15] + 0.025 * rng.standard_normal((len(conditions), 2))
        return super().starts(np.arange(len(conditions)), rng)


def heavy(xml: str) -> str:
    """Returns the pusher's model, a file, with the object's inertia in its mass instead of its
    joints' armature.
    """
    import mujoco

    spec = mujoco.MjSpec.from_file(xml)
    for joint in (thing := spec.body("object")).joints:
        joint.armature = 0.0
    (geom,) = thing.geoms
    geom.mass = INERTIA
    return spec.to_xml()


@dataclass(frozen=True)
class Apart(Term):
    """ramp_t (0.5 |object - tip + behind d|_1 + 1.25 |object - goal|_1) of the pusher's x.

    |z| is sqrt(z^2 + alpha). d is the direction from the goal to the object, which fades within
    0.05 m: with e the gap along the table, d = e / sqrt(|e|^2 + 0.05^2).
    """

    alpha: float
    ramp: Any = "constant"
    behind: float = 0.0  # m

    def _value(self, X: Array, U: Array) -> Array:
        return np.sqrt(self._gaps(X) ** 2 + self.alpha) @ WEIGHTS

    def _gaps(self, X: Array) -> Array:
        """Returns what is to be 0, (..., 6)."""
        gaps = X[..., 18:24].copy()
        if self.behind:
            gaps[..., :2] += self.behind * gaps[..., 3:5] / _length(gaps[..., 3:5])[..., None]
        return gaps

    def _parts(self, X: Array, U: Array) -> Parts:
        z, n = self._gaps(X), X.shape[-1] + U.shape[-1]
        size = np.sqrt(z**2 + self.alpha)
        g = np.zeros((*X.shape[:-1], n))
        H = np.zeros((*X.shape[:-1], n, n))
        slope, curve = WEIGHTS * z / size, WEIGHTS * self.alpha / size**3
        J = np.broadcast_to(np.eye(6), (*X.shape[:-1], 6, 6)).copy()
        if self.behind:
            first, second = _turns(X[..., 21:23])
            J[..., :2, 3:5] = self.behind * first
            H[..., 21:23, 21:23] = self.behind * np.einsum(
                "...i,...ijk->...jk", slope[..., :2], second
            )
        g[..., 18:24] = (slope[..., None, :] @ J)[..., 0, :]
        H[..., 18:24, 18:24] += np.swapaxes(J, -1, -2) @ (curve[..., None] * J)
        return size @ WEIGHTS, g, H


def _length(e: Array) -> Array:
    """Returns sqrt(|e|^2 + 0.05^2) of e (..., 2)."""
    return np.sqrt((e**2).sum(-1) + 0.05**2)


def _turns(e: Array) -> tuple[Array, Array]:
    """Returns the first and second derivatives of d = e / s, s = `_length(e)`, by e (..., 2).

    dd_i/de_j = I_ij / s - e_i e_j / s^3, (..., 2, 2), and from it the second ones, (..., 2, 2, 2).
    """
    s, one = _length(e)[..., None, None], np.eye(2)
    first = one / s - e[..., :, None] * e[..., None, :] / s**3
    pairs = one[:, :, None] * e[..., None, None, :] + one[:, None, :] * e[..., None, :, None]
    pairs = pairs + one[None] * e[..., :, None, None]
    s = s[..., None]
    return first, 3 * np.einsum("...i,...j,...k->...ijk", e, e, e) / s**5 - pairs / s**3
