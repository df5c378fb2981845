"""Infinite-horizon LQR: the limit of the backward pass for constant problems, by the algebraic
Riccati equation.

    minimise  E sum_t gamma^t [ 1/2 xu' C xu + c' xu ]    subject to   x' ~ N(F xu + f, cov)

With discount gamma < 1 the equation is that of sqrt(gamma) F, so an unstable mode needs no cure as
long as it grows more slowly than the discount falls (Bertsekas 2012, section 4.2).
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_discrete_are

from .batching import finite, number, symmetric, vector
from .errors import InputError, NotPositiveDefinite, NumericalError
from .types import Array


class StationaryController(NamedTuple):
    """u = K x + k, the value 1/2 x'Vx + v'x + const, and the average cost per step for ever."""

    K: Array  # (..., du, dx)
    V: Array  # (..., dx, dx)
    average_cost: Array  # (...); with a discount (1 - discount) times the value's constant
    k: Array  # (..., du)
    v: Array  # (..., dx)


def infinite_horizon(
    F: Any,
    C: Any,
    Q: Any = None,
    R: Any = None,
    N: Any = None,
    *,
    cov: Any = None,
    f: Any = None,
    c: Any = None,
    discount: float = 1.0,
) -> StationaryController:
    """Returns the stationary optima, by `infinite_horizon(F, C)` or by `infinite_horizon(A, B, Q,
    R, N)`.

    F (..., dx, n) = [A B] and C (..., n, n) = [[Q, N], [N', R]]; N (dx, du) may be left out. cov
    (..., dx, dx), f (..., dx) and c (..., n) are zero where they are None; a third matrix alone is
    cov. Without a discount v is that of the cost above its average. To stay at x*, u* is c = -C
    [x*; u*].

    Raises InputError for shapes that do not fit, a number that is not finite or a C that is not
    symmetric; NotPositiveDefinite if R + B'VB is not (R = 0 is welcome where states cost enough);
    NumericalError if no stabilising solution exists: an unstable mode that actions do not reach, or
    the cost not see.
    """
    if R is None and N is None:
        if Q is not None and cov is not None:
            raise InputError("R is None; expected infinite_horizon(A, B, Q, R), or (F, C, cov=...)")
        F, C = finite("F", F), symmetric("C", C)
        cov = cov if Q is None else symmetric("Q, the cov of (F, C)", Q, definite=True)
    else:
        if Q is None or R is None:
            raise InputError("got R or N without Q and R; expected infinite_horizon(A, B, Q, R, N)")
        F, C = _glued(F, C, Q, R, N)
    C = 0.5 * (C + np.swapaxes(C, -1, -2))
    if F.ndim < 2 or C.ndim < 2 or C.shape[-2:] != (F.shape[-1],) * 2 or F.shape[-1] <= F.shape[-2]:
        raise InputError(
            f"F has shape {F.shape}, C {C.shape}; expected (..., dx, n) and (..., n, n) with n = dx + du"
        )
    dx, n = F.shape[-2:]
    noise = np.zeros((dx, dx)) if cov is None else symmetric("cov", cov, definite=True)
    f = np.zeros(dx) if f is None else vector("f", f)
    c = np.zeros(n) if c is None else vector("c", c)
    gamma = number("discount", discount)
    if not 0 < gamma <= 1:
        raise InputError(f"discount is {discount}; expected a number above 0, up to 1")
    try:
        lead = np.broadcast_shapes(
            F.shape[:-2], C.shape[:-2], noise.shape[:-2], f.shape[:-1], c.shape[:-1]
        )
        noise, f = np.broadcast_to(noise, (*lead, dx, dx)), np.broadcast_to(f, (*lead, dx))
        c = np.broadcast_to(c, (*lead, n))
    except ValueError as error:
        raise InputError(
            f"F {F.shape}, C {C.shape}, cov or Q {noise.shape}, f {f.shape} and c {c.shape} do not fit; expected "
            "the same axes"
        ) from error
    F, C = np.broadcast_to(F, (*lead, dx, n)), np.broadcast_to(C, (*lead, n, n))
    K, V = np.zeros((*lead, n - dx, dx)), np.zeros((*lead, dx, dx))
    for b in np.ndindex(lead):
        where = f" of problem {b}" if lead else ""
        K[b], V[b] = _stationary(np.sqrt(gamma) * F[b], C[b], where)
    k, v, gain = _affine(F, f, C, c, K, V, gamma)
    average = gain + 0.5 * gamma * np.einsum("...ij,...ji->...", V, noise)
    return StationaryController(K, V, average[()], k, v)


def _glued(A: Any, B: Any, Q: Any, R: Any, N: Any) -> tuple[Array, Array]:
    """Returns [A B] and [[Q, N], [N', R]]."""
    A, B, Q, R = finite("A", A), finite("B", B), symmetric("Q", Q), symmetric("R", R)
    N = np.zeros((Q.shape[-1], R.shape[-1])) if N is None else finite("N", N)
    dx, du = A.shape[-1:], B.shape[-1:]
    shapes = [M.shape[-2:] for M in (A, B, Q, R, N)]
    if shapes != [dx * 2, dx + du, dx * 2, du * 2, dx + du]:
        raise InputError(
            f"A has shape {A.shape}, B {B.shape}, Q {Q.shape}, R {R.shape}, N {N.shape}; expected (..., dx, dx), "
            "(..., dx, du), (..., dx, dx), (..., du, du), (..., dx, du)"
        )
    try:
        lead = np.broadcast_shapes(*(M.shape[:-2] for M in (A, B, Q, R, N)))
    except ValueError as error:
        raise InputError(
            f"batch axes of A {A.shape}, B {B.shape}, Q {Q.shape}, R {R.shape}, N {N.shape} do not broadcast; "
            "make them equal or 1"
        ) from error
    A, B, Q, R, N = (np.broadcast_to(M, lead + M.shape[-2:]) for M in (A, B, Q, R, N))
    upper = np.concatenate([Q, N], -1)
    lower = np.concatenate([np.swapaxes(N, -1, -2), R], -1)
    return np.concatenate([A, B], -1), np.concatenate([upper, lower], -2)


def _affine(
    F: Array, f: Array, C: Array, c: Array, K: Array, V: Array, gamma: float
) -> tuple[Array, Array, Array]:
    """Returns k, v and what they cost per step: v = c_x + K'c_u + gamma (A + B K)'(V f + v)."""
    dx = F.shape[-2]
    closed = F[..., :dx] + F[..., dx:] @ K
    Vf = (V @ f[..., None])[..., 0]
    right = c[..., :dx] + np.einsum("...ji,...j->...i", K, c[..., dx:])
    right = right + gamma * np.einsum("...ji,...j->...i", closed, Vf)
    v = np.linalg.solve(np.eye(dx) - gamma * np.swapaxes(closed, -1, -2), right[..., None])[..., 0]
    B = F[..., dx:]
    Quu = C[..., dx:, dx:] + gamma * np.swapaxes(B, -1, -2) @ V @ B
    qu = c[..., dx:] + gamma * np.einsum("...ji,...j->...i", B, Vf + v)
    k = -np.linalg.solve(Quu, qu[..., None])[..., 0]
    gain = gamma * np.einsum("...i,...i->...", 0.5 * Vf + v, f)
    return k, v, gain + 0.5 * np.einsum("...i,...i->...", qu, k)


def _stationary(F: Array, C: Array, which: str) -> tuple[Array, Array]:
    dx = len(F)
    A, B, Q, R, N = F[:, :dx], F[:, dx:], C[:dx, :dx], C[dx:, dx:], C[:dx, dx:]
    hollow = NotPositiveDefinite(
        f"R + B'VB{which}, with R the action block of C, is not positive definite; raise the cost of actions"
    )
    definite = np.linalg.eigvalsh(R).min() > 0
    try:
        V = solve_discrete_are(A, B, Q, R, s=N)
    except (np.linalg.LinAlgError, ValueError) as error:
        if not definite:
            raise hollow from error
        raise NumericalError(
            f"no stabilising solution{which} ({error}); can actions reach every unstable mode?"
        ) from error
    V = 0.5 * (V + V.T)
    M = R + B.T @ V @ B
    if not np.linalg.eigvalsh(M).min() > 1e-14 * np.abs(M).max():
        raise hollow
    K = -np.linalg.solve(M, B.T @ V @ A + N.T)
    if not np.abs(np.linalg.eigvals(A + B @ K)).max() < 1:
        raise NumericalError(
            f"the closed loop{which} is not stable; does the cost see every unstable mode?"
        )
    return K, V
