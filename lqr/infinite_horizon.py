"""Infinite-horizon LQR: the limit of the backward pass for constant problems, by the algebraic
Riccati equation.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_discrete_are

from .batching import finite, symmetric
from .errors import InputError, NotPositiveDefinite, NumericalError
from .types import Array


class StationaryController(NamedTuple):
    """u = K x, the value 1/2 x'Vx, and the average cost per step that the noise causes for ever."""

    K: Array  # (..., du, dx)
    V: Array  # (..., dx, dx)
    average_cost: Array  # (...), 1/2 tr(V cov)


def infinite_horizon(F: Any, C: Any, cov: Any = None) -> StationaryController:
    """Returns the stationary optima for x' ~ N(F xu, cov) and cost 1/2 xu'C xu, with F (..., dx, n)
    and C (..., n, n).

    cov (..., dx, dx) is zero where it is None. Raises InputError for shapes that do not fit, a
    number that is not finite or a C that is not symmetric; NotPositiveDefinite if R + B'VB is not,
    where R is the action block of C (R = 0 is welcome where states cost enough); NumericalError if
    no stabilising solution exists: an unstable mode that actions do not reach, or the cost not see.
    """
    F, C = finite("F", F), symmetric("C", C)
    C = 0.5 * (C + np.swapaxes(C, -1, -2))
    if F.ndim < 2 or C.ndim < 2 or C.shape[-2:] != (F.shape[-1],) * 2 or F.shape[-1] <= F.shape[-2]:
        raise InputError(
            f"F has shape {F.shape}, C {C.shape}; expected (..., dx, n) and (..., n, n) with n = dx + du"
        )
    dx, n = F.shape[-2:]
    noise = np.zeros((dx, dx)) if cov is None else symmetric("cov", cov, definite=True)
    try:
        lead = np.broadcast_shapes(F.shape[:-2], C.shape[:-2], noise.shape[:-2])
        noise = np.broadcast_to(noise, (*lead, dx, dx))
    except ValueError as error:
        raise InputError(
            f"F {F.shape}, C {C.shape} and cov {noise.shape} do not fit; expected the same axes"
        ) from error
    F, C = np.broadcast_to(F, (*lead, dx, n)), np.broadcast_to(C, (*lead, n, n))
    K, V = np.zeros((*lead, n - dx, dx)), np.zeros((*lead, dx, dx))
    for b in np.ndindex(lead):
        K[b], V[b] = _stationary(F[b], C[b], f" of problem {b}" if lead else "")
    return StationaryController(K, V, 0.5 * np.einsum("...ij,...ji->...", V, noise)[()])


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
