"""The backward pass of one small problem, compiled for its sizes: a step is straight-line vector
code without loops.

The recursion is that of `riccati`, with the linear and constant terms apart and rows of n numbers
as vectors. What is compiled anew for each size is the steps of one problem alone.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import types

from .jit import COUNTS, FLAT, at_address, kernel, pointer
from .simd import Emitter, emitted

AHEAD, LINE = 750, 8  # numbers that memory is asked for ahead, and those of a line of it
BACKWARD = types.void(types.int64, types.int64, *[FLAT] * 13, COUNTS)
call = at_address(BACKWARD)


@emitted
def step(
    e: Emitter, xs, us, here, now, problem, t, F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed
) -> None:  # fmt: skip
    """Writes one step: `here` counts it in arrays of T steps, `now` in those of T+1."""
    dx, du = xs.type.count, us.type.count
    n, b = dx + du, e.builder
    X, A = range(dx), range(du)

    def row(array, start, i, width):  # row i of the matrix or vector that begins at start
        return e.load(e.at_flat(array, b.add(start, e.index(i * width))), width)

    def number(array, start, i=0):
        return e.number(e.at_flat(array, start, i))

    def times(index, size):
        return b.mul(index, e.index(size))

    steps = max(2, AHEAD // (dx * n + n * n + 2 * dx * dx))
    for array, at, size in (
        (F, here, dx * n),
        (C, now, n * n),
        (W, here, dx * dx),
        (V, now, dx * dx),
    ):
        ahead = times(b.sub(at, e.index(steps)), size)
        for line in range(0, size, LINE):
            e.prefetch(e.at_flat(array, ahead, line))
    then = e.index(now, 1)
    at_V, at_v, at_F = times(then, dx * dx), times(then, dx), times(here, dx * n)
    Fs = [row(F, at_F, i, n) for i in X]
    fs = [number(f, times(here, dx), i) for i in X]
    value = [number(v, at_v, i) for i in X]
    Vs, at_W = [row(V, at_V, i, dx) for i in X], times(here, dx * dx)
    noise = e.total(e.sum_of([(Vs[i], row(W, at_W, i, dx)) for i in X]))
    VF, g = [], row(v, at_v, 0, dx)
    for i in X:
        VF.append(
            e.sum_of([(e.splat(number(V, at_V, max(i, m) * dx + min(i, m)), n), Fs[m]) for m in X])
        )
        g = e.multiply_add(e.splat(fs[i], dx), Vs[i], g)
    g = [b.extract_element(g, e.lane(i)) for i in X]  # V f + v
    corner = e.multiply_add(e.constant(0.5), noise, b.fadd(number(const, now), number(s, then)))
    for i in X:
        corner = e.multiply_add(b.fmul(e.constant(0.5), b.fadd(g[i], value[i])), fs[i], corner)
    Q = [
        e.sum_of(
            [(e.splat(number(F, at_F, i * n + a), n), VF[i]) for i in X],
            row(C, times(now, n * n), a, n),
        )
        for a in range(n)
    ]
    q = e.sum_of([(e.splat(g[i], n), Fs[i]) for i in X], row(c, times(now, n), 0, n))

    good, L, pivots = None, {}, []
    sure = [b.extract_element(Q[dx + j], e.lane(dx + j)) for j in A]
    for j in A:
        u, pivot = Q[dx + j], b.extract_element(Q[dx + j], e.lane(dx + j))
        for test in (
            b.fcmp_ordered(">", pivot, b.fmul(e.constant(1e-14), e.absolute(sure[j]))),
            b.fcmp_ordered(">", pivot, e.constant(0.0)),
            b.fcmp_ordered("<", pivot, e.constant(np.inf)),
        ):
            good = test if good is None else b.and_(good, test)
        pivots.append(b.fdiv(e.constant(1.0), pivot))
        scaled = b.fmul(u, e.splat(pivots[j], n))
        entries = [b.extract_element(scaled, e.lane(i)) for i in range(n)]
        for i in [*X, *range(dx + j + 1, n)]:
            Q[i] = e.multiply_add(e.splat(b.fneg(entries[i]), n), u, Q[i])
            if i >= dx:
                L[i - dx, j] = entries[i]
        linear = b.extract_element(q, e.lane(dx + j))
        corner = e.multiply_add(b.fmul(e.constant(-0.5), b.fmul(linear, pivots[j])), linear, corner)
        q = e.multiply_add(e.splat(b.fneg(linear), n), scaled, q)
        Q[dx + j], L[j, j] = scaled, b.fneg(b.fmul(linear, pivots[j]))
    gains: dict = {}
    for j in reversed(A):
        gain, offset = b.fneg(Q[dx + j]), L[j, j]
        for m in range(j + 1, du):
            minus = b.fneg(L[m, j])
            gain = e.multiply_add(e.splat(minus, n), gains[m][0], gain)
            offset = e.multiply_add(minus, gains[m][1], offset)
        gains[j] = gain, offset
    for j in A:
        e.store(e.part(gains[j][0], dx), e.at_flat(K, b.add(times(here, du * dx), e.index(j * dx))))
        e.store(gains[j][1], e.at_flat(k, times(here, du), j))
    for i in X:
        e.store(e.part(Q[i], dx), e.at_flat(V, b.add(times(now, dx * dx), e.index(i * dx))))
    e.store(e.part(q, dx), e.at_flat(v, times(now, dx)))
    e.store(corner, e.at_flat(s, now))
    b.store(b.select(good, e.index(-1), t), e.at_flat(failed, problem))

    weight = number(tau, here)
    with b.if_then(b.fcmp_ordered(">", weight, e.constant(0.0))):
        M = {(i, i): e.constant(1.0) for i in A}  # the inverse of the unit lower factor
        for i in A:
            for j in range(i):
                M[i, j] = b.fneg(e.sum_of([(L[i, m], M[m, j]) for m in range(j, i)]))
        for i in A:
            for j in range(i + 1):
                entry = e.sum_of([(b.fmul(M[m, i], pivots[m]), M[m, j]) for m in range(i, du)])
                for place in (i * du + j, j * du + i):
                    e.store(b.fmul(weight, entry), e.at_flat(cov, times(here, du * du), place))
        for pivot in pivots:
            logarithm = e.log(b.fmul(b.fmul(e.constant(2 * np.pi), weight), pivot))
            corner = b.fsub(corner, b.fmul(b.fmul(e.constant(0.5), weight), logarithm))
        e.store(corner, e.at_flat(s, now))


@lru_cache
def backward_steps(dx: int, du: int) -> Any:
    """Returns the recursion over the steps of one problem of these sizes, compiled in a tenth of a
    second.
    """
    xs, us = (0,) * dx, (0,) * du

    def of_one(b, T, F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed):
        for t in range(T - 1, -1, -1):
            here, now = b * T + t, b * (T + 1) + t
            step(xs, us, here, now, b, t, F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed)
            if failed[b] >= 0:
                break

    return pointer(of_one, BACKWARD)


@kernel
def _backward_small(address, todo, F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed):
    T, dx = F.shape[1:3]
    Ff = F.reshape(-1)
    ff = f.reshape(-1)
    Wf = W.reshape(-1)
    Cf = C.reshape(-1)
    cf = c.reshape(-1)
    sf = const.reshape(-1)
    tf, Kf, kf, Sf = tau.reshape(-1), K.reshape(-1), k.reshape(-1), cov.reshape(-1)
    Vf, vf, of = V.reshape(-1), v.reshape(-1), s.reshape(-1)
    for b in todo:
        failed[b] = -1
        s[b, T] = const[b, T]
        for i in range(dx):
            v[b, T, i] = c[b, T, i]
            for j in range(dx):
                V[b, T, i, j] = C[b, T, i, j]
        call(address, b, T, Ff, ff, Wf, Cf, cf, sf, tf, Kf, kf, Sf, Vf, vf, of, failed)
