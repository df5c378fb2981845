"""One step of many trajectories through networks, fused, in single precision.

The normaliser is folded into the layers.

A tile of 32 columns runs through all layers before the next one does, so that it stays in the
fastest cache, and the products keep their sums in vector registers. Layers are (inputs, outputs),
padded with zeros to one size for all.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import config

from lqr import InputError
from lqr.kernels.jit import kernel, part, shared
from lqr.kernels.simd import tile

from ..base import Array
from . import fused_page

COLUMNS, ROWS = (
    32,
    4,
)  # of a tile: what is computed at once, and what numbers of outputs are rounded up to
LOG2E = np.float32(1 / np.log(2))
HALF = np.float32(0.5)
LARGEST = np.float32(126)
BIAS = np.float32(127)
_near = np.polynomial.Chebyshev.interpolate(
    np.exp2, 6, [-0.5, 0.5]
)  # as good as single precision is
POWER = tuple(np.float32(c) for c in _near.convert(kind=np.polynomial.Polynomial).coef)
_add_tile = tile(ROWS, COLUMNS // 16, False, 16)


class FusedNetworks(NamedTuple):
    """Networks of E members and L layers from [x; u] to the change of state and, maybe, minus the
    log of its variance.

    All but `centre` and `sizes` are float32.
    """

    W: Array  # (L, E, width, width)
    b: Array  # (L, E, width)
    A: Array  # (E, n, width), the linear path
    centre: Array  # (n,), of [x; u], from which the layers see the distance: in single precision 1000.001 is 1000
    sizes: Array  # (L+1,), inputs, and outputs of each layer
    least: Array  # (E, dx), of the variance
    inverse_max: Array  # (E, dx), its greatest value's reciprocal


def fuse(model: Any) -> FusedNetworks:
    """Returns the networks of an `MLPEnsemble` in the units of x and u, made once as long as they
    stay the same.

    Raises InputError before the first fit.
    """
    if model.normaliser is None:
        raise InputError(f"the model {model.word!r} has seen nothing; fit it first")
    parts = [model.normaliser, *model.params.values()]
    now = (
        [id(part) for part in parts],
        [part._version for part in parts[1:]],
    )  # which counts changes in place
    if model.fused is None or model.fused[0] != now:
        model.fused = now, parts, _fuse(model)  # parts that are kept are no others' ids
    result: FusedNetworks = model.fused[2]
    return result


def _fuse(model: Any) -> FusedNetworks:
    normaliser, last, dx = model.normaliser, len(model.hidden), len(model.normaliser.change_mean)
    p = {name: value.double().numpy() for name, value in model.params.items()}
    inputs, spread = normaliser.inverse_std[:, None], normaliser.change_std
    p["W0"] = inputs * p["W0"]
    b, W = p[f"b{last}"], p[f"W{last}"]
    b[..., :dx] = spread * b[..., :dx] + normaliser.change_mean
    W[..., :dx] *= spread
    least = inverse_max = np.zeros((len(W), dx))
    if model.heads > 1:
        b[..., dx:] = -b[..., dx:] - 2 * np.log(spread)
        W[..., dx:] *= -1
        # exp of the softly bounded logarithm, high - softplus(high - log), then low + softplus(. -
        # low)
        least, inverse_max = (
            (spread**2 * np.exp(p["low"]))[:, 0],
            (np.exp(-p["high"]) / spread**2)[:, 0],
        )
    sizes = [len(inputs), *(-(-p[f"W{i}"].shape[2] // ROWS) * ROWS for i in range(last + 1))]
    E, L, width = len(W), last + 1, max(sizes)
    shapes = (L, E, width, width), (L, E, width), (E, len(inputs), width)
    weights, biases, A = (np.zeros(shape, np.float32) for shape in shapes)
    for i in range(L):
        _, rows, columns = p[f"W{i}"].shape
        weights[i, :, :rows, :columns], biases[i, :, :columns] = p[f"W{i}"], p[f"b{i}"][:, 0]
    A[..., :dx] = inputs * p["A"] * spread
    return FusedNetworks(
        weights, biases, A, normaliser.mean, np.array(sizes), _single(least), _single(inverse_max)
    )


def _single(a: Array) -> Array:
    with np.errstate(over="ignore"):
        return a.astype(np.float32)


@part
def _exp(x):
    """e^x in single precision, from 2^-126 to 2^126."""
    y = x * LOG2E
    y = y if y > -LARGEST else -LARGEST  # NaN, too
    y = y if y < LARGEST else LARGEST
    whole = np.int32(y + BIAS + HALF)  # rounded, and how 2^whole is biased in a float32
    f = y - (np.float32(whole) - BIAS)
    power = POWER[0] + f * (
        POWER[1] + f * (POWER[2] + f * (POWER[3] + f * (POWER[4] + f * (POWER[5] + f * POWER[6]))))
    )
    return power * np.int32(whole << 23).view(np.float32)


@part
def _silu(flat, count):
    for i in range(count):
        flat[i] = np.divide(flat[i], np.float32(1) + _exp(-flat[i]))


@shared
def _add_product(W, h, out, inputs, outputs):
    """Adds W' h to `out` (outputs, COLUMNS)."""
    for i in range(0, outputs, ROWS):
        _add_tile(W, i, h, 0, out, inputs)


