"""What the numbers of x are in a task on a person's model: their order, their names and their
units.

x = [positions, velocities, activations, each goal's vector from where the site belongs to where it
is, sensors].
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dynamics import Manifold
from lqr import InputError

from ..base.mujoco_batch import MujocoBatch
from .mjcf_goals import Goal
from .mjcf_model import is_motor, joint_of, names_of

Array = np.ndarray
AXES = ("x", "y", "z")
SENSOR_UNITS = {  # the end of mjtSensor's name -> unit
    "TOUCH": "N",
    "ACCELEROMETER": "m/s^2",
    "VELOCIMETER": "m/s",
    "GYRO": "rad/s",
    "FORCE": "N",
    "TORQUE": "N m",
    "RANGEFINDER": "m",
    "FRAMEPOS": "m",
    "FRAMELINVEL": "m/s",
    "FRAMEANGVEL": "rad/s",
    "FRAMELINACC": "m/s^2",
    "FRAMEANGACC": "rad/s^2",
    "SUBTREECOM": "m",
    "SUBTREELINVEL": "m/s",
    "BALLANGVEL": "rad/s",
}


class Layout:
    """Where things are in x (..., dx)."""

    def __init__(self, model: Any, goals: Sequence[Goal], sensors: Sequence[str]):
        import mujoco

        self.goals = tuple(goals)
        nq, nv, na, G = model.nq, model.nv, model.na, 3 * len(goals)
        ends = np.cumsum([0, nq, nv, na, G])
        self.qpos, self.qvel, self.act, self.gaps = (
            slice(int(a), int(b)) for a, b in pairwise(ends)
        )
        known = names_of(model, "sensor", model.nsensor)
        if unknown := [name for name in sensors if name not in known]:
            raise InputError(
                f"got the sensor {unknown[0]!r}; expected of the model's: {', '.join(known) or 'none'}"
            )
        chosen = [known.index(name) for name in sensors]
        self._sensors = np.concatenate(
            [np.zeros(0, int)]
            + [model.sensor_adr[i] + np.arange(model.sensor_dim[i]) for i in chosen]
        )
        self.dx = int(ends[-1]) + len(self._sensors)
        self.state_names = (
            *_joint_names(mujoco, model),
            *(f"{name} activation" for name in _active(model)),
            *(_gap_name(goal, axis) for goal in goals for axis in AXES),
            *(name for i in chosen for name in _sensor_names(mujoco, model, known[i], i)),
        )
        self.action_names = tuple(_action_name(mujoco, model, i) for i in range(model.nu))
        parts = [part for kind in model.jnt_type for part in _PARTS[int(kind)]]
        curved = "quaternion" in parts
        self.manifold = Manifold(*parts, *["real"] * (self.dx - nq)) if curved else None

    def read(self, sim: MujocoBatch, targets: Array) -> Array:
        """Returns x (B, dx) of the simulations as they are; `targets` (B, 3G) or (3G,) of the goals,
        0 where another point tells.
        """
        q, v = sim.field("qpos"), sim.field("qvel")
        parts = [q, v, sim.field("act")] if self.act.stop > self.act.start else [q, v]
        parts += [self.ends(sim) - targets]
        if len(self._sensors):
            parts += [sim.field("sensordata")[:, self._sensors]]
        return np.concatenate(parts, 1)

    def ends(self, sim: MujocoBatch) -> Array:
        """Returns where the goals' points are, in the world, or relative to the other one, (B, 3G)."""
        found = [np.zeros((len(sim.field("qpos")), 0))]
        for goal in self.goals:
            here = sim.field(goal.point.field)[:, goal.point.number]
            if goal.other is not None:
                here = here - sim.field(goal.other.field)[:, goal.other.number]
            found.append(here)
        return np.concatenate(found, 1)

    def fixed(self) -> Array:
        """Returns which of the numbers of `ends` are in the world, (3G,) bool."""
        return np.repeat([goal.other is None for goal in self.goals], 3).astype(bool)


_PARTS = {  # mjtJoint -> the parts of its positions, as a manifold has them
    0: ["real"] * 3 + ["quaternion"],
    1: ["quaternion"],
    2: ["real"],
    3: ["real"],
}


def _joint_names(mujoco: Any, model: Any) -> list[str]:
    kinds, positions, rates = mujoco.mjtJoint, list[str](), list[str]()
    for name, kind in zip(names_of(model, "joint", model.njnt), model.jnt_type, strict=True):
        if kind == kinds.mjJNT_FREE:
            positions += [f"{name} {axis} (m)" for axis in AXES]
            rates += [f"{name} rate {axis} (m/s)" for axis in AXES]
        if kind == kinds.mjJNT_FREE or kind == kinds.mjJNT_BALL:  # an enum, so not `in`
            positions += [f"{name} quaternion {part}" for part in ("w", *AXES)]
            rates += [f"{name} turning {axis} (rad/s)" for axis in AXES]
        else:
            unit = "rad" if kind == kinds.mjJNT_HINGE else "m"
            positions.append(f"{name} ({unit})")
            rates.append(f"{name} rate ({unit}/s)")
    return positions + rates


def _active(model: Any) -> list[str]:
    names = names_of(model, "actuator", model.nu)
    return [name for i, name in enumerate(names) for _ in range(model.actuator_actnum[i])]


def _gap_name(goal: Goal, axis: str) -> str:
    return f"{goal.point.name} - {goal.other.name if goal.other else 'goal'} {axis} (m)"


def _sensor_names(mujoco: Any, model: Any, name: str, i: int) -> list[str]:
    kind = mujoco.mjtSensor(model.sensor_type[i]).name.removeprefix("mjSENS_")
    unit = SENSOR_UNITS.get(kind, "")
    joint = int(model.sensor_objid[i])
    if kind in ("JOINTPOS", "JOINTVEL"):
        length = "rad" if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE else "m"
        unit = length + "/s" * (kind == "JOINTVEL")
    tail = f" ({unit})" if unit else ""
    count = int(model.sensor_dim[i])
    axes = AXES if count == 3 else tuple(map(str, range(count)))
    return [f"{name}{tail}"] if count == 1 else [f"{name} {axis}{tail}" for axis in axes]


def _action_name(mujoco: Any, model: Any, i: int) -> str:
    """Returns the actuator's name, with the unit of its control where that is known."""
    name, joint = names_of(model, "actuator", model.nu)[i], joint_of(mujoco, model, i)
    if joint is None:
        return name
    hinge = model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE
    if is_motor(mujoco, model, i):
        force = float(model.actuator_gear[i, 0] * model.actuator_gainprm[i, 0])
        unit = "N m" if hinge else "N"
        return f"{name} ({unit})" if force == 1 else f"{name} ({force:g} {unit} each)"
    bias = model.actuator_biasprm[i]
    gear_one = model.actuator_gear[i, 0] == 1
    if (
        model.actuator_biastype[i] == mujoco.mjtBias.mjBIAS_AFFINE
        and gear_one
        and (bias[1] or bias[2])
    ):
        length = "rad" if hinge else "m"
        return f"{name} ({length})" if bias[1] else f"{name} ({length}/s)"
    return name
