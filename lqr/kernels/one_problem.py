"""The backward pass of one problem, without batch axis, that is checked and solved in one call.

They write K, k, cov (which begins as zero), V, v, s and return whether all was well. Where it was
not, or is not plainly so, what is written means nothing, and `passes.backward` goes the long way.
"""

import numpy as np

from .inspection import _covariances, _mirrored
from .jit import kernel
from .riccati_blocked import _backward
from .riccati_small import call


@kernel
def _found(failed, C, c, V, v, s):
    """Had each step a minimum, and are the value at the first step finite, and what no step reads?
    Any other number that is not finite makes that value so.
    """
    T, n, dx, zero = len(C) - 1, C.shape[1], V.shape[1], 0.0 * s[0]
    for i in range(n):
        zero += 0.0 * c[T, i]
        for j in range(n):
            zero += 0.0 * C[T, i, j]
    for i in range(dx):
        zero += 0.0 * v[0, i]
        for j in range(dx):
            zero += 0.0 * V[0, i, j]
    return failed[0] < 0 and zero == 0.0


@kernel
def _solve_small(address, F, f, W, C, c, const, K, k, cov, V, v, s):
    if not (_mirrored(C) and _covariances(W)):
        return False
    T, dx, _ = F.shape
    s[T] = const[T]
    for i in range(dx):
        v[T, i] = c[T, i]
        for j in range(dx):
            V[T, i, j] = C[T, i, j]
    failed, tau = np.full(1, -1), np.zeros(T)
    call(address, 0, T, F.reshape(-1), f.reshape(-1), W.reshape(-1), C.reshape(-1), c.reshape(-1),
         const, tau, K.reshape(-1), k.reshape(-1), cov.reshape(-1), V.reshape(-1), v.reshape(-1), s,
         failed)  # fmt: skip
    return _found(failed, C, c, V, v, s)


@kernel
def _solve_blocked(F, f, W, C, c, const, K, k, cov, V, v, s):
    if not (_mirrored(C) and _covariances(W)):
        return False
    T, dx, n = F.shape
    du, S, failed = n - dx, T + 1, np.full(1, -1)
    _backward(np.zeros(1, np.int64), F.reshape((1, T, dx, n)), f.reshape((1, T, dx)),
              W.reshape((1, T, dx, dx)), C.reshape((1, S, n, n)), c.reshape((1, S, n)),
              const.reshape((1, S)), np.zeros((1, T)), K.reshape((1, T, du, dx)),
              k.reshape((1, T, du)), cov.reshape((1, T, du, du)), V.reshape((1, S, dx, dx)),
              v.reshape((1, S, dx)), s.reshape((1, S)), failed)  # fmt: skip
    return _found(failed, C, c, V, v, s)
