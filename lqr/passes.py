"""The two passes of LQR: values flow backward, distributions flow forward.

The problem, for T steps of affine dynamics with Gaussian noise and a quadratic cost, is

    minimise  E sum_t [ 1/2 xu' C xu + c' xu + const ]  -  sum_t tau_t H(u_t | x_t)

over controllers u ~ N(K x + k, cov). tau = 0 is LQR, tau > 0 is maximum-entropy LQR, whose covariance is tau Quu^-1
(Levine & Abbeel 2014, section 3). All functions take any leading axes and treat them as a batch.
"""

import numpy as np
from numba import njit

from .batching import flatten, restore, with_batch
from .errors import NotPositiveDefinite
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
    B, T, dx, n = F.shape
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


def backward_flat(F: Array, f: Array, W: Array, C: Array, c: Array, const: Array, tau: Array) -> tuple[Array, ...]:
    """Returns K, k, cov, V, v, const and, for each problem, the step where Quu is not positive definite, or -1."""
    B, T, dx, n = F.shape
    du = n - dx
    out = (
        np.empty((B, T, du, dx)),
        np.empty((B, T, du)),
        np.empty((B, T, du, du)),
        np.empty((B, T + 1, dx, dx)),
        np.empty((B, T + 1, dx)),
        np.empty((B, T + 1)),
        np.full(B, -1),
    )
    _backward(F, f, W, C, c, const, tau, *out)
    return out


def forward_flat(
    K: Array, k: Array, S: Array, F: Array, f: Array, W: Array, m0: Array, P0: Array
) -> tuple[Array, Array]:
    """Returns the means (B, T+1, n) and covariances (B, T+1, n, n) of xu."""
    B, T, dx, n = F.shape
    mean, cov = np.zeros((B, T + 1, n)), np.zeros((B, T + 1, n, n))
    _forward(K, k, S, F, f, W, m0, P0, mean, cov)
    return mean, cov


@njit(cache=True)
def _cholesky(A, L):
    """Writes the lower factor; False if a pivot is not safely positive (NaN included)."""
    d = A.shape[0]
    for j in range(d):
        for i in range(j, d):
            s = A[i, j]
            for m in range(j):
                s -= L[i, m] * L[j, m]
            if i == j:
                if not (s > 1e-14 * abs(A[j, j]) and s > 0.0 and np.isfinite(s)):
                    return False
                L[j, j] = np.sqrt(s)
            else:
                L[i, j] = s / L[j, j]
    return True


@njit(cache=True)
def _solve(L, B):
    """Solves L L' X = B in place, B (d, m)."""
    d, m = B.shape
    for i in range(d):
        for j in range(i):
            for q in range(m):
                B[i, q] -= L[i, j] * B[j, q]
        for q in range(m):
            B[i, q] /= L[i, i]
    for i in range(d - 1, -1, -1):
        for j in range(i + 1, d):
            for q in range(m):
                B[i, q] -= L[j, i] * B[j, q]
        for q in range(m):
            B[i, q] /= L[i, i]


