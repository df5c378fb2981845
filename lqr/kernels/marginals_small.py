"""The forward pass and the divergence of one small problem, compiled for its sizes, as in
`riccati_small`.

P (dx, dx) and m (dx,) hold the distribution of the state; each step is straight-line vector code.
"""

from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numba import types

from .jit import FLAT, at_address, kernel, part, pointer
from .simd import Emitter, emitted

FORWARD = types.void(types.int64, types.int64, *[FLAT] * 10)
DIVERGENCE = types.void(types.int64, types.int64, *[FLAT] * 13)
call_forward, call_divergence = at_address(FORWARD), at_address(DIVERGENCE)


class Reader:
    """Rows and numbers of matrices that lie one after the other in a flat array."""

    def __init__(self, e: Emitter, array: Any, at: Any, rows: int, columns: int) -> None:
        self.e = e
        self.array = array
        self.rows = rows
        self.columns = columns
        self.start = e.builder.mul(at, e.index(rows * columns))

    def row(self, i: int = 0) -> Any:
        return self.e.load(self.e.at_flat(self.array, self.start, i * self.columns), self.columns)

    def all(self) -> list[Any]:
        return [self.row(i) for i in range(self.rows)]

    def number(self, i: int, j: int = 0) -> Any:
        return self.e.number(self.e.at_flat(self.array, self.start, i * self.columns + j))

    def write(self, value: Any, i: int = 0, j: int = 0) -> None:
        self.e.store(value, self.e.at_flat(self.array, self.start, i * self.columns + j))


@emitted
def advance(e: Emitter, xs, us, at, K, k, S, F, f, W, P, m) -> None:
    """Replaces P and m by those of the next state."""
    dx, du, zero = xs.type.count, us.type.count, e.index(0)
    n, X, A = dx + du, range(dx), range(du)
    matrix = Reader(e, F, at, dx, n)
    gain = Reader(e, K, at, du, dx).all()
    noise = Reader(e, S, at, du, du).all()
    drift, added, open_loop = Reader(e, k, at, du, 1), Reader(e, W, at, dx, dx), matrix.all()
    spread, mean = Reader(e, P, zero, dx, dx), Reader(e, m, zero, dx, 1)
    before, mean_before = spread.all(), [mean.number(i) for i in X]
    Fu = [[matrix.number(i, dx + u) for u in A] for i in X]
    closed = [
        e.sum_of([(e.splat(Fu[i][u], dx), gain[u]) for u in A], e.part(open_loop[i], dx)) for i in X
    ]
    columns, actions = e.columns(closed), e.columns(open_loop)[dx:]
    for i in X:
        row = e.sum_of([(e.splat(e.element(closed[i], j), dx), before[j]) for j in X])
        stirred = e.sum_of([(e.splat(Fu[i][u], du), noise[u]) for u in A])
        parts = [(e.splat(e.element(row, j), dx), columns[j]) for j in X]
        parts += [(e.splat(e.element(stirred, u), dx), actions[u]) for u in A]
        spread.write(e.sum_of(parts, added.row(i)), i)
    parts = [(e.splat(mean_before[j], dx), columns[j]) for j in X]
    parts += [(e.splat(drift.number(u), dx), actions[u]) for u in A]
    mean.write(e.sum_of(parts, Reader(e, f, at, 1, dx).row()))


@emitted
def mark(e: Emitter, xs, us, at, now, K, k, S, P, m, mean, cov) -> None:
    """Writes the joint mean and covariance of state and action at one step."""
    dx, du, zero = xs.type.count, us.type.count, e.index(0)
    n, X, A = dx + du, range(dx), range(du)
    gain, noise, drift = Reader(e, K, at, du, dx), Reader(e, S, at, du, du), Reader(e, k, at, du, 1)
    spread, state = Reader(e, P, zero, dx, dx).all(), Reader(e, m, zero, 1, dx).row()
    means = Reader(e, mean, now, n, 1)
    joint = Reader(e, cov, now, n, n)
    lag = e.columns(Reader(e, K, at, du, dx).all())
    means.write(state)
    for i in X:
        joint.write(spread[i], i)
    for u in A:
        means.write(
            e.builder.fadd(drift.number(u), e.total(e.builder.fmul(gain.row(u), state))), dx + u
        )
        cross = e.sum_of([(e.splat(gain.number(u, j), dx), spread[j]) for j in X])
        joint.write(cross, dx + u)
        for j in X:
            joint.write(e.element(cross, j), j, dx + u)
        joint.write(
            e.sum_of([(e.splat(e.element(cross, j), du), lag[j]) for j in X], noise.row(u)),
            dx + u,
            dx,
        )


