"""The backward pass over eight small problems at once: the problem is the innermost axis, one vector lane each.

The same recursion as `passes._backward`; it pays for batches of small problems, where one problem cannot fill a vector.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import make_array

from .jit import intrinsic, kernel, part
from .types import Array

LANES = 8
LARGEST = 16  # above this n, one problem fills the vectors by itself


def backward_lanes(
    F: Array, f: Array, W: Array, C: Array, c: Array, const: Array, tau: Array, out: tuple[Array, ...]
) -> None:
    """Writes K, k, cov, V, v, const and the failed step of each problem into `out`; every array has one batch axis."""
    _backward_lanes(F, f, W, C, c, const, tau, *out)


def _accumulator(columns):
    """Returns an intrinsic that adds sign * sum_m A[m, a] B[m, b+q] to out[i, j+q] for q < columns, m in start..stop.

    Every entry is a vector of eight lanes; the sums stay in registers.
    """

    @intrinsic
    def accumulate(typing, sign, out, i, j, A, a, B, b, start, stop):
        def build(context, builder, signature, values):
            sign, _, i, j, _, a, _, b, start, stop = values
            out, A, B = (make_array(signature.args[n])(context, builder, values[n]) for n in (1, 4, 6))
            vector, lane = ir.VectorType(ir.DoubleType(), 8), ir.IntType(32)

            def entry(array, row, column, q):
                index = builder.add(builder.mul(row, builder.extract_value(array.shape, 1)), column)
                index = builder.mul(builder.add(index, ir.Constant(i.type, q)), ir.Constant(i.type, 8))
                return builder.bitcast(builder.gep(array.data, [index]), vector.as_pointer())

            def multiply_add(x, y, z):
                return builder.fadd(z, builder.fmul(x, y, flags=("contract",)), flags=("contract",))

            sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * 8)) for _ in range(columns)]
            with cgutils.for_range_slice(builder, start, stop, ir.Constant(i.type, 1)) as (m, _):
                x = builder.load(entry(A, m, a, 0), align=8)
                for q, total in enumerate(sums):
                    y = builder.load(entry(B, m, b, q), align=8)
                    builder.store(multiply_add(x, y, builder.load(total)), total)
            undefined = ir.Constant(vector, ir.Undefined)
            first = builder.insert_element(undefined, sign, ir.Constant(lane, 0))
            signs = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(lane, 8), [0] * 8))
            for q, total in enumerate(sums):
                here = entry(out, i, j, q)
                builder.store(multiply_add(signs, builder.load(total), builder.load(here, align=8)), here, align=8)
            return context.get_dummy_value()

        return types.void(sign, out, *(types.intp,) * 2, A, types.intp, B, *(types.intp,) * 3), build

    return accumulate


_accumulate = _accumulator(1)
_accumulate4 = _accumulator(4)


def _mover(into_lanes):
    """Returns an intrinsic that copies between flat[offset + l * stride + e] and lanes[i, j + e, l], e < count."""

    @intrinsic
    def move(typing, flat, offset, stride, lanes, i, j, count):
        def build(context, builder, signature, values):
            _, offset, stride, _, i, j, count = values
            flat, lanes = (make_array(signature.args[n])(context, builder, values[n]) for n in (0, 3))
            vector, width = ir.VectorType(ir.DoubleType(), 8), builder.extract_value(lanes.shape, 1)
            starts = [builder.add(offset, builder.mul(stride, ir.Constant(i.type, l))) for l in range(8)]
            corner = builder.add(builder.mul(i, width), j)
            with cgutils.for_range(builder, count) as loop:
                place = builder.mul(builder.add(corner, loop.index), ir.Constant(i.type, 8))
                packed = builder.bitcast(builder.gep(lanes.data, [place]), vector.as_pointer())
                single = [builder.gep(flat.data, [builder.add(start, loop.index)]) for start in starts]
                value = ir.Constant(vector, ir.Undefined) if into_lanes else builder.load(packed, align=8)
                for l, pointer in enumerate(single):
                    lane = ir.Constant(ir.IntType(32), l)
                    if into_lanes:
                        value = builder.insert_element(value, builder.load(pointer), lane)
                    else:
                        builder.store(builder.extract_element(value, lane), pointer)
                if into_lanes:
                    builder.store(value, packed, align=8)
            return context.get_dummy_value()

        return types.void(flat, types.intp, types.intp, lanes, *(types.intp,) * 3), build

    return move


@intrinsic
def _copy(typing, sign, A, a, b, out, i, j, count):
    """Writes sign * A[a, b + e] to out[i, j + e] for e < count, eight lanes at a time."""

    def build(context, builder, signature, values):
        sign, _, a, b, _, i, j, count = values
        A, out = (make_array(signature.args[n])(context, builder, values[n]) for n in (1, 4))
        vector, lane = ir.VectorType(ir.DoubleType(), 8), ir.IntType(32)
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, sign, ir.Constant(lane, 0))
        signs = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(lane, 8), [0] * 8))

        def entry(array, row, column):
            index = builder.add(builder.mul(row, builder.extract_value(array.shape, 1)), column)
            pointer = builder.gep(array.data, [builder.mul(index, ir.Constant(i.type, 8))])
            return builder.bitcast(pointer, vector.as_pointer())

        with cgutils.for_range(builder, count) as loop:
            value = builder.load(entry(A, a, builder.add(b, loop.index)), align=8)
            builder.store(builder.fmul(signs, value), entry(out, i, builder.add(j, loop.index)), align=8)
        return context.get_dummy_value()

    return types.void(sign, A, types.intp, types.intp, out, *(types.intp,) * 3), build


_pack = _mover(into_lanes=True)
_unpack = _mover(into_lanes=False)


@part
def _accumulate_row(sign, out, i, A, a, B, count, start, stop):
    """Adds sign * sum_m A[m, a] * B[m, j] to out[i, j] for every j < count."""
    j = 0
    while j + 4 <= count:
        _accumulate4(sign, out, i, j, A, a, B, j, start, stop)
        j += 4
    while j < count:
        _accumulate(sign, out, i, j, A, a, B, j, start, stop)
        j += 1


@part
def _scale(G, i, width, L):
    """Multiplies row i of G by the reciprocal pivot L[i, i]."""
    p = L[i, i]
    p0, p1, p2, p3, p4, p5, p6, p7 = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
    for j in range(width):
        g = G[i, j]
        x0, x1, x2, x3, x4, x5, x6, x7 = g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]
        g[0], g[1], g[2], g[3] = x0 * p0, x1 * p1, x2 * p2, x3 * p3
        g[4], g[5], g[6], g[7] = x4 * p4, x5 * p5, x6 * p6, x7 * p7


@kernel
def _backward_lanes(F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed):
    B, T, dx, n = F.shape
    du = n - dx
    Fl, VF = np.empty((dx, n + 1, 8)), np.empty((dx, n + 1, 8))  # [F f], [V F, V f + v]
    Q, Qux = np.empty((n, n + 1, 8)), np.empty((du, dx, 8))  # [Q q]
    Vl, Wl, trace = np.empty((dx, dx + 1, 8)), np.empty((dx, dx, 8)), np.empty((1, 1, 8))  # [V v]
    L, Lt, G = np.empty((du, du, 8)), np.empty((du, du, 8)), np.empty((du, dx + 1 + du, 8))  # [K k Quu^-1]
    offset, zero = np.empty(8), np.zeros((1, n, 8))
    Ff, ff, Wf, Cf, cf = F.reshape(-1), f.reshape(-1), W.reshape(-1), C.reshape(-1), c.reshape(-1)
    kf, Kf, covf, Vf, vf = k.reshape(-1), K.reshape(-1), cov.reshape(-1), V.reshape(-1), v.reshape(-1)
    for group in range(0, B, 8):
        first = min(group, B - 8)  # the last group may do some problems again
        for l in range(8):
            b = first + l
            offset[l] = s[b, T] = const[b, T]
            for i in range(dx):
                Vl[i, dx, l] = v[b, T, i] = c[b, T, i]
                for j in range(dx):
                    Vl[i, j, l] = V[b, T, i, j] = C[b, T, i, j]
        for t in range(T - 1, -1, -1):
            noisy = False
            for l in range(8):
                noisy = noisy or tau[first + l, t] > 0
                trace[0, 0, l] = 0.0
            here, now = first * T + t, first * (T + 1) + t
            for i in range(dx):
                _pack(Ff, (here * dx + i) * n, T * dx * n, Fl, i, 0, n)
                _pack(ff, here * dx + i, T * dx, Fl, i, n, 1)
                _pack(Wf, (here * dx + i) * dx, T * dx * dx, Wl, i, 0, dx)
                _copy(1.0, zero, 0, 0, VF, i, 0, n)
                _copy(1.0, Vl, i, dx, VF, i, n, 1)
            for i in range(n):
                _pack(Cf, (now * n + i) * n, (T + 1) * n * n, Q, i, 0, i + 1)
                _pack(cf, now * n + i, (T + 1) * n, Q, i, n, 1)
            for i in range(dx):
                _accumulate(1.0, trace, 0, 0, Vl, i, Wl, i, 0, dx)
                _accumulate_row(1.0, VF, i, Vl, i, Fl, n + 1, 0, dx)
            for i in range(n):
                _accumulate(1.0, Q, i, n, Fl, i, VF, n, 0, dx)
                _accumulate_row(1.0, Q, i, Fl, i, VF, i + 1, 0, dx)
            for j in range(du):
                for i in range(j, du):
                    _copy(1.0, Q, dx + i, dx + j, Lt, j, i, 1)
                    _accumulate(-1.0, Lt, j, i, Lt, i, Lt, j, 0, j)
                    for l in range(8):
                        a = Lt[j, i, l]
                        if i > j:
                            a *= L[j, j, l]
                        else:
                            good = a > 1e-14 * abs(Q[dx + j, dx + j, l]) and a > 0.0 and a < np.inf
                            if not good and failed[first + l] < 0:
                                failed[first + l] = t
                            a = 1.0 / np.sqrt(a) if good else 1.0
                        Lt[j, i, l] = L[i, j, l] = a
            width = dx + 1 + (du if noisy else 0)
            for i in range(du):
                _copy(1.0, Q, dx + i, 0, Qux, i, 0, dx)
                _copy(-1.0, Q, dx + i, 0, G, i, 0, dx)
                _copy(-1.0, Q, dx + i, n, G, i, dx, 1)
                if noisy:
                    _copy(1.0, zero, 0, 0, G, i, dx + 1, du)
                    for l in range(8):
                        G[i, dx + 1 + i, l] = 1.0
            for i in range(du):
                _accumulate_row(-1.0, G, i, Lt, i, G, width, 0, i)
                _scale(G, i, width, L)
            for i in range(du - 1, -1, -1):
                _accumulate_row(-1.0, G, i, L, i, G, width, i + 1, du)
                _scale(G, i, width, L)
            for l in range(8):
                b = first + l
                offset[l] += const[b, t] + 0.5 * trace[0, 0, l]
                for i in range(dx):
                    offset[l] += 0.5 * (VF[i, n, l] + Vl[i, dx, l]) * Fl[i, n, l]
                for i in range(du):
                    offset[l] += 0.5 * Q[dx + i, n, l] * G[i, dx, l]
                if tau[b, t] > 0:
                    offset[l] -= 0.5 * tau[b, t] * du * np.log(2 * np.pi * tau[b, t])
                    for i in range(du):
                        offset[l] -= tau[b, t] * np.log(L[i, i, l])
            for i in range(dx):
                _accumulate(1.0, Q, i, n, Qux, i, G, dx, 0, du)
                _accumulate_row(1.0, Q, i, Qux, i, G, i + 1, 0, du)
                _copy(1.0, Q, i, n, Vl, i, dx, 1)
                _copy(1.0, Q, i, 0, Vl, i, 0, i + 1)
                for j in range(i):
                    _copy(1.0, Q, i, j, Vl, j, i, 1)
            for i in range(du):
                _unpack(Kf, (here * du + i) * dx, T * du * dx, G, i, 0, dx)
                _unpack(kf, here * du + i, T * du, G, i, dx, 1)
                if noisy:
                    for l in range(8):
                        for j in range(du):
                            G[i, dx + 1 + j, l] *= tau[first + l, t]
                    _unpack(covf, (here * du + i) * du, T * du * du, G, i, dx + 1, du)
            for i in range(dx):
                _unpack(Vf, (now * dx + i) * dx, (T + 1) * dx * dx, Vl, i, 0, dx)
                _unpack(vf, now * dx + i, (T + 1) * dx, Vl, i, dx, 1)
            for l in range(8):
                s[first + l, t] = offset[l]
