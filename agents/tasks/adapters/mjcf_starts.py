"""Where episodes on a person's model start: a keyframe, positions, or what a function draws; and
noise about it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lqr import InputError

from .mjcf_cost import spans
from .mjcf_model import is_single, names_of

Array = np.ndarray


class Starts:
    """`starts(conditions, rng)` returns qpos (B, nq) and qvel (B, nv); `count` is how many
    conditions differ, None where a function decides.
    """

    def __init__(self, model: Any, said: Any, noise: float):
        if not 0 <= noise < np.inf:
            raise InputError(
                f"start_noise is {noise}; expected a share of the joints' ranges, 0 or above"
            )
        self._model, self._noise = model, noise * spans(model)
        self._draw: Callable[..., Any] | None = said if callable(said) else None
        self._qpos, self._qvel = model.qpos0[None].copy(), np.zeros((1, model.nv))
        if said is None or isinstance(said, str):
            key = self._keyframe(said)
            if key is not None:
                self._qpos, self._qvel = model.key_qpos[[key]].copy(), model.key_qvel[[key]].copy()
        elif self._draw is None:
            self._qpos = self._positions(said)
        self.count = None if self._draw else len(self._qpos)

    def __call__(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns positions and velocities."""
        if self._draw is None:
            which = conditions % len(self._qpos)
            qpos = self._qpos[which]
            qvel = self._qvel[which % len(self._qvel)]
        else:
            found = [self._drawn(int(c), rng) for c in conditions]
            qpos, qvel = (np.stack([one[i] for one in found]) for i in range(2))
        return (self._moved(qpos, rng), qvel) if self._noise.any() else (qpos, qvel)

    def _keyframe(self, name: str | None) -> int | None:
        known = names_of(self._model, "key", self._model.nkey)
        if name is None:
            return 0 if known else None
        if name not in known:
            raise InputError(
                f"got the start {name!r}; expected a keyframe of the model: {', '.join(known) or 'none'}"
            )
        return known.index(name)

    def _positions(self, said: Any) -> Array:
        try:
            found = np.atleast_2d(np.array(said, dtype=float))
        except (TypeError, ValueError):
            found = np.zeros((0, 0))
        if found.ndim != 2 or found.shape[1] != self._model.nq or not np.isfinite(found).all():
            names = ", ".join(names_of(self._model, "joint", self._model.njnt))
            raise InputError(
                f"got the start {said!r}; expected positions ({self._model.nq},) or (C, {self._model.nq}) of {names}"
            )
        return found

    def _drawn(self, condition: int, rng: np.random.Generator) -> tuple[Array, Array]:
        assert self._draw is not None
        said = self._draw(condition, rng)
        qpos, qvel = said if isinstance(said, tuple) else (said, np.zeros(self._model.nv))
        qpos, qvel = np.array(qpos, dtype=float), np.array(qvel, dtype=float)
        if qpos.shape != (self._model.nq,) or qvel.shape != (self._model.nv,):
            raise InputError(
                f"start(condition, rng) returned shapes {qpos.shape}, {qvel.shape}; expected qpos "
                f"({self._model.nq},), or a tuple with qvel ({self._model.nv},)"
            )
        return qpos, qvel

    def _moved(self, qpos: Array, rng: np.random.Generator) -> Array:
        """Returns positions with noise, inside the joints' ranges."""
        import mujoco

        model, moved = self._model, qpos.copy()
        for row, noise in zip(moved, rng.standard_normal((len(qpos), model.nv)), strict=True):
            mujoco.mj_integratePos(model, row, self._noise * noise, 1.0)
        for joint in filter(partial(is_single, mujoco, model), np.flatnonzero(model.jnt_limited)):
            at = model.jnt_qposadr[joint]
            moved[:, at] = moved[:, at].clip(*model.jnt_range[joint])
        return moved