@njit(cache=True)
def _backward(F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed):
    B, T, dx, n = F.shape
    du = n - dx
    Q, q, VF = np.empty((n, n)), np.empty(n), np.empty((dx, n))
    Vf = np.empty(dx)
    L = np.zeros((du, du))
    G = np.empty((du, dx + 1 + du))  # [K k Quu^-1]
    for b in range(B):
        for i in range(dx):
            v[b, T, i] = c[b, T, i]
            for j in range(dx):
                V[b, T, i, j] = C[b, T, i, j]
        s[b, T] = const[b, T]
        for t in range(T - 1, -1, -1):
            offset = const[b, t] + s[b, t + 1]
            for i in range(dx):
                for j in range(n):
                    VF[i, j] = 0.0
                Vf[i] = v[b, t + 1, i]
                for m in range(dx):
                    vim = V[b, t + 1, i, m]
                    Vf[i] += vim * f[b, t, m]
                    offset += 0.5 * vim * W[b, t, m, i]
                    for j in range(n):
                        VF[i, j] += vim * F[b, t, m, j]
                offset += 0.5 * (Vf[i] + v[b, t + 1, i]) * f[b, t, i]
            for i in range(n):
                q[i] = c[b, t, i]
                for j in range(i + 1):
                    Q[i, j] = C[b, t, i, j]
            for m in range(dx):
                for i in range(n):
                    fmi = F[b, t, m, i]
                    q[i] += fmi * Vf[m]
                    for j in range(i + 1):
                        Q[i, j] += fmi * VF[m, j]
            for i in range(n):
                for j in range(i):
                    Q[j, i] = Q[i, j]
            if not _cholesky(Q[dx:, dx:], L):
                failed[b] = t
                break
            for i in range(du):
                for j in range(dx):
                    G[i, j] = -Q[dx + i, j]
                G[i, dx] = -q[dx + i]
                for j in range(du):
                    G[i, dx + 1 + j] = 0.0
                G[i, dx + 1 + i] = 1.0
            _solve(L, G)
            logdet = 0.0
            for i in range(du):
                logdet += 2 * np.log(L[i, i])
                k[b, t, i] = G[i, dx]
                offset += 0.5 * q[dx + i] * G[i, dx]
                for j in range(dx):
                    K[b, t, i, j] = G[i, j]
                for j in range(du):
                    cov[b, t, i, j] = 0.5 * tau[b, t] * (G[i, dx + 1 + j] + G[j, dx + 1 + i])
            if tau[b, t] > 0:
                offset -= 0.5 * tau[b, t] * (du * np.log(2 * np.pi * tau[b, t]) - logdet)
            s[b, t] = offset
            for i in range(dx):
                v[b, t, i] = q[i]
                for m in range(du):
                    v[b, t, i] += Q[i, dx + m] * G[m, dx]
                for j in range(i + 1):
                    a = Q[i, j]
                    for m in range(du):
                        a += Q[i, dx + m] * G[m, j]
                    V[b, t, i, j] = a
                    V[b, t, j, i] = a


@njit(cache=True)
def _forward(K, k, S, F, f, W, m0, P0, mean, cov):
    B, T, dx, n = F.shape
    du = n - dx
    FP = np.empty((dx, n))
    for b in range(B):
        for i in range(dx):
            mean[b, 0, i] = m0[b, i]
            for j in range(dx):
                cov[b, 0, i, j] = P0[b, i, j]
        for t in range(T):
            for i in range(du):
                a = k[b, t, i]
                for j in range(dx):
                    a += K[b, t, i, j] * mean[b, t, j]
                mean[b, t, dx + i] = a
                for j in range(dx):
                    a = 0.0
                    for m in range(dx):
                        a += K[b, t, i, m] * cov[b, t, m, j]
                    cov[b, t, dx + i, j] = a
                    cov[b, t, j, dx + i] = a
            for i in range(du):
                for j in range(i + 1):
                    a = S[b, t, i, j]
                    for m in range(dx):
                        a += cov[b, t, dx + i, m] * K[b, t, j, m]
                    cov[b, t, dx + i, dx + j] = a
                    cov[b, t, dx + j, dx + i] = a
            for i in range(dx):
                a = f[b, t, i]
                for j in range(n):
                    a += F[b, t, i, j] * mean[b, t, j]
                    FP[i, j] = 0.0
                mean[b, t + 1, i] = a
                for m in range(n):
                    fim = F[b, t, i, m]
                    for j in range(n):
                        FP[i, j] += fim * cov[b, t, m, j]
            for i in range(dx):
                for j in range(i + 1):
                    a = W[b, t, i, j]
                    for m in range(n):
                        a += FP[i, m] * F[b, t, j, m]
                    cov[b, t + 1, i, j] = a
                    cov[b, t + 1, j, i] = a
