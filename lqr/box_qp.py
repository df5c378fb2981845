"""Quadratic programmes in a box, the step of control-limited DDP (Tassa, Mansard & Todorov 2014).

minimise  1/2 x'Hx + g'x    subject to   low <= x <= high
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .batching import finite, numbers, symmetric
from .errors import InputError, NotPositiveDefinite, NumericalError
from .kernels.ilqr_backward import box_qp
from .types import Array
from .user_functions import guarded, real

BoxQP = Callable[[Array, Array, Array, Array], tuple[Array, Array]]
"""solve(H (d, d), g (d,), low (d,), high (d,)) -> minimiser (d,), free (d,) bool; raises
LinAlgError if it fails.
"""


def solve_box_qp(H: Array, g: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Returns the minimiser within the box, and which coordinates are off its faces, by projected
    Newton steps.

    Raises InputError for shapes that do not fit, a number that is not finite (limits may be
    infinite), an H that is not symmetric or limits that cross; NotPositiveDefinite, which is a
    LinAlgError, if H is not positive definite on the free coordinates.
    """
    H, g = np.ascontiguousarray(symmetric("H", H)), np.ascontiguousarray(finite("g", g))
    low = np.ascontiguousarray(numbers("low", low))
    high = np.ascontiguousarray(numbers("high", high))
    d = len(H)
    if H.shape != (d, d) or g.shape != (d,) or low.shape != (d,) or high.shape != (d,):
        raise InputError(
            f"H {H.shape}, g {g.shape}, low {low.shape}, high {high.shape}; expected (d, d) and (d,)"
        )
    if not (low <= high).all():
        i = int(np.argmax(~(low <= high)))
        raise InputError(f"low is {low[i]}, high is {high[i]} at index {i}; expected low <= high")
    x, free, room = np.clip(np.zeros(d), low, high), np.ones(d, np.bool_), np.zeros((3, d))
    factor = np.zeros((d, d))
    if not box_qp(H, g, low, high, x, free, factor, *room):
        if np.linalg.eigvalsh(H).min() > 0:
            raise NumericalError("the iterations did not end: H is too badly conditioned; scale x")
        raise NotPositiveDefinite(
            "H is not positive definite on the free coordinates; add to its diagonal"
        )
    return x, free


def ilqr_backward_with(solve_qp: BoxQP) -> Any:
    """Returns a backward pass like the compiled one, in plain NumPy, with a solver passed in by
    the caller.
    """

    solve = guarded("solve_qp", solve_qp, (np.linalg.LinAlgError,))

    def ilqr_backward(
        active, curved, F, H, S, C, c, low, high, U, mu, K, k, definite, linear, quadratic
    ):
        T, dx, n = F.shape[1:]
        for b in np.flatnonzero(active):
            V, v = C[b, T, :dx, :dx], c[b, T, :dx]
            definite[b], linear[b], quadratic[b] = True, 0.0, 0.0
            for t in range(T - 1, -1, -1):
                Q, q = C[b, t] + F[b, t].T @ V @ F[b, t], c[b, t] + F[b, t].T @ v
                if curved[b]:
                    Q = Q + (np.einsum("i,ijk->jk", v, H[b, t]) if H.shape[1] else S[b, t])
                Quu, Qux, qu = Q[dx:, dx:], Q[dx:, :dx], q[dx:]
                R = Quu + mu[b] * np.eye(n - dx)
                gain, step = K[b, t], k[b, t]
                try:
                    both = solve(R.copy(), qu.copy(), low[b, t] - U[b, t], high[b, t] - U[b, t])
                    step[:], free = _minimiser(both, qu.shape)
                    gain[:] = 0.0
                    gain[free] = -np.linalg.solve(R[np.ix_(free, free)], Qux[free])
                except np.linalg.LinAlgError:
                    definite[b] = False
                    break
                linear[b] += qu @ step
                quadratic[b] += 0.5 * step @ Quu @ step
                v = q[:dx] + gain.T @ (Quu @ step + qu) + Qux.T @ step
                V = Q[:dx, :dx] + gain.T @ Quu @ gain + gain.T @ Qux + Qux.T @ gain
                V = 0.5 * (V + V.T)

    return ilqr_backward


def _minimiser(both: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Returns what a solver gave, the minimiser and where it is free, both of that shape."""
    if not isinstance(both, tuple | list) or len(both) != 2:
        raise InputError(
            f"solve_qp gave a {type(both).__name__}; expected two arrays, minimiser and free, of shape {shape}"
        )
    free = np.asarray(both[1])
    if free.shape != shape or free.dtype.kind not in "bi":
        raise InputError(
            f"solve_qp gave free coordinates of shape {free.shape} and {free.dtype}; expected booleans of shape {shape}"
        )
    return real("solve_qp", both[0], shape, finite=True), free.astype(bool)
