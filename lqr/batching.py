"""Leading axes: any number of them is flattened to one batch axis before a kernel, and restored
after it.

On the way every array is checked, once, so that kernels need not.
"""

import math
import operator
from functools import lru_cache
from typing import Any

import numpy as np
from numba import config

from .errors import InputError
from .kernels.inspection import _covariances, _finite, _inspect, _mirrored
from .types import (
    Array,
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    LinearGaussianObservation,
    QuadraticCost,
    QuadraticValue,
    TrajectoryDistribution,
)

AXES = {  # S = T + 1 and n = x + u; what is not named here is a batch axis
    Gaussian: ("x", "xx"),
    LinearGaussianController: ("Tux", "Tu", "Tuu"),
    LinearGaussianDynamics: ("Txn", "Tx", "Txx"),
    LinearGaussianObservation: ("Sox", "So", "Soo"),
    QuadraticCost: ("Snn", "Sn", "S"),
    QuadraticValue: ("Sxx", "Sx", "S"),
    TrajectoryDistribution: ("Sn", "Snn"),
}
KINDS: dict[str, Any] = {  # what the arguments of this package are, by their names
    "dynamics": LinearGaussianDynamics,
    "observation": LinearGaussianObservation,
    "cost": QuadraticCost,
    "x0": Gaussian,
    "value": QuadraticValue,
    "filtered": Gaussian,
    "filtered.predicted": Gaussian,
    "distribution": TrajectoryDistribution,
    "under": TrajectoryDistribution,
    **dict.fromkeys(("controller", "anchor", "p", "q"), LinearGaussianController),
}
SYMMETRIC = {"V": False, "C": False, "cov": True}  # and must it be positive semi-definite?
MEANING = "T steps, S = T+1, x states, u actions, n = x+u, o observations"
PROBLEMS = (
    "",
    "not symmetric; use 0.5 * (A + A')",
    "not positive semi-definite; raise its diagonal, or check its sign",
)


def flatten(names: tuple[str, ...], *tuples: Any) -> tuple[tuple[int, ...], list[list[Array]]]:
    """Returns the common leading axes, and the fields of each tuple with one batch axis, contiguous
    float64.

    `names` are those of the caller's arguments; the table KINDS says what each must be. Raises
    InputError, with the name and the index, if an argument is of another kind, shapes do not fit,
    an entry is not a finite number, or a matrix is not symmetric or, for a covariance, not positive
    semi-definite: entry (i, j) to 1e-6 and 1e-8 of sqrt(a_ii a_jj), so that no unit hides another.
    """
    for name, given in zip(names, tuples, strict=True):
        if type(given) is not KINDS[name]:
            of_kind(name, given, KINDS[name])
    fields = [a for t in tuples for a in t]
    axes_of = _named_axes(names)
    for index, a in enumerate(fields):
        if type(a) is not np.ndarray or a.dtype != np.float64:
            fields[index] = numbers(axes_of[index][0], a)
    lead = _common_lead(names, tuple([a.shape for a in fields]))
    flat = []
    for (name, axes, matrices, definite), a in zip(axes_of, fields, strict=True):
        whole = own = with_batch(a, lead, len(axes))
        if a.ndim - len(axes) != len(lead) or a.shape[: len(lead)] != lead:
            own = with_batch(a, a.shape[: a.ndim - len(axes)], len(axes))
        if not _well(own, matrices, definite):
            _explain(name, own, a.shape, matrices, definite)
        flat.append(whole)
    rest = iter(flat)
    return lead, [[next(rest) for _ in t] for t in tuples]


def of_kind(name: str, given: Any, kind: Any) -> None:
    """Raises InputError unless the argument is the tuple that it should be."""
    if not isinstance(given, kind):
        raise InputError(
            f"{name} is {_described(given)}; expected {kind.__name__}({', '.join(kind._fields)})"
        )


def callable_of(name: str, given: Any, signature: str) -> None:
    """Raises InputError unless the argument can be called."""
    if not callable(given):
        raise InputError(f"{name} is {_described(given)}; expected a function {signature}")


def whole(name: str, given: Any, least: int) -> int:
    """Returns the argument as an int. Raises InputError unless it is a whole number that large."""
    try:
        number = operator.index(given)
    except TypeError:
        number = least - 1
    if isinstance(given, bool) or number < least:
        raise InputError(f"{name} is {_described(given)}; expected a whole number from {least} on")
    return number


