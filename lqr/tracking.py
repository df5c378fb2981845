"""Following a reference: the quadratic cost of the distance from a trajectory."""

from typing import Any

import numpy as np

from .costs import Quadratic
from .errors import InputError
from .expansion import stack
from .types import Array, QuadraticCost


def tracking_cost(X: Array, U: Array, Q: Any, R: Any, Q_final: Any = None) -> QuadraticCost:
    """Returns sum_t 1/2 (x - X_t)'Q(x - X_t) + 1/2 (u - U_t)'R(u - U_t), and Q_final (or Q) at step T.

    X (..., T+1, dx), U (..., T, du); Q (dx, dx) and R (du, du), each with optional leading axes up to T+1 and T.
    With `backward` it gives the tracking controller, whatever the dynamics; the reference need not obey them.
    Raises InputError for shapes that do not fit.
    """
    xu = stack(X, U)
    *lead, S, n = xu.shape
    dx = np.shape(X)[-1]
    C = np.zeros((*lead, S, n, n))
    try:
        C[..., :dx, :dx] = Q
        C[..., :-1, dx:, dx:] = R
        if Q_final is not None:
            C[..., -1, :dx, :dx] = Q_final
    except ValueError as error:
        raise InputError(
            f"Q has shape {np.shape(Q)}, R {np.shape(R)}, Q_final {np.shape(Q_final)}; expected ({dx}, {dx}) for x "
            f"and ({n - dx}, {n - dx}) for u"
        ) from error
    centred = Quadratic(C).expand(np.zeros_like(X, dtype=float), np.zeros_like(U, dtype=float)).C
    c = -(centred @ xu[..., None])[..., 0]
    return QuadraticCost(centred, c, -0.5 * np.einsum("...i,...i->...", c, xu))
