"""A person's model file, MJCF or URDF, compiled for a task: with motors where it has none, and a
marker at each goal.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lqr import InputError

from ..base.mujoco_warnings import heed

Array = np.ndarray
MARKER = "goal of "  # and the name of the site: the bodies that show the goals


class ModelFile:
    """A model file, read; `compile` makes the mujoco.MjModel.

    Raises InputError where MuJoCo refuses it, or it has nothing that could move it.
    """

    def __init__(
        self,
        file: str | Path,
        motors: Mapping[str, float] | None = None,
        compensate_gravity: bool = False,
    ):
        """`motors` are torques (N m) or forces (N) by the joints' names: each gets a motor whose
        control is within them. `compensate_gravity` holds the weight of all links, as most robots'
        own controllers do; what moves freely falls.
        """
        import mujoco

        heed()
        self.path = Path(file).absolute()
        if not self.path.is_file():
            raise InputError(
                f"got the model {self.path}, which is not there; expected MJCF or URDF"
            )
        try:
            self.spec = mujoco.MjSpec.from_file(str(self.path))
        except ValueError as error:
            raise InputError(
                f"MuJoCo refuses {self.path}; expected MJCF or URDF: {error}"
            ) from None
        self.is_urdf = _is_urdf(self.path)
        if self.is_urdf:
            self.spec.compiler.fusestatic = False  # a tool is a link, too, and has a name
        plain = self.compile()
        self.text = self._text()
        if motors is None and self.is_urdf and plain.nu == 0:
            motors = _efforts(mujoco, plain)
        for name, most in (motors or {}).items():
            self._add_motor(mujoco, plain, name, most)
        if compensate_gravity:
            self._hold_weight(mujoco, self.spec.worldbody)
        if plain.nu == 0 and not motors:
            named = ", ".join(names_of(plain, "joint", plain.njnt)) or "none"
            raise InputError(
                f"{self.path} has no actuators; expected some in the file, or motors={{JOINT: TORQUE}} "
                f"with the joints {named}"
                + (", or an effort above 0 in each <limit>" * self.is_urdf)
            )

    def add_marker(self, site: str, size: float) -> None:
        """Adds a ball of this radius (m) that touches nothing, which shows where the site is to be."""
        import mujoco

        body = self.spec.worldbody.add_body(name=MARKER + site, mocap=True)
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[size, 0, 0],
            contype=0,
            conaffinity=0,
            mass=0,
            rgba=[0.86, 0.16, 0.24, 0.6],
        )

    def compile(self) -> Any:
        """Returns the mujoco.MjModel."""
        try:
            return self.spec.compile()
        except ValueError as error:
            raise InputError(
                f"MuJoCo refuses {self.path}; expected MJCF or URDF: {error}"
            ) from None

    def _text(self) -> str:
        """Returns what the file says; where it includes others, as one text, by MuJoCo's hand."""
        text = self.path.read_text(encoding="utf-8", errors="replace")
        return str(self.spec.to_xml()) if "<include" in text else text

    def _hold_weight(self, mujoco: Any, body: Any) -> None:
        """Compensates the weight of the bodies in this one, and so on, but not of what is free."""
        for part in body.bodies:
            if not any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in part.joints):
                part.gravcomp = 1.0
                self._hold_weight(mujoco, part)

    def _add_motor(self, mujoco: Any, plain: Any, name: str, most: float) -> None:
        known = names_of(plain, "joint", plain.njnt)
        if name not in known or not is_single(mujoco, plain, known.index(name)):
            raise InputError(
                f"got a motor of {name!r}; expected a hinge or a slide of {', '.join(known)}"
            )
        if not 0 < most < np.inf:
            raise InputError(f"got a motor of {name!r} of {most}; expected a number above 0")
        motor = self.spec.add_actuator(name=name, target=name)
        motor.trntype = mujoco.mjtTrn.mjTRN_JOINT
        motor.ctrlrange, motor.ctrllimited = [-most, most], True


def names_of(model: Any, kind: str, count: int) -> list[str]:
    """Returns the names of the model's things of a kind, such as "joint"; one without a name has
    the kind and its number.
    """
    look_up = getattr(model, kind)
    return [look_up(i).name or f"{kind} {i}" for i in range(count)]


def digest(model: Any) -> str:
    """Returns the SHA-256 of a compiled model, of whatever files it was made."""
    import mujoco

    content = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, content)
    return hashlib.sha256(content.tobytes()).hexdigest()


def ctrl_limits(model: Any) -> tuple[Array, Array]:
    """Returns the lowest and the highest control, (nu,) each; infinite where there is none.

    A motor without a range of controls is limited by its force range, and by that of its joint.
    """
    import mujoco

    low, high = np.full(model.nu, -np.inf), np.full(model.nu, np.inf)
    gain = model.actuator_gainprm[:, 0]
    for i in range(model.nu):
        if model.actuator_ctrllimited[i]:
            low[i], high[i] = model.actuator_ctrlrange[i]
            continue
        if not is_motor(mujoco, model, i) or not gain[i]:
            continue
        ranges = [model.actuator_forcerange[i]] if model.actuator_forcelimited[i] else []
        joint, gear = joint_of(mujoco, model, i), model.actuator_gear[i, 0]
        if joint is not None and model.jnt_actfrclimited[joint] and gear:
            ranges.append(np.sort(model.jnt_actfrcrange[joint] / gear))
        for least, most in ranges:
            a, b = sorted((least / gain[i], most / gain[i]))
            low[i], high[i] = max(low[i], a), min(high[i], b)
    return low, high


def is_motor(mujoco: Any, model: Any, i: int) -> bool:
    """Returns whether actuator i's force is its control times a constant, at once."""
    return bool(
        model.actuator_gaintype[i] == mujoco.mjtGain.mjGAIN_FIXED
        and model.actuator_biastype[i] == mujoco.mjtBias.mjBIAS_NONE
        and model.actuator_dyntype[i] == mujoco.mjtDyn.mjDYN_NONE
    )


def joint_of(mujoco: Any, model: Any, i: int) -> int | None:
    """Returns the hinge or slide that actuator i drives; None where it drives anything else."""
    through = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
    joint = int(model.actuator_trnid[i, 0])
    if int(model.actuator_trntype[i]) not in through or not is_single(mujoco, model, joint):
        return None
    return joint


def is_single(mujoco: Any, model: Any, joint: int) -> bool:
    """Returns whether a joint is a hinge or a slide."""
    kinds = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
    return int(model.jnt_type[joint]) in kinds


def _efforts(mujoco: Any, model: Any) -> dict[str, float]:
    """Returns the effort limits of a URDF's joints."""
    names: Sequence[str] = names_of(model, "joint", model.njnt)
    return {
        name: float(model.jnt_actfrcrange[j, 1])
        for j, name in enumerate(names)
        if model.jnt_actfrclimited[j] and model.jnt_actfrcrange[j, 1] > 0
    }


def _is_urdf(path: Path) -> bool:
    from xml.etree import ElementTree

    try:
        return ElementTree.parse(path).getroot().tag == "robot"
    except ElementTree.ParseError:  # MuJoCo has read it
        return False
