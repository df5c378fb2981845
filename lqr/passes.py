"""The two passes of LQR: values flow backward, distributions flow forward.

The problem, for T steps of affine dynamics with Gaussian noise and a quadratic cost, is

    minimise  E sum_t [ 1/2 xu' C xu + c' xu + const ]  -  sum_t tau_t H(u_t | x_t)

over controllers u ~ N(K x + k, cov). tau = 0 is LQR, tau > 0 is maximum-entropy LQR, whose covariance is tau Quu^-1
(Levine & Abbeel 2014, section 3). All functions take any leading axes and treat them as a batch.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import make_array

from .batching import flatten, restore, with_batch
from .errors import NotPositiveDefinite
from .jit import intrinsic, kernel, part
from .lanes import LANES, LARGEST, backward_lanes
from .types import (
    Array,
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    QuadraticValue,
    TrajectoryDistribution,
)


def backward(
    dynamics: LinearGaussianDynamics, cost: QuadraticCost, temperature: float | Array = 0.0
) -> tuple[LinearGaussianController, QuadraticValue]:
    """Returns the optimal controller and its value function, by the Riccati recursion.

    `temperature` is tau above: a number, or (..., T). Raises NotPositiveDefinite, with the step, where Quu is not.
    """
    lead, ((F, f, W), (C, c, const)) = flatten(dynamics, cost)
    T = F.shape[1]
    tau = temperatures(temperature, lead, T)
    K, k, cov, V, v, s, failed = backward_flat(F, f, W, C, c, const, tau)
    if (failed >= 0).any():
        b = int(np.argmax(failed >= 0))
        raise NotPositiveDefinite(
            f"Quu at step {failed[b]} of problem {b} is not positive definite, so no minimum exists; "
            "raise the cost of actions, or make the cost convex first",
            batch=b,
            t=int(failed[b]),
        )
    return LinearGaussianController(*restore(lead, K, k, cov)), QuadraticValue(*restore(lead, V, v, s))


def forward(
    controller: LinearGaussianController, dynamics: LinearGaussianDynamics, x0: Gaussian
) -> TrajectoryDistribution:
    """Returns the marginals of [x; u] under the controller, from x0 on."""
    lead, ((K, k, S), (F, f, W), (m0, P0)) = flatten(controller, dynamics, x0)
    return TrajectoryDistribution(*restore(lead, *forward_flat(K, k, S, F, f, W, m0, P0)))


def expected_cost(distribution: TrajectoryDistribution, cost: QuadraticCost) -> Array:
    """Returns the exact expected cost of each step, (..., T+1), under the marginals."""
    mean, cov = distribution
    C, c, const = cost
    quadratic = np.einsum("...i,...ij,...j->...", mean, C, mean) + np.einsum("...ij,...ji->...", C, cov)
    return 0.5 * quadratic + np.einsum("...i,...i->...", c, mean) + const


def temperatures(temperature: float | Array, lead: tuple[int, ...], T: int) -> Array:
    """Returns a temperature for each problem and step, (B, T), from a number or (..., T)."""
    return with_batch(np.broadcast_to(np.asarray(temperature, dtype=float), (*lead, T)), lead, 1)


def backward_flat(
    F: Array, f: Array, W: Array, C: Array, c: Array, const: Array, tau: Array, out: tuple[Array, ...] | None = None
) -> tuple[Array, ...]:
    """Returns K, k, cov, V, v, const and, for each problem, the step where Quu is not positive definite, or -1.

    `out` are such arrays, to be written over; those of a first call will do.
    """
    B, T, dx, n = F.shape
    if out is None:
        out = (*outputs(B, T, dx, n - dx), np.empty((B, T + 1, dx, dx)), np.empty((B, T + 1, dx)), np.empty((B, T + 1)),
               np.empty(B, int))  # fmt: skip
    out[-1][:] = -1
    if B >= LANES and n <= LARGEST:
        backward_lanes(F, f, W, C, c, const, tau, out)
    else:
        _backward(F, f, W, C, c, const, tau, *out)
    return out


def outputs(B: int, T: int, dx: int, du: int) -> tuple[Array, Array, Array]:
    """Returns room for K, k and cov of B controllers; cov is zero, and stays so where there is no temperature."""
    return np.empty((B, T, du, dx)), np.empty((B, T, du)), np.zeros((B, T, du, du))


def forward_flat(
    K: Array, k: Array, S: Array, F: Array, f: Array, W: Array, m0: Array, P0: Array
) -> tuple[Array, Array]:
    """Returns the means (B, T+1, n) and covariances (B, T+1, n, n) of xu."""
    B, T, _, n = F.shape
    mean, cov = np.zeros((B, T + 1, n)), np.zeros((B, T + 1, n, n))
    _forward(K, k, S, F, f, W, m0, P0, mean, cov)
    return mean, cov


@part
def _cholesky(A, L):
    """Writes the lower factor, with reciprocal pivots; False if a pivot is not safely positive (NaN included)."""
    d = len(A)
    for j in range(d):
        for i in range(j, d):
            s = A[i, j]
            for m in range(j):
                s -= L[i, m] * L[j, m]
            if i == j:
                if not (s > 1e-14 * abs(A[j, j]) and s > 0.0 and s < np.inf):
                    return False
                L[j, j] = 1.0 / np.sqrt(s)
            else:
                L[i, j] = s * L[j, j]
    return True


@part
def _solve(L, B):
    """Solves L L' X = B in place, B (d, m), for L of `_cholesky`."""
    d, m = B.shape
    for i in range(d):
        for j in range(i):
            for q in range(m):
                B[i, q] -= L[i, j] * B[j, q]
        for q in range(m):
            B[i, q] *= L[i, i]
    for i in range(d - 1, -1, -1):
        for j in range(i + 1, d):
            for q in range(m):
                B[i, q] -= L[j, i] * B[j, q]
        for q in range(m):
            B[i, q] *= L[i, i]


