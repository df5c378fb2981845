"""A way in: dynamics and costs from the matrices of a textbook.

    x' = A x + B u + f + noise,      1/2 x'Qx + x'N u + 1/2 u'Ru + q'x + r'u

Whatever is given broadcasts over the T steps, and over any batch axes before them.
"""

from typing import Any

import numpy as np

from .batching import finite, symmetric, whole
from .errors import InputError
from .types import Array, LinearGaussianDynamics, QuadraticCost


def linear(A: Any, B: Any, T: int, f: Any = None, cov: Any = None) -> LinearGaussianDynamics:
    """Returns the dynamics x' ~ N(A x + B u + f, cov) for T steps.

    A broadcasts to (..., T, dx, dx), B to (..., T, dx, du), f to (..., T, dx), cov to (..., T, dx,
    dx); f and cov are zero where they are None. Raises InputError for shapes that do not broadcast,
    numbers that are not finite, and a cov that is not symmetric and positive semi-definite.
    """
    A, B, T = finite("A", A), finite("B", B), whole("T", T, 1)
    if A.ndim < 2 or A.shape[-1] != A.shape[-2] or B.ndim < 2 or B.shape[-2] != A.shape[-1]:
        raise InputError(
            f"A has shape {A.shape}, B {B.shape}; expected (..., dx, dx) and (..., dx, du)"
        )
    dx, du = B.shape[-2:]
    f = np.zeros(dx) if f is None else finite("f", f)
    cov = np.zeros((dx, dx)) if cov is None else symmetric("cov", cov, definite=True)
    sizes = {"A": (dx, dx), "B": (dx, du), "f": (dx,), "cov": (dx, dx)}
    A, B, f, cov = _over_time(T, sizes, A, B, f, cov)
    return LinearGaussianDynamics(np.concatenate([A, B], -1), f, cov)


def quadratic(
    Q: Any, R: Any, N: Any = None, Qf: Any = None, T: Any = None, *, q: Any = None, r: Any = None
) -> QuadraticCost:
    """Returns the cost 1/2 x'Qx + x'N u + 1/2 u'Ru + q'x + r'u of steps 0..T-1, and 1/2 x'Qf x +
    q'x of step T.

    Q broadcasts to (..., T, dx, dx), R to (..., T, du, du), N to (..., T, dx, du), q to (..., T+1,
    dx), r to (..., T, du), and Qf is (..., dx, dx). N, q and r are zero where they are None; Qf is
    then the last Q. Raises InputError for shapes that do not broadcast, numbers that are not
    finite, matrices that are not symmetric, or a T that is missing.
    """
    if T is None:
        raise InputError("T is None; expected the number of steps: quadratic(Q, R, T=50)")
    Q, R, T = symmetric("Q", Q), symmetric("R", R), whole("T", T, 1)
    dx, du = Q.shape[-1], R.shape[-1]
    N = np.zeros((dx, du)) if N is None else finite("N", N)
    q = np.zeros(dx) if q is None else finite("q", q)
    r = np.zeros(du) if r is None else finite("r", r)
    if q.ndim > 1 and q.shape[-2] == T:
        raise InputError(f"q has shape {q.shape}; expected {T + 1} steps or one: step T has q too")
    sizes = {"Q": (dx, dx), "R": (du, du), "N": (dx, du), "r": (du,)}
    Q, R, N, r = _over_time(T, sizes, Q, R, N, r)
    (q,) = _over_time(T + 1, {"q": (dx,)}, q)
    last = Q[..., -1, :, :] if Qf is None else symmetric("Qf", Qf)
    try:
        lead = np.broadcast_shapes(Q.shape[:-3], q.shape[:-2], last.shape[:-2])
        C, c = np.zeros((*lead, T + 1, dx + du, dx + du)), np.zeros((*lead, T + 1, dx + du))
        C[..., :-1, :dx, :dx], C[..., :-1, dx:, dx:], C[..., :-1, :dx, dx:] = Q, R, N
        C[..., -1, :dx, :dx] = last
        c[..., :dx], c[..., :-1, dx:] = q, r
    except ValueError as error:
        raise InputError(
            f"Qf has shape {last.shape}, q {q.shape}; expected (..., {dx}, {dx}), and batch axes as in Q {Q.shape}"
        ) from error
    C[..., dx:, :dx] = np.swapaxes(C[..., :dx, dx:], -1, -2)
    return QuadraticCost(0.5 * (C + np.swapaxes(C, -1, -2)), c, np.zeros(c.shape[:-1]))


def _over_time(T: int, sizes: dict[str, tuple[int, ...]], *arrays: Array) -> list[Array]:
    """Returns each array broadcast to (..., T, *its size), with the same leading axes for all."""
    named = list(zip(sizes.items(), arrays, strict=True))
    for (name, size), a in named:
        if a.shape[a.ndim - len(size) :] != size or a.shape[: -len(size)][-1:] not in (
            (),
            (1,),
            (T,),
        ):
            raise InputError(
                f"{name} has shape {a.shape}; expected {size}, or what broadcasts to "
                f"(..., {T}, {', '.join(map(str, size))})"
            )
    try:
        lead = np.broadcast_shapes((T,), *(a.shape[: -len(size)] for (_, size), a in named))
    except ValueError as error:
        got = ", ".join(f"{name} {a.shape}" for (name, _), a in named)
        raise InputError(f"batch axes do not broadcast: {got}; make them equal or 1") from error
    return [np.broadcast_to(a, lead + size).copy() for (_, size), a in named]
