"""Leading axes: any number of them is flattened to one batch axis before a kernel, and restored after it."""

from typing import Any

import numpy as np

from .errors import InputError
from .jit import kernel
from .types import (
    Array,
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    QuadraticValue,
    TrajectoryDistribution,
)

AXES = {  # S = T + 1 and n = x + u; what is not named here is a batch axis
    Gaussian: ("x", "xx"),
    LinearGaussianController: ("Tux", "Tu", "Tuu"),
    LinearGaussianDynamics: ("Txn", "Tx", "Txx"),
    QuadraticCost: ("Snn", "Sn", "S"),
    QuadraticValue: ("Sxx", "Sx", "S"),
    TrajectoryDistribution: ("Sn", "Snn"),
}
SYMMETRIC = {"V": False, "C": False, "cov": True}  # and must it be positive semi-definite?
MEANING = "T steps, S = T+1, x states, u actions, n = x+u"
PROBLEMS = (
    "",
    "not symmetric; use 0.5 * (A + A')",
    "not positive semi-definite; raise its diagonal, or check its sign",
)


def flatten(*tuples: Any) -> tuple[tuple[int, ...], list[list[Array]]]:
    """Returns the common leading axes, and the fields of each tuple with one batch axis, contiguous float64.

    Raises InputError, with the name and the index, if shapes do not fit, an entry is not a finite number, or a matrix
    is not symmetric (to 1e-6 of its largest entry) or, for a covariance, not positive semi-definite (to 1e-8).
    """
    named = [
        (f"{type(t).__name__}.{name}", axes, _numbers(f"{type(t).__name__}.{name}", a))
        for t in tuples
        for name, axes, a in zip(t._fields, AXES[type(t)], t, strict=True)
    ]
    _check_sizes(named)
    try:
        lead = np.broadcast_shapes(*(a.shape[: a.ndim - len(axes)] for _, axes, a in named))
    except ValueError as error:
        shapes = {name: a.shape for name, _, a in named}
        raise InputError(f"leading axes do not broadcast: {shapes}; make them equal or 1") from error
    for name, _, a in named:
        definite = SYMMETRIC.get(name.split(".")[1])
        square = a.shape[-2:] if definite is not None else (1, 1)
        stack = np.require(a.reshape(-1, *square), requirements=["C", "W"])
        code, where = _inspect(stack, definite is not None, bool(definite))
        if code == 1:
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
            raise InputError(f"{name} is {a[place]} at index {place}; expected finite numbers")
        if code > 1:
            place = tuple(int(i) for i in np.unravel_index(where, a.shape[:-2]))
            raise InputError(f"{name} at index {place} (batch axes, then the step) is {PROBLEMS[code - 1]}")
    flat = iter(with_batch(a, lead, len(axes)) for _, axes, a in named)
    return lead, [[next(flat) for _ in t] for t in tuples]


def _numbers(name: str, a: Any) -> Array:
    try:
        array = np.asarray(a)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"dtype {array.dtype}")
        return array.astype(float, copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no array of real numbers ({error}); expected float64") from error


def _check_sizes(named: list[tuple[str, str, Array]]) -> None:
    """Raises InputError unless every axis has one size in all the fields."""
    size: dict[str, tuple[int, str]] = {}
    for name, axes, a in named:
        if a.ndim < len(axes):
            raise InputError(f"{name} has shape {a.shape}; expected (..., {', '.join(axes)}) with {MEANING}")
        for axis, got in zip(axes, a.shape[a.ndim - len(axes) :], strict=True):
            known = {axis: size.get(axis)}
            if "n" in size and "x" in size:
                known["u"] = (size["n"][0] - size["x"][0], f"{size['n'][1]} and {size['x'][1]}")
                known["u"] = size.get("u", known["u"])
            if "u" in size and "x" in size and "n" not in size:
                known["n"] = (size["u"][0] + size["x"][0], f"{size['u'][1]} and {size['x'][1]}")
            if axis == "S" and "T" in size:
                known["S"] = (size["T"][0] + 1, size["T"][1])
            if axis == "T" and "S" in size:
                known["T"] = (size["S"][0] - 1, size["S"][1])
            expected = known.get(axis)
            if got < 1 or (expected is not None and expected[0] != got):
                want = f"{expected[0]} as in {expected[1]}" if expected else "at least 1"
                raise InputError(f"{name} has shape {a.shape}: {axis} is {got}; expected {want} ({MEANING})")
            size.setdefault(axis, (got, name))


@kernel
def _inspect(A, matrices, definite):
    """Returns a code, and which matrix: 0 well, 1 not finite, 2 not symmetric, 3 not positive semi-definite."""
    B, d, _ = A.shape
    L = np.empty((d, d))
    for b in range(B):
        largest = 0.0
        for i in range(d):
            for j in range(d):
                if not abs(A[b, i, j]) < np.inf:
                    return 1, b
                largest = max(largest, abs(A[b, i, j]))
        if not matrices:
            continue
        diagonal = True
        for i in range(d):
            for j in range(i):
                diagonal = diagonal and A[b, i, j] == 0.0
                if abs(A[b, i, j] - A[b, j, i]) > 1e-6 * largest:
                    return 2, b
        if not definite or largest == 0.0:
            continue
        for j in range(d):
            for i in range(j, d if not diagonal else j + 1):
                s = A[b, i, j]
                if not diagonal:
                    for m in range(j):
                        s -= L[i, m] * L[j, m]
                if i > j:
                    L[i, j] = s / L[j, j]
                else:
                    s += 1e-8 * largest
                    if s < 0.0:
                        return 3, b
                    L[j, j] = np.sqrt(s) if s > 0.0 else 1e-300
    return 0, 0


def with_batch(a: Array, lead: tuple[int, ...], core: int) -> Array:
    """Broadcasts to the leading axes and flattens them into one; writable, lest kernels are compiled for views too."""
    rest = a.shape[a.ndim - core :]
    whole = a if a.shape == lead + rest else np.broadcast_to(a, lead + rest)
    return np.require(whole.reshape((-1, *rest)), dtype=float, requirements=["C", "W"])


def restore(lead: tuple[int, ...], *arrays: Array) -> list[Array]:
    """Undoes the flattening: the first axis becomes the leading axes again."""
    return [a.reshape(lead + a.shape[1:]) for a in arrays]
