"""The backward pass of iLQR and DDP, with actions limited by a box (Tassa, Mansard & Todorov 2014).

Everything is a deviation from the present trajectory: du = alpha k + K dx. At each step k solves the programme

    minimise  1/2 k' (Quu + mu I) k + qu' k    subject to   low <= k <= high

by projected Newton steps, and K acts in the directions that the box leaves free.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .jit import kernel
from .types import Array

BoxQP = Callable[[Array, Array, Array, Array], tuple[Array, Array]]
"""solve(H (d, d), g (d,), low (d,), high (d,)) -> minimiser (d,), free (d,) bool; raises LinAlgError if it fails."""


def solve_box_qp(H: Array, g: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Returns the minimiser of 1/2 x'Hx + g'x within the box, and which coordinates are off its faces.

    Raises numpy.linalg.LinAlgError if H is not positive definite on the free coordinates.
    """
    H, g, low, high = (np.ascontiguousarray(a, dtype=float) for a in (H, g, low, high))
    d = len(g)
    x, free, L = np.clip(np.zeros(d), low, high), np.ones(d, np.bool_), np.zeros((d, d))
    if not _box_qp(H, g, low, high, x, free, L):
        raise np.linalg.LinAlgError("H is not positive definite on the free coordinates")
    return x, free


def backward_with(
    solve_qp: BoxQP, F: Array, H: Array, C: Array, c: Array, low: Array, high: Array, mu: float, K: Array, k: Array
) -> tuple[bool, float, float]:
    """Does what `backward_box` does, with a quadratic-programme solver passed in by the caller."""
    T, dx, n = F.shape
    V, v, linear, quadratic = C[T, :dx, :dx], c[T, :dx], 0.0, 0.0
    for t in range(T - 1, -1, -1):
        Q, q = C[t] + F[t].T @ V @ F[t], c[t] + F[t].T @ v
        if len(H):
            Q = Q + np.einsum("i,ijk->jk", v, H[t])
        Quu, Qux = Q[dx:, dx:], Q[dx:, :dx]
        R = Quu + mu * np.eye(n - dx)
        try:
            k[t], free = solve_qp(R, q[dx:], low[t], high[t])
            K[t] = 0.0
            K[t][free] = -np.linalg.solve(R[np.ix_(free, free)], Qux[free])
        except np.linalg.LinAlgError:
            return False, linear, quadratic
        linear, quadratic = linear + q[dx:] @ k[t], quadratic + 0.5 * k[t] @ Quu @ k[t]
        v = q[:dx] + K[t].T @ (Quu @ k[t] + q[dx:]) + Qux.T @ k[t]
        V = Q[:dx, :dx] + K[t].T @ Quu @ K[t] + K[t].T @ Qux + Qux.T @ K[t]
        V = 0.5 * (V + V.T)
    return True, linear, quadratic


def backward_box(
    F: Array, H: Array, C: Array, c: Array, low: Array, high: Array, mu: float, K: Array, k: Array
) -> tuple[bool, float, float]:
    """Writes K (T, du, dx) and k (T, du); returns whether a minimum exists, and the linear and quadratic change.

    F (T, dx, n) and H (T, dx, n, n) are first and second derivatives of the dynamics (no rows in H for iLQR), C and c
    those of the cost at the trajectory, low and high (T, du) the room left to each action.
    """
    result: Any = _backward_box(F, H, C, c, low, high, mu, K, k)
    return result


