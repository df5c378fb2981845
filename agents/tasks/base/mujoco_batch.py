"""A MuJoCo model as a task: B simulations of it in one batch, stepped by C++ threads."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from lqr import InputError

from .mujoco_warnings import heed

Array = np.ndarray
SHORTEST = 1e-9  # s, of a time step
DERIVED = ("xpos", "xquat", "site_xpos", "sensordata")  # what tasks read besides the state


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_time_step(model: Any) -> None:
    """Raises InputError for a model whose time does not go on."""
    if not SHORTEST < model.opt.timestep < np.inf:
        raise InputError(
            f"the model has a time step of {model.opt.timestep} s; expected a finite one above {SHORTEST}: "
            'say <option timestep="0.01"/>'
        )


class MujocoBatch:
    """Simulations of one model, side by side; a divergence is seen, never hidden.

    MuJoCo answers a NaN or a huge number by resetting the state in place and going on, and only
    raises a warning counter. `diverged` is True from the step on in which any counter of that
    simulation rose.
    """

    def __init__(self, xml: str, frame_skip: int, model: Any = None, current: bool = False):
        """`xml` is the path of a model file, or what would be in one; `model` what was compiled of
        it, where that is not all.

        After `advance`, sites and sensors are those of the last substep's beginning, as in
        Gymnasium; with `current`, those of the state that was reached.
        """
        if frame_skip < 1:
            raise InputError(f"frame_skip is {frame_skip}; expected 1 or more steps of the physics")
        self.xml, self.frame_skip, self._current = xml, frame_skip, current
        self._fields_differ = False  # between simulations
        if model is not None:
            self.model = model
        self._batches: dict[int, Any] = {}
        self.diverged = np.zeros(0, bool)
        # at each start: gives model fields their values in each simulation, then `follow`
        self.assign: Callable[[MujocoBatch], None] | None = None
        # and then: scales model fields, then `follow`
        self.vary: Callable[[MujocoBatch], None] | None = None

    @cached_property
    def model(self) -> Any:
        """The mujoco.MjModel."""
        import mujoco

        heed()
        written_out = self.xml.lstrip().startswith("<")
        model = (
            mujoco.MjModel.from_xml_string(self.xml)
            if written_out
            else mujoco.MjModel.from_xml_path(self.xml)
        )
        check_time_step(model)
        return model

    @property
    def dt(self) -> float:
        """Seconds per step of the task."""
        return float(self.model.opt.timestep * self.frame_skip)

    @property
    def action_limits(self) -> tuple[Array, Array]:
        """Lowest and highest action, (du,) each."""
        low, high = np.ascontiguousarray(self.model.actuator_ctrlrange.T)
        limited = np.asarray(self.model.actuator_ctrllimited, dtype=bool)
        return np.where(limited, low, -np.inf), np.where(limited, high, np.inf)

    def start(self, qpos: Array, qvel: Array, **fields: Array) -> None:
        """Begins len(qpos) simulations at positions (B, nq), velocities (B, nv) and other MjData
        fields (B, ...).
        """
        B = len(qpos)
        if B < 1:
            raise InputError("got 0 simulations; expected at least 1")
        self._batch = self._batches.get(B) or self._new_batch(B)
        self._batch.reset()
        for change in (self.assign, self.vary):
            if change:
                change(self)
        for name, value in {"qpos": qpos, "qvel": qvel, **fields}.items():
            self.field(name)[:] = value
        for (
            name
        ) in DERIVED:  # an array that is bound after forward() holds zeros until the next step
            self.field(name)
        self._warnings = self._batch.warning.copy()
        self._batch.forward()  # answers a start that is NaN or huge by a reset, too
        self.diverged = (self._batch.warning[..., 1] != self._warnings[..., 1]).any(-1)
        self._warnings = self._batch.warning.copy()

    def advance(self, u: Array) -> None:
        """Applies controls u (B, nu) for one step."""
        self.field("ctrl")[:] = u
        if self._current:
            from mujoco import mjtStage

            self._batch.step(nstep=self.frame_skip, stage=mjtStage.mjSTAGE_VEL)
        else:
            self._batch.step(nstep=self.frame_skip)
        fresh = (self._batch.warning[..., 1] != self._warnings[..., 1]).any(-1) | ~np.isfinite(
            u
        ).all(-1)
        self.diverged = self.diverged | fresh  # a new array: callers keep the old one

    def field(self, name: str) -> Array:
        """Returns the live (B, ...) array of an MjData field."""
        return self._batch.bind(name)

    def scale(self, field: str, index: int | slice | Sequence[int], factor: Array) -> None:
        """Makes simulation i's entries of an MjModel field those of the model times factor[i], (B,)
        or (B, entries).
        """
        nominal = np.asarray(getattr(self.model, field)[index])
        self._batch.expand(field)[:, index] = nominal * factor.reshape(
            *factor.shape, *[1] * (nominal.ndim + 1 - factor.ndim)
        )
        self._fields_differ = True

    def put(self, field: str, index: int | slice, values: Array) -> None:
        """Makes simulation i's entries of an MjModel field values[i], (B, ...)."""
        self._batch.expand(field)[:, index] = values
        self._fields_differ = True

    def follow(self) -> None:
        """Computes the constants that follow from the model fields that were scaled."""
        self._batch.set_const()

    def data(self, i: int) -> Any:
        """Returns simulation i as an MjData, for rendering."""
        import mujoco

        data = self._batch.get_data(i)
        own = self._batch.get_model(i) if self._fields_differ else self.model
        mujoco.mj_forward(own, data)
        return data

    def another(self) -> "MujocoBatch":
        """Returns what simulates the same model on its own, as the model file has it."""
        return MujocoBatch(self.xml, self.frame_skip, self.model, self._current)

    def _new_batch(self, B: int) -> Any:
        from mujoco.batch import Batch

        if len(self._batches) >= 4:  # training and testing alternate between a few sizes
            self._batches.pop(next(iter(self._batches)))
        threads = min(usable_cores(), max(1, B // 10))
        self._batches[B] = Batch(self.model, B, nthread=threads)
        return self._batches[B]


class OneStep:
    """One step of a task's model from any state, with its physical parameters scaled: for the prior
    `simulator`.

    `place(x)` returns (qpos, qvel) of states x (M, dx), and `read(simulations)` returns x again.
    `parameters` names what may be wrong in the model: fields of mjModel and their indices, which
    one factor multiplies. `believed` holds factors by which the model at hand differs from the
    model file, by the parameters' names.
    """

    def __init__(
        self,
        simulations: MujocoBatch,
        place: Callable[[Array], tuple[Array, Array]],
        read: Callable[[MujocoBatch], Array],
        parameters: Mapping[str, Sequence[tuple[str, Any]]],
        believed: Mapping[str, float] | None = None,
    ):
        self._sim = simulations
        self._place = place
        self._read = read
        self._fields = dict(parameters)
        self.parameters = tuple(parameters)
        believed = dict(believed or {})
        if unknown := set(believed) - set(parameters):
            raise InputError(
                f"got factors of {', '.join(sorted(unknown))}; expected of {', '.join(parameters)}"
            )
        self._believed = np.array([believed.get(name, 1.0) for name in parameters])

    def __call__(self, x: Array, u: Array, factors: Array) -> Array:
        """Returns the states after one step, (M, dx), NaN where the simulation diverged.

        x (M, dx), u (M, du), and `factors` (M, P) on the parameters.
        """
        self._sim.start(*self._place(x))
        for fields, factor in zip(self._fields.values(), (self._believed * factors).T, strict=True):
            for field, index in fields:
                self._sim.scale(field, index, factor)
        self._sim.follow()
        self._sim.advance(u)
        return np.where(self._sim.diverged[:, None], np.nan, self._read(self._sim))