@part
def _set(b, out, outputs):
    for i in range(outputs):
        out[i] = b[i]


@shared
def _outputs(e, z, here, there, W, b, A, sizes):
    """Returns the array of the two that holds member e's outputs for inputs z (n, COLUMNS)."""
    h = z
    for i in range(len(W)):
        _set(b[i, e], there, sizes[i + 1])
        _add_product(W[i, e], h, there, sizes[i], sizes[i + 1])
        if i + 1 < len(W):
            _silu(there.reshape(-1), sizes[i + 1] * COLUMNS)
        h, here, there = there, there, here
    _add_product(A[e], z, h, sizes[0], sizes[-1])
    return h


@part
def _scratch(n, width):
    z = np.zeros((n, COLUMNS), np.float32)
    return z, np.empty((width, COLUMNS), np.float32), np.empty((width, COLUMNS), np.float32)


@part
def _read(rows, centre, z, i, count):
    """Copies rows (count.., d), less their centre, to the columns of z[i:i+d]."""
    for c in range(count):
        for d in range(rows.shape[1]):
            z[i + d, c] = rows[c, d] - centre[i + d]


@part
def _write(z, centre, rows, count):
    """Copies the columns of z, about their centre, to rows (count.., d)."""
    for c in range(count):
        for d in range(rows.shape[1]):
            rows[c, d] = centre[d] + z[d, c]


@kernel
def advance(X, U, first, last, member, noise, W, b, A, centre, sizes, least, inverse_max):
    """Draws the states first+1..last of X (N, P, H+1, dx) under U (N, H, du).

    Step t of particle p goes through member[t, p], with the noise[t, p] (dx,), standard normal, for
    all sequences.
    """
    N, dx, du = X.shape[0], X.shape[3], U.shape[2]
    z, here, there = _scratch(dx + du, W.shape[2])
    for p in range(X.shape[1]):
        for start in range(0, N, COLUMNS):
            count = min(COLUMNS, N - start)
            _read(X[start:, p, first], centre, z, 0, count)
            for t in range(first, last):
                _read(U[start:, t], centre, z, dx, count)
                y = _outputs(member[t, p], z, here, there, W, b, A, sizes)
                for d in range(dx):
                    low, high, unit = (
                        least[member[t, p], d],
                        inverse_max[member[t, p], d],
                        noise[t, p, d],
                    )
                    for c in range(COLUMNS):
                        var = np.divide(np.float32(1), _exp(y[dx + d, c]) + high) + low
                        z[d, c] += y[d, c] + np.sqrt(var) * unit
                _write(z, centre, X[start:, p, t + 1], count)


@kernel
def advance_mean(X, U, W, b, A, centre, sizes):
    """Writes the states 1..H of X (N, 1, H+1, dx) under U (N, H, du), by the mean of the members'
    means.

    States are kept in double precision: small differences of states count where slopes are
    followed.
    """
    N, dx, du, E = X.shape[0], X.shape[3], U.shape[2], W.shape[1]
    z, here, there = _scratch(dx + du, W.shape[2])
    mean = np.empty((dx, COLUMNS), np.float32)
    for start in range(0, N, COLUMNS):
        count = min(COLUMNS, N - start)
        for t in range(U.shape[1]):
            _read(X[start:, 0, t], centre, z, 0, count)
            _read(U[start:, t], centre, z, dx, count)
            mean[:] = 0
            for e in range(E):
                y = _outputs(e, z, here, there, W, b, A, sizes)
                for d in range(dx):
                    mean[d] += y[d] / np.float32(E)
            for c in range(count):
                for d in range(dx):
                    X[start + c, 0, t + 1, d] = X[start + c, 0, t, d] + mean[d, c]


@kernel
def change_each(X, U, begins, noise, change, W, b, A, centre, sizes, least, inverse_max):
    """Draws the changes of state (M, dx) of rows X (M, dx) under U (M, du), each with its own
    noise (M, dx), standard normal.

    Rows begins[e] to begins[e+1] go through member e.
    """
    dx, du = X.shape[1], U.shape[1]
    z, here, there = _scratch(dx + du, W.shape[2])
    for e in range(len(begins) - 1):
        for start in range(begins[e], begins[e + 1], COLUMNS):
            count = min(COLUMNS, begins[e + 1] - start)
            _read(X[start:], centre, z, 0, count)
            _read(U[start:], centre, z, dx, count)
            y = _outputs(e, z, here, there, W, b, A, sizes)
            for d in range(dx):
                low, high = least[e, d], inverse_max[e, d]
                for c in range(count):
                    var = np.divide(np.float32(1), _exp(y[dx + d, c]) + high) + low
                    change[start + c, d] = y[d, c] + np.sqrt(var) * noise[start + c, d]


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    advance, advance_mean = fused_page.advance, fused_page.advance_mean
    change_each = fused_page.change_each
