"""Following a reference: the quadratic cost of the distance from a trajectory."""

from typing import Any

import numpy as np

from .batching import finite, symmetric
from .errors import InputError
from .expansion import stack
from .types import Array, QuadraticCost


def tracking_cost(X: Array, U: Array, Q: Any, R: Any, Q_final: Any = None) -> QuadraticCost:
    """Returns sum_t 1/2 (x - X_t)'Q(x - X_t) + 1/2 (u - U_t)'R(u - U_t), and Q_final (or Q) at step
    T.

    X (..., T+1, dx), U (..., T, du); Q (dx, dx) and R (du, du), each with optional leading axes up
    to T+1 and T. With `backward` it gives the tracking controller, whatever the dynamics; the
    reference need not obey them. Raises InputError, with name and index, for shapes that do not
    fit, entries that are not finite numbers, and weights that are not symmetric and positive
    semi-definite.
    """
    xu = stack(finite("X", X), finite("U", U))
    *lead, S, n = xu.shape
    dx = np.shape(X)[-1]
    C = np.zeros((*lead, S, n, n))
    blocks = [("Q", Q, C[..., :dx, :dx]), ("R", R, C[..., :-1, dx:, dx:])]
    if Q_final is not None:
        blocks.append(("Q_final", Q_final, C[..., -1, :dx, :dx]))
    for name, weights, block in blocks:
        given = symmetric(name, weights, definite=True)
        try:
            block[:] = np.broadcast_to(0.5 * (given + np.swapaxes(given, -1, -2)), block.shape)
        except ValueError as error:
            raise InputError(
                f"{name} has shape {given.shape}; expected {block.shape[-2:]}, or what broadcasts to {block.shape}"
            ) from error
    c = -(C @ xu[..., None])[..., 0]
    return QuadraticCost(C, c, -0.5 * np.einsum("...i,...i->...", c, xu))
