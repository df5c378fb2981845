"""The step of `fused_forward` in NumPy: the page that its kernels are compared with, and what runs
without a compiler (NUMBA_DISABLE_JIT=1).

    h_0 = z,  h_{i+1} = silu(W_i' h_i + b_i),  y = W_L' h_L + b_L + A' z,    z = [x; u] - centre
    x' = x + y_mean + sqrt(1 / (e^y_var + high) + low) noise
"""

import numpy as np

from ..base import Array


def outputs(e: int, z: Array, W: Array, b: Array, A: Array, sizes: Array) -> Array:
    """Returns what member e says of inputs z (M, n), (M, outputs)."""
    h = z
    for i in range(len(W)):
        h = h @ W[i, e, : sizes[i], : sizes[i + 1]] + b[i, e, : sizes[i + 1]]
        if i + 1 < len(W):
            h = h / (1 + np.exp(-np.clip(h, -80, 80)))
    return h + z @ A[e, :, : sizes[-1]]


def advance(
    X: Array, U: Array, first: int, last: int, member: Array, noise: Array,
    W: Array, b: Array, A: Array, centre: Array, sizes: Array, least: Array, inverse_max: Array,
) -> None:  # fmt: skip
    """Draws the states first+1..last of X (N, P, H+1, dx) under U (N, H, du), as the kernel does."""
    dx = X.shape[3]
    for p in range(X.shape[1]):
        x = (X[:, p, first] - centre[:dx]).astype(np.float32)
        for t in range(first, last):
            e = member[t, p]
            z = np.concatenate([x, (U[:, t] - centre[dx:]).astype(np.float32)], 1)
            y = outputs(e, z, W, b, A, sizes)
            var = 1 / (np.exp(np.clip(y[:, dx : 2 * dx], -80, 80)) + inverse_max[e]) + least[e]
            x = (x + y[:, :dx] + np.sqrt(var) * noise[t, p]).astype(np.float32)
            X[:, p, t + 1] = centre[:dx] + x


def advance_mean(
    X: Array, U: Array, W: Array, b: Array, A: Array, centre: Array, sizes: Array
) -> None:
    """Writes the states 1..H of X (N, 1, H+1, dx) under U (N, H, du), as the kernel does."""
    dx = X.shape[3]
    for t in range(U.shape[1]):
        z = (np.concatenate([X[:, 0, t], U[:, t]], 1) - centre).astype(np.float32)
        said = [outputs(e, z, W, b, A, sizes)[:, :dx] for e in range(W.shape[1])]
        X[:, 0, t + 1] = X[:, 0, t] + np.mean(said, 0, dtype=np.float32)


def change_each(
    X: Array, U: Array, begins: Array, noise: Array, change: Array,
    W: Array, b: Array, A: Array, centre: Array, sizes: Array, least: Array, inverse_max: Array,
) -> None:  # fmt: skip
    """Draws the changes of state (M, dx) of rows X (M, dx) under U (M, du), as the kernel does."""
    dx = X.shape[1]
    z = (np.concatenate([X, U], 1) - centre).astype(np.float32)
    for e in range(len(begins) - 1):
        rows = slice(begins[e], begins[e + 1])
        y = outputs(e, z[rows], W, b, A, sizes)
        var = 1 / (np.exp(np.clip(y[:, dx : 2 * dx], -80, 80)) + inverse_max[e]) + least[e]
        change[rows] = y[:, :dx] + np.sqrt(var) * noise[rows]
