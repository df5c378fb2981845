"""Smooth dynamics x' = f(x, u), rolled out and differentiated for a batch, in Python or compiled by
numba.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numba import njit

from .batching import callable_of
from .errors import InputError
from .kernels.ilqr_backward import DIFFERENTIATE, ROLL
from .kernels.jit import pointer
from .types import Array
from .user_functions import guarded, real

FIRST = 6e-6  # steps of first and second differences where |x| <= 1, each the power of the
SECOND = 1e-4  # rounding, 1/3 and 1/4, at which truncation meets it
FAR = 100.0
Dynamics = Callable[[Array, Array], Array]
TimedDynamics = Callable[[Array, Array, int], Array]


@njit
def scale_of(x):
    """Returns the steps at numbers x, in units of FIRST or SECOND: |x|, but at least 1, at most FAR
    (an angle counted from far away is no less curved), and the cube root of |x| from FAR^3 on,
    where the rounding of x asks for more.
    """
    return np.maximum(np.maximum(1.0, np.minimum(np.abs(x), FAR)), np.cbrt(np.abs(x)))


def is_compiled(function: Any) -> bool:
    """Returns whether numba has compiled it."""
    return hasattr(function, "py_func")


def compiled(f: Any, jacobian: Any, pointers: bool, second: bool) -> tuple[Any, Any]:
    """Returns roll and differentiate over numba's f (and jacobian, or None), as pointers or as
    functions.

    With `second`, differences are taken of second order too. Raises InputError, which names the
    function, where one cannot be compiled.
    """
    by = "dynamics", f, second
    if jacobian is not None:
        by = "jacobian", jacobian, False
    return _compiled_roll(f, pointers), _compiled_slopes(*by, pointers)


@lru_cache(maxsize=64)
def _compiled_roll(f: Any, pointers: bool) -> Any:
    return _part("dynamics", roller(_anew(f)), ROLL, pointers)


@lru_cache(maxsize=64)
def _compiled_slopes(name: str, f: Any, second: bool, pointers: bool) -> Any:
    part = differencer(_anew(f), second) if name == "dynamics" else _given(_anew(f))
    return _part(name, part, DIFFERENTIATE, pointers)


def _anew(f: Any) -> Any:
    """Returns f compiled anew, in this process only (numba cannot see on disk whether f has
    changed), and so that a division by zero gives an infinity, hence a step to be refused, and no
    exception.
    """
    return njit(error_model="numpy", fastmath={"contract"})(f.py_func)


def _part(name: str, part: Any, signature: Any, pointers: bool) -> Any:
    """Returns a part of the solve over the function of that name, as a pointer or a function."""
    if not pointers:
        return njit(error_model="numpy", fastmath={"contract"})(part)
    return guarded(name, partial(pointer, cached=False))(part, signature)


def roller(f: Any) -> Any:
    """Returns a function that writes the trajectories of u = U + alpha k + K (x - X), clipped to
    the box.
    """

    def roll(active, X, U, K, k, alpha, low, high, Xn, Un):
        B, T, du = U.shape
        dx = X.shape[2]
        x, v = np.empty(dx), np.empty(du)  # what f gets, and may write to
        for b in range(B):
            if not active[b]:
                continue
            Xn[b, T, 0] = (
                np.nan
            )  # stays, should f raise an exception in compiled code: the step is refused
            for t in range(T):
                for i in range(du):
                    u = U[b, t, i] + alpha[b] * k[b, t, i]
                    for j in range(dx):
                        u += K[b, t, i, j] * (Xn[b, t, j] - X[b, t, j])
                    Un[b, t, i] = min(max(u, low[b, t, i]), high[b, t, i])
                for i in range(dx):
                    x[i] = Xn[b, t, i]
                for i in range(du):
                    v[i] = Un[b, t, i]
                y = f(x, v)
                if len(y) != dx:  # what lies behind it is nobody's
                    Xn[b, T, 0] = np.nan
                    break
                for i in range(dx):
                    Xn[b, t + 1, i] = y[i]

    return roll


def _given(jacobian: Any) -> Any:
    def differentiate(active, X, U, F, H):
        T = U.shape[1]
        for b in range(len(U)):
            if active[b]:
                F[b, :, :, :] = np.nan  # stays, should it raise an exception
                found = jacobian(X[b, :T].copy(), U[b].copy())
                if found.shape == F[b].shape:
                    F[b, :, :, :] = found

    return differentiate


def differencer(f: Any, second: bool) -> Any:
    """Returns a function that writes central differences of f: F (B, T, dx, n) and, if `second`, H
    where it has rows.

    (Known at compile time, as it takes half of the time of compilation.)
    """

    def differentiate(active, X, U, F, H):
        B, T, du = U.shape
        dx = X.shape[2]
        n, x, u = dx + du, np.empty(dx), np.empty(du)
        xu, h = np.empty(n), np.empty(n)
        for b in range(B):
            if not active[b]:
                continue
            F[b, :, :, :] = np.nan  # stays, should f raise an exception
            for t in range(T):
                for i in range(n):
                    xu[i] = X[b, t, i] if i < dx else U[b, t, i - dx]
                    h[i] = scale_of(xu[i])
                for j in range(n):
                    for side in (-1.0, 1.0):
                        for i in range(n):
                            z = xu[i] + (side * FIRST * h[i] if i == j else 0.0)
                            if i < dx:
                                x[i] = z
                            else:
                                u[i - dx] = z
                        y = f(x, u)
                        if len(y) != dx:
                            return
                        for i in range(dx):
                            F[b, t, i, j] = (F[b, t, i, j] if side > 0 else 0.0) + side * y[i] / (
                                2 * FIRST * h[j]
                            )
                if second:
                    for pair in range(n * n if H.shape[1] else 0):
                        j, m = pair // n, pair % n
                        for corner in range(4 if m <= j else 0):
                            p, q = 1.0 - 2.0 * (corner % 2), 1.0 - 2.0 * (corner // 2)
                            for i in range(n):
                                z = xu[i] + SECOND * h[i] * (
                                    (p if i == j else 0.0) + (q if i == m else 0.0)
                                )
                                if i < dx:
                                    x[i] = z
                                else:
                                    u[i - dx] = z
                            y = f(x, u)
                            if len(y) != dx:
                                F[b, t, 0, 0] = np.nan
                                return
                            for i in range(dx):
                                s = p * q * y[i] / (4 * SECOND * SECOND * h[j] * h[m])
                                H[b, t, i, j, m] = s + (H[b, t, i, j, m] if corner else 0.0)
                                H[b, t, i, m, j] = H[b, t, i, j, m]

    return differentiate


def vectorised_parts(
    f: Any, lead: tuple[int, ...], timed: bool = False, free: bool = False, exact: bool = False
) -> tuple[Any, Any]:
    """Returns roll and differentiate over an f that takes x (..., *lead, dx) and u (..., *lead, du)
    at once.

    If `timed`, roll tells f the step; there is no differentiate then. An f that is `free` takes any
    leading axes: it is rolled out for the active problems alone. One that is to be differentiated,
    `exact`, gives float64.
    """

    def at(xu: Array, dx: int, *t: int) -> Array:  # xu (..., B, n) -> (..., B, dx)
        whole = xu if free else xu.reshape(*xu.shape[:-2], *lead, xu.shape[-1])
        shape = (*whole.shape[:-1], dx)
        return real(
            "dynamics", f(whole[..., :dx], whole[..., dx:], *t), shape, exact=exact
        ).reshape(*xu.shape[:-1], dx)

    def roll(active, X, U, K, k, alpha, low, high, Xn, Un):
        T, dx = U.shape[1], X.shape[2]
        some: Any = active if free else slice(None)
        kept = active[some]
        for t in range(T):
            gap = (K[some, t] @ (Xn[some, t] - X[some, t])[..., None])[..., 0]
            u = U[some, t] + alpha[some, None] * k[some, t] + gap
            Un[active, t] = np.clip(u, low[some, t], high[some, t])[kept]
            xu = np.concatenate([Xn[some, t], Un[some, t]], -1)
            Xn[active, t + 1] = at(xu, dx, *([t] if timed else []))[kept]

    def differentiate(active, X, U, F, H):
        if not active.any():
            return
        dx = X.shape[2]
        xu = np.concatenate([X[:, :-1], U], -1).swapaxes(0, 1)  # (T, B, n)
        n, h = xu.shape[-1], scale_of(xu)
        move = np.eye(n)[:, None, None] * h  # (n, T, B, n)
        ahead, behind = at(np.stack([xu + FIRST * move, xu - FIRST * move]), dx)
        slopes = (ahead - behind) / (2 * FIRST * h.transpose(2, 0, 1)[..., None])  # (n, T, B, dx)
        F[active] = slopes.transpose(2, 1, 3, 0)[active]
        if H.shape[1]:
            j, m = np.tril_indices(n)
            corners = [(p, q) for p in (1, -1) for q in (1, -1)]
            y = at(np.stack([xu + SECOND * (p * move[j] + q * move[m]) for p, q in corners]), dx)
            scale = 4 * SECOND**2 * (h[..., j] * h[..., m]).transpose(2, 0, 1)[..., None]
            second = sum(p * q * part for (p, q), part in zip(corners, y, strict=True)) / scale
            for i, pair in enumerate(zip(j, m, strict=True)):
                for row, column in (pair, pair[::-1]):
                    H[active, :, :, row, column] = second[i].swapaxes(0, 1)[active]

    return roll, differentiate


def parts(
    f: Any,
    jacobian: Any,
    hessian: Any,
    vectorised: bool | str,
    lead: tuple[int, ...],
    second_order: bool,
    timed: bool,
) -> tuple[Any, Any]:
    """Returns roll and differentiate as Python functions, over whatever derivatives the caller
    gave.
    """
    free, exact = vectorised == "any", differenced(jacobian, hessian, second_order)
    if vectorised:
        roll, differences = vectorised_parts(guarded("dynamics", f), lead, timed, free, exact)
    elif is_compiled(f):
        roll, differences = (
            guarded("dynamics", part) for part in compiled(f, None, False, second_order)
        )
    else:
        f = _one_state(f, exact)
        roll, differences = roller(f), differencer(f, second_order)

    def differentiate(active, X, U, F, H):
        if exact:
            differences(active, X, U, F, H if hessian is None else H[:, :0])
            if not np.isfinite(F[active]).all():
                raise InputError(
                    "dynamics has a derivative that is not finite beside the trajectory; expected smooth dynamics "
                    "everywhere near it"
                )
        for name, function, out in (("jacobian", jacobian, F), ("hessian", hessian, H)):
            if function is None or not active.any():
                continue
            ask = guarded(name, function)
            if free:
                out[active] = _shaped(name, ask(X[active, :-1], U[active]), out[active].shape)
            elif vectorised:
                whole = ask(*(a.reshape(*lead, *a.shape[1:]).copy() for a in (X[:, :-1], U)))
                found = _shaped(name, whole, (*lead, *out.shape[1:]), active.reshape(lead))
                out[active] = found.reshape(out.shape)[active]
            else:
                for b in np.flatnonzero(active):
                    out[b] = _shaped(name, ask(X[b, :-1].copy(), U[b].copy()), out.shape[1:])

    return roll, differentiate


def differenced(jacobian: Any, hessian: Any, second_order: bool) -> bool:
    """Returns whether differences of the dynamics are taken."""
    return jacobian is None or (second_order and hessian is None)


def _one_state(f: Any, exact: bool) -> Any:
    """Returns dynamics of one state in Python whose answers are checked."""
    call = guarded("dynamics", f)

    def step(x: Array, u: Array) -> Array:
        shape, found = x.shape, call(x, u)
        if type(found) is np.ndarray and found.dtype == np.float64 and found.shape == shape:
            return found  # read at once, so that it need not be copied
        return real("dynamics", found, shape, exact=exact)

    return step


def _shaped(name: str, a: Any, shape: tuple[int, ...], rows: Any = ...) -> Array:
    """Returns derivatives of that shape, which are finite in the problems `rows` that count."""
    found = real(name, a, shape)
    real(name, found[rows], found[rows].shape, finite=True)
    return 0.5 * (found + np.swapaxes(found, -1, -2)) if name == "hessian" else found


@lru_cache(maxsize=64)
def _passed(f: Any, jacobian: Any, dx: int, T: int, du: int) -> list[bool]:
    """Returns a list that is empty until compiled dynamics have passed `check` for these sizes."""
    return []


def check(
    f: Any,
    jacobian: Any,
    vectorised: bool | str,
    lead: tuple[int, ...],
    x0: Array,
    U: Array,
    timed: bool = False,
    exact: bool = False,
    finite: bool = True,
) -> None:
    """Raises InputError unless f, called once at the start (B, dx), (B, T, du), gives a state: one
    of float64 where differences are taken, `exact`, and `finite` where all problems count.
    """
    callable_of("dynamics", f, "(x, u) -> x'")
    (T, du), dx = U.shape[1:], x0.shape[-1]
    compiled_alone = is_compiled(f) and not vectorised and (not jacobian or is_compiled(jacobian))
    passed = _passed(f, jacobian, dx, T, du) if compiled_alone else []
    if passed:
        return
    if jacobian is not None:
        callable_of("jacobian", jacobian, "(X, U) -> (T, dx, n)")
    if is_compiled(jacobian) and not vectorised:  # Python's others are checked at each call
        found = guarded("jacobian", jacobian.py_func)(np.repeat(x0[:1], T, 0), U[0].copy())
        _shaped("jacobian", found, (T, dx, dx + du))
    x, u = x0, U[:, 0]
    x, u = (
        (a.reshape(*lead, -1).copy() for a in (x, u)) if vectorised else (x[0].copy(), u[0].copy())
    )
    shape, call = x.shape, guarded("dynamics", f.py_func if is_compiled(f) else f)
    real("dynamics", call(x, u, *([0] if timed else [])), shape, finite, exact)
    passed.append(True)
