"""Leading axes: any number of them is flattened to one batch axis before a kernel, and restored after it."""

from typing import Any

import numpy as np

from .errors import InputError
from .types import (
    Array,
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    QuadraticValue,
    TrajectoryDistribution,
)

CORE_AXES = {  # how many axes of each field are not batch axes
    Gaussian: (1, 2),
    LinearGaussianController: (3, 2, 3),
    LinearGaussianDynamics: (3, 2, 3),
    QuadraticCost: (3, 2, 1),
    QuadraticValue: (3, 2, 1),
    TrajectoryDistribution: (2, 3),
}


def flatten(*tuples: Any) -> tuple[tuple[int, ...], list[list[Array]]]:
    """Returns the common leading axes, and the fields of each tuple with one batch axis, contiguous float64.

    Raises InputError if the leading axes of two fields do not broadcast, or an entry is not finite.
    """
    fields = [
        [(np.asarray(a, dtype=float), core) for a, core in zip(t, CORE_AXES[type(t)], strict=True)] for t in tuples
    ]
    try:
        lead = np.broadcast_shapes(*(a.shape[: a.ndim - core] for group in fields for a, core in group))
    except ValueError as error:
        shapes = [{name: np.shape(a) for name, a in t._asdict().items()} for t in tuples]
        raise InputError(f"leading axes do not broadcast: {shapes}; make them equal or 1") from error
    for t, group in zip(tuples, fields, strict=True):
        for name, (a, _) in zip(t._fields, group, strict=True):
            if not np.isfinite(a).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
                raise InputError(f"{type(t).__name__}.{name} is {a[where]} at index {where}; expected finite numbers")
    return lead, [[with_batch(a, lead, core) for a, core in group] for group in fields]


def with_batch(a: Array, lead: tuple[int, ...], core: int) -> Array:
    """Broadcasts to the leading axes and flattens them into one."""
    rest = a.shape[a.ndim - core :]
    return np.ascontiguousarray(np.broadcast_to(a, lead + rest).reshape((-1, *rest)))


def restore(lead: tuple[int, ...], *arrays: Array) -> list[Array]:
    """Undoes the flattening: the first axis becomes the leading axes again."""
    return [a.reshape(lead + a.shape[1:]) for a in arrays]