def truth(name: str, given: Any, *others: Any) -> Any:
    """Returns the argument, a truth value or one of `others`, as Python's own. Raises InputError for
    anything else.
    """
    if isinstance(given, bool | np.bool_):
        return bool(given)
    known = None if given is None else given if isinstance(given, str) else others
    if known not in others:
        words = ", ".join(map(repr, (True, False, *others)))
        raise InputError(f"{name} is {_described(given)}; expected one of {words}")
    return given


def truths(name: str, given: Any) -> Array:
    """Returns an array of truth values. Raises InputError for anything else."""
    found = given if isinstance(given, np.ndarray | bool | np.bool_ | list) else None
    array = np.asarray(found)
    if array.dtype != bool:
        raise InputError(
            f"{name} is {_described(given)}; expected True, False, or an array of them"
        )
    return array


def share(name: str, given: Any) -> float:
    """Returns the argument as a float. Raises InputError unless it is above 0 and below 1."""
    value = number(name, given)
    if not 0 < value < 1:
        raise InputError(f"{name} is {value}; expected a number above 0 and below 1")
    return value


def vector(name: str, a: Any) -> Array:
    """Returns vectors (..., d) as float64. Raises InputError for anything else."""
    array = finite(name, a)
    if array.ndim < 1 or array.size == 0:
        raise InputError(f"{name} has shape {array.shape}; expected vectors (..., d)")
    return array


def number(name: str, given: Any, least: float = 0.0) -> float:
    """Returns the argument as a float. Raises InputError unless it is finite and at least that."""
    array = numbers(name, given)
    if array.ndim or not least <= array < math.inf or not math.isfinite(array):
        raise InputError(
            f"{name} is {_described(given)}; expected a finite number of at least {least:g}"
        )
    return float(array)


def _described(given: Any) -> str:
    """Returns the kind of an argument in a few words, and the value of a short one."""
    if isinstance(given, bool | int | float | str | None):
        return repr(given)
    shape = f" of shape {given.shape}" if isinstance(given, np.ndarray) else ""
    return f"a {type(given).__name__}{shape}"


@lru_cache
def _named_axes(names: tuple[str, ...]) -> list[tuple[str, str, bool, bool]]:
    """Returns, for each field: its name, its axes, and whether it is a symmetric and a definite
    matrix.
    """
    return [
        (f"{name}.{field}", axes, field in SYMMETRIC, SYMMETRIC.get(field, False))
        for name in names
        for field, axes in zip(KINDS[name]._fields, AXES[KINDS[name]], strict=True)
    ]