@intrinsic
def _add_tile(typing, A, i, B, j, out):
    """Adds to out[i:i+4, j:j+8] the product A[:, i:i+4]' B[:, j:j+8], kept in vector registers over the sum."""

    def build(context, builder, signature, values):
        A, B, out = (make_array(signature.args[n])(context, builder, values[n]) for n in (0, 2, 4))
        i, j, m = values[1], values[3], builder.extract_value(A.shape, 0)
        vector, integer = ir.VectorType(ir.DoubleType(), 8), i.type

        def at(array, row, column):
            return builder.gep(
                array.data, [builder.add(builder.mul(row, builder.extract_value(array.shape, 1)), column)]
            )

        def row_of(array, row, column):
            return builder.bitcast(at(array, row, column), vector.as_pointer())

        rows = [builder.add(i, ir.Constant(integer, n)) for n in range(4)]
        sums = [cgutils.alloca_once_value(builder, builder.load(row_of(out, row, j), align=8)) for row in rows]
        for row, total in zip(rows, sums, strict=True):
            builder.store(builder.load(row_of(out, row, j), align=8), total)
        with cgutils.for_range(builder, m) as loop:
            b = builder.load(row_of(B, loop.index, j), align=8)
            for row, total in zip(rows, sums, strict=True):
                lane = builder.insert_element(
                    ir.Constant(vector, ir.Undefined),
                    builder.load(at(A, loop.index, row)),
                    ir.Constant(ir.IntType(32), 0),
                )
                mask = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
                a = builder.shuffle_vector(lane, ir.Constant(vector, ir.Undefined), mask)
                product = builder.fmul(a, b, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for row, total in zip(rows, sums, strict=True):
            builder.store(builder.load(total), row_of(out, row, j), align=8)
        return context.get_dummy_value()

    return types.void(A, types.intp, B, types.intp, out), build


@part
def _add_product(A, B, out, p, q, lower):
    """Adds A' B to `out`, rows 0..p and columns 0..q, of a symmetric product only the lower triangle if `lower`.

    Rows are padded to a multiple of 4 and columns to a multiple of 8, in all three arrays.
    """
    for i in range(0, p, 4):
        for j in range(0, i + 4 if lower else q, 8):
            _add_tile(A, i, B, j, out)


@part
def _padded(d):
    """The row length for d columns: whole vectors, and never a stride that maps all rows to few cache sets."""
    d8 = (d + 7) // 8 * 8
    return d8 + 8 if d8 % 32 == 0 else d8


@kernel
def _backward(F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed):
    B, T, dx, n = F.shape
    du = n - dx
    n8, x8 = _padded(n), _padded(dx)
    Fp, VF, Q, q = np.zeros((dx, n8)), np.empty((dx + 3, n8)), np.zeros((n + 6, n8)), np.empty(n)
    Vp, Vf, noise = np.zeros((dx, x8)), np.empty(dx), np.empty(dx)
    L, Quu, Qux, Kp = np.zeros((du, du)), np.empty((du, du)), np.zeros((du, x8)), np.zeros((du, x8))
    G, inverse = np.empty((du, dx + 1)), np.empty((du, du))
    for b in range(B):
        for i in range(dx):
            v[b, T, i] = c[b, T, i]
            for j in range(dx):
                V[b, T, i, j] = Vp[i, j] = C[b, T, i, j]
        s[b, T] = const[b, T]
        for t in range(T - 1, -1, -1):
            for i in range(n):
                q[i] = c[b, t, i]
                for j in range(n):
                    Q[i, j] = C[b, t, i, j]
            for i in range(dx):  # early, so that the stores have landed before whole vectors are read
                for j in range(n):
                    Fp[i, j] = F[b, t, i, j]
            offset = const[b, t] + s[b, t + 1]
            for i in range(dx):
                Vf[i] = v[b, t + 1, i]
                noise[i] = 0.0
            for i in range(dx):
                for j in range(dx):
                    Vf[j] += Vp[i, j] * f[b, t, i]
                    noise[j] += Vp[i, j] * W[b, t, i, j]
            for i in range(dx):
                offset += 0.5 * ((Vf[i] + v[b, t + 1, i]) * f[b, t, i] + noise[i])
                for j in range(n):
                    q[j] += F[b, t, i, j] * Vf[i]
            VF[:] = 0.0
            _add_product(Vp, Fp, VF, dx, n, False)
            _add_product(Fp, VF, Q, n, n, True)
            for i in range(du):
                for j in range(i + 1):
                    Quu[i, j] = Q[dx + i, dx + j]
                for j in range(dx):
                    Qux[i, j] = Q[dx + i, j]
                    G[i, j] = -Q[dx + i, j]
                G[i, dx] = -q[dx + i]
            if not _cholesky(Quu, L):
                failed[b] = t
                break
            _solve(L, G)  # [K k]
            for i in range(du):
                k[b, t, i] = G[i, dx]
                offset += 0.5 * q[dx + i] * G[i, dx]
                for j in range(dx):
                    K[b, t, i, j] = Kp[i, j] = G[i, j]
                    q[j] += Qux[i, j] * G[i, dx]
            if tau[b, t] > 0:
                for i in range(du):
                    for j in range(du):
                        inverse[i, j] = 1.0 if i == j else 0.0
                _solve(L, inverse)
                offset -= 0.5 * tau[b, t] * du * np.log(2 * np.pi * tau[b, t])
                for i in range(du):
                    offset -= tau[b, t] * np.log(L[i, i])
                    for j in range(du):
                        cov[b, t, i, j] = 0.5 * tau[b, t] * (inverse[i, j] + inverse[j, i])
            _add_product(Kp, Qux, Q, dx, dx, True)
            for i in range(dx):
                v[b, t, i] = q[i]
                for j in range(i + 1):
                    V[b, t, i, j] = V[b, t, j, i] = Vp[i, j] = Vp[j, i] = Q[i, j]
            s[b, t] = offset


@kernel
def _forward(K, k, S, F, f, W, m0, P0, mean, cov):
    B, T, dx, n = F.shape
    du = n - dx
    n8, x8, u8 = _padded(n), _padded(dx), _padded(du)
    P, Z, Ft, ZF = np.zeros((dx + 3, x8)), np.zeros((n, n8)), np.zeros((n, x8)), np.zeros((n + 3, x8))
    Kt, KP, PK, U = np.zeros((dx, u8)), np.zeros((du + 3, x8)), np.zeros((dx, u8)), np.zeros((du + 3, u8))
    for b in range(B):
        for i in range(dx):
            mean[b, 0, i] = m0[b, i]
            for j in range(dx):
                P[i, j] = P0[b, i, j]
        for t in range(T):
            for i in range(du):
                a = k[b, t, i]
                for j in range(dx):
                    a += K[b, t, i, j] * mean[b, t, j]
                    Kt[j, i] = K[b, t, i, j]
                    KP[i, j] = 0.0
                for j in range(du):
                    U[i, j] = S[b, t, i, j]
                mean[b, t, dx + i] = a
            _add_product(Kt, P, KP, du, dx, False)
            for i in range(dx):
                for j in range(dx):
                    Z[i, j] = cov[b, t, i, j] = P[i, j]
                for j in range(du):
                    Z[i, dx + j] = Z[dx + j, i] = cov[b, t, i, dx + j] = cov[b, t, dx + j, i] = PK[i, j] = KP[j, i]
            _add_product(Kt, PK, U, du, du, True)
            for i in range(du):
                for j in range(i + 1):
                    Z[dx + i, dx + j] = Z[dx + j, dx + i] = U[i, j]
                    cov[b, t, dx + i, dx + j] = cov[b, t, dx + j, dx + i] = U[i, j]
            for i in range(dx):
                a = f[b, t, i]
                for j in range(n):
                    a += F[b, t, i, j] * mean[b, t, j]
                    Ft[j, i] = F[b, t, i, j]
                    ZF[j, i] = 0.0
                mean[b, t + 1, i] = a
                for j in range(dx):
                    P[i, j] = W[b, t, i, j]
            _add_product(Z, Ft, ZF, n, dx, False)
            _add_product(Ft, ZF[:n], P, dx, dx, True)
            for i in range(dx):
                for j in range(i):
                    P[j, i] = P[i, j]
        for i in range(dx):
            for j in range(dx):
                cov[b, T, i, j] = P[i, j]
