"""Infinite-horizon LQR: the limit of the backward pass for constant problems, by the algebraic Riccati equation."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_discrete_are

from .errors import InputError, NotPositiveDefinite, NumericalError
from .types import Array


class StationaryController(NamedTuple):
    """u = K x, the value 1/2 x'Vx, and the average cost per step that the noise causes for ever."""

    K: Array  # (du, dx)
    V: Array  # (dx, dx)
    average_cost: float  # 1/2 tr(V cov)


def infinite_horizon(F: Array, C: Array, cov: Array | None = None) -> StationaryController:
    """Returns the stationary optimum for x' ~ N(F xu, cov) and cost 1/2 xu'C xu, with F (dx, n) and C (n, n).

    Raises InputError for shapes that do not fit, NotPositiveDefinite if the action block of C is not positive definite,
    NumericalError if no stabilising solution exists: an unstable mode that actions do not reach, or the cost not see.
    """
    F, C = np.asarray(F, dtype=float), np.asarray(C, dtype=float)
    if F.ndim != 2 or C.shape != (F.shape[1],) * 2 or F.shape[1] <= F.shape[0]:
        raise InputError(f"F has shape {F.shape}, C {C.shape}; expected (dx, n) and (n, n) with n = dx + du")
    if not (np.isfinite(F).all() and np.isfinite(C).all()):
        raise InputError("F or C has an entry that is not finite; expected finite numbers")
    dx = len(F)
    A, B, Q, R, N = F[:, :dx], F[:, dx:], C[:dx, :dx], C[dx:, dx:], C[:dx, dx:]
    if not np.linalg.eigvalsh(0.5 * (R + R.T)).min() > 0:
        raise NotPositiveDefinite("the action block of C is not positive definite; raise the cost of actions")
    try:
        V = solve_discrete_are(A, B, Q, R, s=N)
    except (np.linalg.LinAlgError, ValueError) as error:
        raise NumericalError(f"no stabilising solution ({error}); can actions reach every unstable mode?") from error
    K = -np.linalg.solve(R + B.T @ V @ B, B.T @ V @ A + N.T)
    if not np.abs(np.linalg.eigvals(A + B @ K)).max() < 1:
        raise NumericalError("the closed loop is not stable; does the cost see every unstable mode?")
    noise = np.zeros((dx, dx)) if cov is None else np.asarray(cov, dtype=float)
    return StationaryController(K, 0.5 * (V + V.T), float(0.5 * np.trace(V @ noise)))
