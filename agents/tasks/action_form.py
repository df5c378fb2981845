"""The form in which an environment takes actions: the shape, the type and the limits of its space.

A policy acts with vectors (du,); what it hands out to the user of an environment is what `step`
there takes, so that its space contains it, to the last bit.
"""

from typing import Any, NamedTuple

import numpy as np

from lqr import InputError

from ..interfaces import Array, State


class ActionForm(NamedTuple):
    """Shape, type and limits of an environment's actions."""

    shape: tuple[int, ...]
    dtype: str  # "float32", say
    low: Array  # (du,), of that type
    high: Array  # (du,)

    @classmethod
    def of(cls, space: Any) -> "ActionForm":
        """Returns that of a Box of Gymnasium."""
        return cls(tuple(space.shape), space.dtype.name, np.ravel(space.low), np.ravel(space.high))

    def fitted(self, u: Array) -> Array:
        """Returns actions u (..., du) as (..., *shape), within the limits in the type itself:
        rounding leads out of none.
        """
        u = np.asarray(u)
        inside = np.clip(in_type(u, self.dtype), self.low, self.high)
        return np.asarray(inside).reshape((*u.shape[:-1], *self.shape))

    def state(self) -> State:
        """Returns what `from_state` needs."""
        return self._asdict() | {"shape": np.array(self.shape, dtype=np.int64)}

    @classmethod
    def from_state(cls, state: State) -> "ActionForm":
        """Builds the form out of `state()`. Raises LookupError, TypeError or ValueError for
        anything else.
        """
        shape, dtype = tuple(map(int, state["shape"])), np.dtype(state["dtype"])
        low, high = (np.asarray(state[name]).astype(dtype) for name in ("low", "high"))
        size = int(np.prod(shape))
        if dtype.kind != "f" or low.shape != (size,) or high.shape != (size,):
            raise InputError(f"got limits {low.shape} of {dtype}; expected ({size},) of floats")
        return cls(shape, dtype.name, low, high)


def in_type(u: Array, dtype: Any) -> Array:
    """Returns numbers in a type of floats; what is finite stays so, as its largest number."""
    most = np.finfo(dtype).max
    return np.where(np.isfinite(u), np.clip(u, -most, most), u).astype(dtype)


class HandsOut:
    """What `act` and `predict` of a policy return: actions in the form of the environment that it
    was trained in, where there is one.
    """

    form: ActionForm | None = None

    def handed_out(self, u: Array, dtype: Any = np.float64) -> Array:
        """Returns actions u (..., du) as the environment takes them, (..., *shape); as they are,
        with that type, where no form is known.
        """
        return in_type(np.asarray(u), dtype) if self.form is None else self.form.fitted(u)