@kernel
def _box_qp(H, g, low, high, x, free, L):
    """Improves x in place; writes the free set and the factor of H there. False if H is not definite."""
    d = len(g)
    grad, step, trial = np.empty(d), np.empty(d), np.empty(d)
    for _ in range(100):
        norm, scale = 0.0, 0.0
        for i in range(d):
            grad[i] = g[i]
            for j in range(d):
                grad[i] += H[i, j] * x[j]
            free[i] = not ((x[i] <= low[i] and grad[i] > 0) or (x[i] >= high[i] and grad[i] < 0))
            scale = max(scale, abs(g[i]))
            if free[i]:
                norm = max(norm, abs(grad[i]))
        for j in range(d):
            for i in range(j, d):
                s = H[i, j] if free[i] and free[j] else (1.0 if i == j else 0.0)
                for m in range(j):
                    s -= L[i, m] * L[j, m]
                if i == j:
                    if not (s > 1e-14 * abs(H[j, j]) and s > 0.0 and s < np.inf):
                        return False
                    L[j, j] = np.sqrt(s)
                else:
                    L[i, j] = s / L[j, j]
        if norm <= 1e-12 * scale:
            return True
        for i in range(d):
            step[i] = -grad[i] if free[i] else 0.0
            for m in range(i):
                step[i] -= L[i, m] * step[m]
            step[i] /= L[i, i]
        for i in range(d - 1, -1, -1):
            for m in range(i + 1, d):
                step[i] -= L[m, i] * step[m]
            step[i] /= L[i, i]
        alpha = 1.0
        while True:
            change, slope, moved = 0.0, 0.0, 0.0
            for i in range(d):
                trial[i] = min(max(x[i] + alpha * step[i], low[i]), high[i]) if free[i] else x[i]
                slope += grad[i] * (trial[i] - x[i])
                moved = max(moved, abs(trial[i] - x[i]))
            change = slope
            for i in range(d):
                for j in range(d):
                    change += 0.5 * (trial[i] - x[i]) * H[i, j] * (trial[j] - x[j])
            if moved == 0.0 or alpha < 1e-12:
                return True
            if change <= 0.1 * slope:
                break
            alpha *= 0.5
        for i in range(d):
            x[i] = trial[i]
    return True


@kernel
def _backward_box(F, H, C, c, low, high, mu, K, k):
    T, dx, n = F.shape
    du = n - dx
    V, v, Q, q, VF = np.empty((dx, dx)), np.empty(dx), np.empty((n, n)), np.empty(n), np.empty((dx, n))
    R, L, free, x, g = np.empty((du, du)), np.zeros((du, du)), np.ones(du, np.bool_), np.empty(du), np.empty(du)
    QK, Qk = np.empty((du, dx)), np.empty(du)
    linear, quadratic = 0.0, 0.0
    V[:, :] = C[T, :dx, :dx]
    v[:] = c[T, :dx]
    for t in range(T - 1, -1, -1):
        VF[:, :] = 0.0
        for i in range(dx):
            for m in range(dx):
                for j in range(n):
                    VF[i, j] += V[i, m] * F[t, m, j]
        for i in range(n):
            q[i] = c[t, i]
            for j in range(n):
                Q[i, j] = C[t, i, j]
        for m in range(dx):
            for i in range(n):
                q[i] += F[t, m, i] * v[m]
                for j in range(n):
                    Q[i, j] += F[t, m, i] * VF[m, j]
        for m in range(dx if len(H) else 0):
            for i in range(n):
                for j in range(n):
                    Q[i, j] += v[m] * H[t, m, i, j]
        for i in range(du):
            g[i] = q[dx + i]
            x[i] = min(max(0.0, low[t, i]), high[t, i])
            for j in range(du):
                R[i, j] = Q[dx + i, dx + j] + (mu if i == j else 0.0)
        if not _box_qp(R, g, low[t], high[t], x, free, L):
            return False, linear, quadratic
        for i in range(du):
            k[t, i] = x[i]
            for j in range(dx):
                s = -Q[dx + i, j] if free[i] else 0.0
                for m in range(i):
                    s -= L[i, m] * K[t, m, j]
                K[t, i, j] = s / L[i, i]
        for i in range(du - 1, -1, -1):
            for j in range(dx):
                s = K[t, i, j]
                for m in range(i + 1, du):
                    s -= L[m, i] * K[t, m, j]
                K[t, i, j] = s / L[i, i]
        for i in range(du):
            Qk[i] = 0.0
            for m in range(du):
                Qk[i] += Q[dx + i, dx + m] * x[m]
            for j in range(dx):
                QK[i, j] = Q[dx + i, j]
                for m in range(du):
                    QK[i, j] += Q[dx + i, dx + m] * K[t, m, j]
            linear += x[i] * q[dx + i]
            quadratic += 0.5 * x[i] * Qk[i]
        for i in range(dx):
            v[i] = q[i]
            for m in range(du):
                v[i] += K[t, m, i] * (Qk[m] + q[dx + m]) + Q[dx + m, i] * x[m]
            for j in range(dx):
                V[i, j] = Q[i, j]
                for m in range(du):
                    V[i, j] += K[t, m, i] * QK[m, j] + Q[dx + m, i] * K[t, m, j]
        for i in range(dx):
            for j in range(i):
                V[i, j] = V[j, i] = 0.5 * (V[i, j] + V[j, i])
    return True, linear, quadratic