@lru_cache(maxsize=1024)
def _common_lead(names: tuple[str, ...], shapes: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """Returns the leading axes that all fields broadcast to, after a check of their sizes."""
    named = [
        (name, axes, shape)
        for (name, axes, *_), shape in zip(_named_axes(names), shapes, strict=True)
    ]
    _check_sizes(named)
    try:
        return np.broadcast_shapes(*(shape[: len(shape) - len(axes)] for _, axes, shape in named))
    except ValueError as error:
        got = {name: shape for name, _, shape in named}
        raise InputError(f"leading axes do not broadcast: {got}; make them equal or 1") from error


def _well(stack: Array, matrices: bool, definite: bool) -> bool:
    """Are all numbers finite, and all matrices what they should be?"""
    if matrices:
        flat = stack.reshape(-1, *stack.shape[-2:])
        return _plain(flat, definite) or _inspect(flat, True, definite)[0] == 0
    return all_finite(stack)


def _plain(stack: Array, definite: bool) -> bool:
    """Are matrices well, as can be seen at once? Where they are not `_inspect` judges, which need
    not be compiled till then.
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return False
    return _covariances(stack) if definite else _mirrored(stack) and all_finite(stack)


def all_finite(a: Array) -> bool:
    """Are all numbers of a contiguous float64 array finite?"""
    return _finite(a.reshape(-1).view(np.int64))


def _explain(
    name: str, stack: Array, shape: tuple[int, ...], matrices: bool, definite: bool
) -> None:
    """Raises InputError, with the index in an array of that shape."""
    if not np.isfinite(stack).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(stack.reshape(shape)))[0])
        raise InputError(
            f"{name} is {stack.reshape(shape)[place]} at index {place}; expected finite numbers"
        )
    code, where = _inspect(stack.reshape(-1, *shape[-2:]), matrices, definite)
    place = tuple(int(i) for i in np.unravel_index(where, shape[:-2]))
    which = f" at index {place} (batch axes, then the step)" if place else ""
    raise InputError(f"{name}{which} is not as expected: {PROBLEMS[code - 1]}")


def numbers(name: str, a: Any) -> Array:
    """Returns the argument as float64. Raises InputError unless it is an array of real numbers."""
    if hasattr(a, "_fields") or callable(a):
        raise InputError(f"{name} is {_described(a)}; expected an array of real numbers")
    try:
        array = np.asarray(a)
        if array.dtype.kind not in "fiu":  # a truth value is no number
            raise TypeError(f"dtype {array.dtype}")
        return array.astype(float, copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} is no array of real numbers ({error}); expected float64"
        ) from error


def finite(name: str, a: Any) -> Array:
    """Returns the argument as float64. Raises InputError, with the index, unless all numbers are
    finite.
    """
    array = numbers(name, a)
    good = np.isfinite(array)
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        raise InputError(f"{name} is {array[place]} at index {place}; expected finite numbers")
    return array


def symmetric(name: str, a: Any, definite: bool = False) -> Array:
    """Returns matrices (..., d, d) as float64. Raises InputError, with the index, for what
    `flatten` refuses too.
    """
    array = numbers(name, a)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.size == 0:
        raise InputError(f"{name} has shape {array.shape}; expected square matrices (..., d, d)")
    own = with_batch(array, array.shape[:-2], 2)
    if not _well(own, True, definite):
        _explain(name, own, array.shape, True, definite)
    return array


def _check_sizes(named: list[tuple[str, str, tuple[int, ...]]]) -> None:
    """Raises InputError unless every axis has one size in all the fields."""
    size: dict[str, tuple[int, str]] = {}
    for name, axes, shape in named:
        if len(shape) < len(axes):
            raise InputError(
                f"{name} has shape {shape}; expected (..., {', '.join(axes)}) with {MEANING}"
            )
        for axis, got in zip(axes, shape[len(shape) - len(axes) :], strict=True):
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
                raise InputError(
                    f"{name} has shape {shape}: {axis} is {got}; expected {want} ({MEANING})"
                )
            size.setdefault(axis, (got, name))


def with_batch(a: Array, lead: tuple[int, ...], core: int) -> Array:
    """Broadcasts to the leading axes and flattens them into one; writable, lest kernels are
    compiled for views too.
    """
    rest = a.shape[a.ndim - core :]
    if (
        a.shape == lead + rest
        and a.dtype == np.float64
        and a.flags.c_contiguous
        and a.flags.writeable
    ):
        return a.reshape((-1, *rest))
    whole = a if a.shape == lead + rest else np.broadcast_to(a, lead + rest)
    return np.require(whole.reshape((-1, *rest)), dtype=float, requirements=["C", "W"])


def temperatures(
    value: float | Array, lead: tuple[int, ...], T: int, name: str = "temperature"
) -> Array:
    """Returns a weight for each problem and step, (B, T), from a number or (..., T).

    Raises InputError where it is not a finite number of at least 0, or has another shape.
    """
    if type(value) in (float, int) and 0 <= value < math.inf:
        return np.full((math.prod(lead), T), float(value))
    given = numbers(name, value)
    try:
        flat = with_batch(np.broadcast_to(given, (*lead, T)), lead, 1)
    except ValueError as error:
        raise InputError(
            f"{name} has shape {given.shape}; expected a number or {(*lead, T)}"
        ) from error
    good = np.isfinite(given) & (given >= 0)
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        raise InputError(
            f"{name} is {given[place]} at index {place}; expected finite numbers of at least 0"
        )
    return flat


def positive(
    name: str, value: float | Array, lead: tuple[int, ...], core: tuple[int, ...] = ()
) -> Array:
    """Returns the argument with one batch axis before `core`. Raises InputError unless all is
    finite and above 0.
    """
    given = numbers(name, value)
    good = np.isfinite(given) & (given > 0)
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        raise InputError(
            f"{name} is {given[place]} at index {place}; expected finite numbers above 0"
        )
    try:
        return with_batch(np.broadcast_to(given, lead + core), lead, len(core))
    except ValueError as error:
        raise InputError(
            f"{name} has shape {given.shape}; expected a number or {lead + core}"
        ) from error


def restore(lead: tuple[int, ...], *arrays: Array) -> list[Array]:
    """Undoes the flattening: the first axis becomes the leading axes again."""
    return [a.reshape(lead + a.shape[1:]) for a in arrays]
