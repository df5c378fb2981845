"""The backward pass of one problem, without batch axis, that is checked and solved in one call.

They write K, k, cov (which begins as zero), V, v, s and return whether all was well. Where it was
not, or is not plainly so, what is written means nothing, and `passes.backward` goes the long way.
"""

import numpy as np

from .inspection import _covariances, _finite, _mirrored
from .jit import kernel
from .riccati_blocked import _backward
from .riccati_small import call


@kernel
def _plain(W, C, c):
    """Are matrices what `batching.flatten` demands, as can be seen at once, and finite what no step
    reads? Any other number that is not finite makes the first step's value so.
    """
    T = len(W)
    last = _finite(C[T].reshape(-1).view(np.int64)) and _finite(c[T].view(np.int64))
    return last and _mirrored(C) and _covariances(W)


@kernel
def _found(failed, V, v, s):
    """Had each step a minimum, and is the value at the first step finite?"""
    value = _finite(V[0].reshape(-1).view(np.int64)) and _finite(v[0].view(np.int64))
    return failed[0] < 0 and value and np.isfinite(s[0])


@kernel
def _solve_small(address, F, f, W, C, c, const, K, k, cov, V, v, s):
    if not _plain(W, C, c):
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
    return _found(failed, V, v, s)


@kernel
def _solve_blocked(F, f, W, C, c, const, K, k, cov, V, v, s):
    if not _plain(W, C, c):
        return False
    T, dx, n = F.shape
    du, S, failed = n - dx, T + 1, np.full(1, -1)
    _backward(np.zeros(1, np.int64), F.reshape((1, T, dx, n)), f.reshape((1, T, dx)),
              W.reshape((1, T, dx, dx)), C.reshape((1, S, n, n)), c.reshape((1, S, n)),
              const.reshape((1, S)), np.zeros((1, T)), K.reshape((1, T, du, dx)),
              k.reshape((1, T, du)), cov.reshape((1, T, du, du)), V.reshape((1, S, dx, dx)),
              v.reshape((1, S, dx)), s.reshape((1, S)), failed)  # fmt: skip
    return _found(failed, V, v, s)
