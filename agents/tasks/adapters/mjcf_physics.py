"""A step of a person's model from any state: planned in as the ground truth, and believed by the
prior `simulator`.
"""

from typing import Any

import numpy as np

from ..base.mujoco_batch import MujocoBatch, OneStep
from .mjcf_layout import Layout

Array = np.ndarray


class Physics:
    """Physical states s = [positions, velocities, activations, places of the goals (3G), 0 where
    another point tells].
    """

    def __init__(self, sim: MujocoBatch, layout: Layout):
        self._sim, self._layout = sim, layout
        self._fixed = layout.fixed()

    def to_physical(self, x: Array) -> Array:
        """Returns s (..., d) of states x (..., dx)."""
        flat = np.reshape(x, (-1, self._layout.dx))
        self._start(flat[:, : self._layout.gaps.start])
        targets = self._fixed * (self._layout.ends(self._sim) - flat[:, self._layout.gaps])
        s = np.concatenate([flat[:, : self._layout.gaps.start], targets], 1)
        return s.reshape(*np.shape(x)[:-1], -1)

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s (..., d) one step after s (..., d) under actions u (..., du), NaN where it
        diverged.
        """
        flat, act = np.reshape(s, (-1, np.shape(s)[-1])), np.reshape(u, (-1, np.shape(u)[-1]))
        self._start(flat)
        self._sim.advance(act)
        after = np.concatenate([self._moving(), flat[:, self._layout.gaps.start :]], 1)
        return np.where(self._sim.diverged[:, None], np.nan, after).reshape(np.shape(s))

    def states(self, s: Array) -> Array:
        """Returns x (..., dx) of s (..., d)."""
        flat = np.reshape(s, (-1, np.shape(s)[-1]))
        sound = np.isfinite(flat).all(1, keepdims=True)
        flat = np.where(sound, flat, 0.0)
        self._start(flat)
        x = self._layout.read(self._sim, flat[:, self._layout.gaps.start :])
        return np.where(sound, x, np.nan).reshape(*np.shape(s)[:-1], -1)

    def _start(self, s: Array) -> None:
        place = self._layout
        more = {"act": s[:, place.act]} if place.act.stop > place.act.start else {}
        self._sim.start(s[:, place.qpos], s[:, place.qvel], **more)

    def _moving(self) -> Array:
        place, sim = self._layout, self._sim
        parts = [sim.field("qpos"), sim.field("qvel")]
        parts += [sim.field("act")] if place.act.stop > place.act.start else []
        return np.concatenate(parts, 1)


class Simulator:
    """One step from any state, for the prior `simulator`: all masses, rotors' inertias and dampings
    may be wrong, by a factor each.
    """

    def __init__(self, sim: MujocoBatch, physics: Physics, layout: Layout):
        model = sim.model
        every: dict[str, list[tuple[str, Any]]] = {
            "mass": [("body_mass", slice(None)), ("body_inertia", slice(None))],
            "rotor inertia": [("dof_armature", slice(None))],
            "damping": [("dof_damping", slice(None))],
        }
        fields = {
            name: entries for name, entries in every.items() if getattr(model, entries[0][0]).any()
        }
        self._physics, self._layout = physics, layout
        nowhere = np.zeros(3 * len(layout.goals))  # the goals are taken off below
        self._step = OneStep(
            sim,
            place=lambda x: (x[:, layout.qpos], x[:, layout.qvel]),
            read=lambda now: layout.read(now, nowhere),
            parameters=fields,
        )
        self.parameters = self._step.parameters

    def __call__(self, x: Array, u: Array, factors: Array) -> Array:
        """Returns the states after one step, (M, dx), NaN where the simulation diverged; x (M, dx),
        u (M, du), and `factors` (M, P) on the parameters.
        """
        after = self._step(x, u, factors)
        after[:, self._layout.gaps] -= self._physics.to_physical(x)[:, self._layout.gaps]
        return after
