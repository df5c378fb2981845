"""Fields of a model that differ from condition to condition: where a body stands, what it weighs.

{"body_pos": {"socket": [(0.5, 0.1, 0.2), (0.5, -0.1, 0.2)]}}      (C, 3), or (3,) in all
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lqr import InputError

from ..base.mujoco_batch import MujocoBatch
from .mjcf_model import names_of

Array = np.ndarray
OWNERS = {  # how the names of MjModel's fields begin -> a kind of thing, and how many there are
    "body": ("body", "nbody"),
    "geom": ("geom", "ngeom"),
    "site": ("site", "nsite"),
    "jnt": ("joint", "njnt"),
    "actuator": ("actuator", "nu"),
    "tendon": ("tendon", "ntendon"),
}


class Fields:
    """The values, (1 or C, ...) each, of entries of MjModel's fields; `count` is C, 1 where none
    differ.
    """

    def __init__(self, model: Any, said: Mapping[str, Mapping[str, Any]]):
        self._values: list[tuple[str, int, Array]] = []
        self._mocap: list[tuple[str, int, Array]] = []
        counts = {1}
        for field, entries in said.items():
            for name, value in entries.items():
                index, shape = _entry(model, field, name)
                values = _values(field, name, value, shape)
                counts.add(len(values))
                self._values.append((field, index, values))
                mocap = model.body_mocapid[index] if field.startswith("body") else -1
                moved = {"body_pos": "mocap_pos", "body_quat": "mocap_quat"}.get(field)
                if moved and mocap >= 0:  # MjData has its own place
                    self._mocap.append((moved, int(mocap), values))
        if len(counts) > 2:
            raise InputError(
                f"fields have values for {sorted(counts - {1})} conditions; expected one number of them"
            )
        self.count = max(counts)

    def __bool__(self) -> bool:
        return bool(self._values)

    def put(self, sim: MujocoBatch, conditions: Array) -> None:
        """Gives simulation i the values of conditions[i]."""
        for field, index, values in self._values:
            sim.put(field, index, values[conditions % len(values)])
        if self._values:
            sim.follow()
        for field, index, values in self._mocap:
            sim.field(field)[:, index] = values[conditions % len(values)]


def _entry(model: Any, field: str, name: str) -> tuple[int, tuple[int, ...]]:
    kind, number = OWNERS.get(field.partition("_")[0], ("", ""))
    array = getattr(model, field, None)
    if not kind or not isinstance(array, np.ndarray):
        raise InputError(
            f"got the field {field!r}; expected one of mujoco.MjModel that begins with {', '.join(OWNERS)}"
        )
    names = names_of(model, kind, getattr(model, number))
    if name not in names or len(array) != len(names):
        raise InputError(f"got {field} of {name!r}; expected one of {', '.join(names)}")
    return names.index(name), array.shape[1:]


def _values(field: str, name: str, value: Any, shape: tuple[int, ...]) -> Array:
    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError):
        found = np.full(0, np.nan)
    if found.shape == shape:
        found = found[None]
    if found.shape[1:] != shape or not len(found) or not np.isfinite(found).all():
        raise InputError(
            f"{field} of {name} has shape {found.shape}; expected finite numbers {shape}, or (C, ...) of them"
        )
    return found