@emitted
def diverge(e: Emitter, xs, us, at, K, k, S, Ka, ka, precision, logdet, P, m, kl) -> None:
    """Writes the expected divergence of one step; NaN where S is not positive definite."""
    dx, du, zero, b = xs.type.count, us.type.count, e.index(0), e.builder
    X, A = range(dx), range(du)
    new, old = Reader(e, K, at, du, dx), Reader(e, Ka, at, du, dx)
    drift, drift_old = Reader(e, k, at, du, 1), Reader(e, ka, at, du, 1)
    noise, weight = Reader(e, S, at, du, du), Reader(e, precision, at, du, du)
    spread, mean = Reader(e, P, zero, dx, dx).all(), Reader(e, m, zero, 1, dx).row()
    D = [b.fsub(new.row(u), old.row(u)) for u in A]
    gap = [
        b.fadd(b.fsub(drift.number(u), drift_old.number(u)), e.total(b.fmul(D[u], mean))) for u in A
    ]
    moved = []
    for u in A:
        through = e.sum_of([(e.splat(e.element(D[u], j), dx), spread[j]) for j in X])
        weighed = e.sum_of([(e.splat(weight.number(u, w), dx), D[w]) for w in A])
        moved.append((through, weighed))
    total = b.fadd(
        e.total(e.sum_of(moved)), b.fsub(e.number(e.at_flat(logdet, at)), e.constant(du))
    )
    for u, w in product(A, A):
        total = e.multiply_add(
            weight.number(u, w), e.multiply_add(gap[u], gap[w], noise.number(u, w)), total
        )
    U, good = {(i, j): noise.number(i, j) for i in A for j in range(i + 1)}, None
    for j in A:
        pivot = U[j, j]
        positive = b.fcmp_ordered(">", pivot, e.constant(0.0))
        good = positive if good is None else b.and_(good, positive)
        total = b.fsub(total, e.log(pivot))
        for i in range(j + 1, du):
            minus = b.fneg(b.fdiv(U[i, j], pivot))
            for q in range(j + 1, i + 1):
                U[i, q] = e.multiply_add(minus, U[q, j], U[i, q])
    half = b.fmul(e.constant(0.5), total)
    half = b.select(b.fcmp_ordered("<", half, e.constant(0.0)), e.constant(0.0), half)
    e.store(b.select(good, half, e.constant(np.nan)), e.at_flat(kl, at))


@lru_cache
def forward_steps(dx: int, du: int) -> Any:
    """Returns the pass over the steps of one problem of these sizes."""
    xs, us = (0,) * dx, (0,) * du

    def of_one(b, T, K, k, S, F, f, W, P, m, mean, cov):
        for t in range(T):
            mark(xs, us, b * T + t, b * (T + 1) + t, K, k, S, P, m, mean, cov)
            advance(xs, us, b * T + t, K, k, S, F, f, W, P, m)

    return pointer(of_one, FORWARD)


@lru_cache
def divergence_steps(dx: int, du: int) -> Any:
    """Returns the divergence of the steps of one problem of these sizes."""
    xs, us = (0,) * dx, (0,) * du

    def of_one(b, T, K, k, S, Ka, ka, precision, logdet, F, f, W, P, m, kl):
        for t in range(T):
            diverge(xs, us, b * T + t, K, k, S, Ka, ka, precision, logdet, P, m, kl)
            advance(xs, us, b * T + t, K, k, S, F, f, W, P, m)

    return pointer(of_one, DIVERGENCE)


@part
def _begin(b, m0, P0, m, P):
    """Writes the distribution of the first state, (dx,) and (dx dx,)."""
    dx = m0.shape[1]
    for i in range(dx):  # not as slices, whose compilation takes seconds
        m[i] = m0[b, i]
        for j in range(dx):
            P[i * dx + j] = P0[b, i, j]


@kernel
def _forward_small(address, K, k, S, F, f, W, m0, P0, mean, cov):
    B, T, dx, _ = F.shape
    Kf, kf, Sf, Ff, ff = K.reshape(-1), k.reshape(-1), S.reshape(-1), F.reshape(-1), f.reshape(-1)
    Wf, meanf, covf = W.reshape(-1), mean.reshape(-1), cov.reshape(-1)
    P, m = np.empty(dx * dx), np.empty(dx)
    for b in range(B):
        _begin(b, m0, P0, m, P)
        call_forward(address, b, T, Kf, kf, Sf, Ff, ff, Wf, P, m, meanf, covf)
        for i in range(dx):
            mean[b, T, i] = m[i]
            for j in range(dx):
                cov[b, T, i, j] = P[i * dx + j]


@kernel
def _divergence_small(address, todo, K, k, S, Ka, ka, precision, logdet, F, f, W, m0, P0, kl):
    T, dx = F.shape[1:3]
    Kf, kf, Sf, Ff, ff = K.reshape(-1), k.reshape(-1), S.reshape(-1), F.reshape(-1), f.reshape(-1)
    Kaf, kaf, Pf = Ka.reshape(-1), ka.reshape(-1), precision.reshape(-1)
    Wf, lf, klf = W.reshape(-1), logdet.reshape(-1), kl.reshape(-1)
    P, m = np.empty(dx * dx), np.empty(dx)
    for b in todo:
        _begin(b, m0, P0, m, P)
        call_divergence(address, b, T, Kf, kf, Sf, Kaf, kaf, Pf, lf, Ff, ff, Wf, P, m, klf)
