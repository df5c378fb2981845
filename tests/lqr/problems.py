"""Random LQR problems, and answers by dense algebra that share nothing with the recursions under
test.
"""

import numpy as np

from lqr import Gaussian, LinearGaussianController, LinearGaussianDynamics, QuadraticCost


def random_problem(rng, dx=3, du=2, T=5, lead=(), cost_scale=1.0):
    """Returns dynamics, a convex cost with cross and linear terms, and x0."""
    n = dx + du
    root = rng.normal(size=(*lead, T, dx, dx)) * 0.2
    F = np.concatenate(
        [np.eye(dx) + 0.3 * rng.normal(size=root.shape), rng.normal(size=(*lead, T, dx, du))], -1
    )
    A = rng.normal(size=(*lead, T + 1, n, n))
    C = cost_scale * (A @ A.swapaxes(-1, -2) / n + 0.1 * np.eye(n))
    cost = QuadraticCost(
        C, cost_scale * rng.normal(size=(*lead, T + 1, n)), rng.normal(size=(*lead, T + 1))
    )
    P = rng.normal(size=(*lead, dx, dx)) * 0.5
    x0 = Gaussian(rng.normal(size=(*lead, dx)), P @ P.swapaxes(-1, -2) + 0.1 * np.eye(dx))
    return (
        LinearGaussianDynamics(F, rng.normal(size=(*lead, T, dx)), root @ root.swapaxes(-1, -2)),
        cost,
        x0,
    )


def random_controller(rng, dx=3, du=2, T=5, lead=(), std=1.0):
    S = rng.normal(size=(*lead, T, du, du)) * 0.3
    cov = std**2 * (S @ S.swapaxes(-1, -2) + np.eye(du))
    return LinearGaussianController(
        0.3 * rng.normal(size=(*lead, T, du, dx)), rng.normal(size=(*lead, T, du)), cov
    )


def stacked(dynamics, T, dx, du):
    """Returns A, B, d with [x_0; ...; x_T] = A x_0 + B [u_0; ...; u_T-1] + d, by unrolling."""
    A, B, d = np.zeros(((T + 1) * dx, dx)), np.zeros(((T + 1) * dx, T * du)), np.zeros((T + 1) * dx)
    A[:dx] = np.eye(dx)
    for t in range(T):
        now, then = slice(t * dx, (t + 1) * dx), slice((t + 1) * dx, (t + 2) * dx)
        Fx, Fu = dynamics.F[t, :, :dx], dynamics.F[t, :, dx:]
        A[then], B[then], d[then] = Fx @ A[now], Fx @ B[now], Fx @ d[now] + dynamics.f[t]
        B[then, t * du : (t + 1) * du] += Fu
    return A, B, d


def dense_optimum(dynamics, cost, x):
    """Returns the optimal actions (T, du) and cost without noise from x, by one dense linear
    solve.
    """
    T, dx, n = dynamics.F.shape
    du = n - dx
    A, B, d = stacked(dynamics, T, dx, du)
    H, g = np.zeros(((T + 1) * dx + T * du,) * 2), np.zeros((T + 1) * dx + T * du)
    for t in range(T + 1):
        at = list(range(t * dx, (t + 1) * dx)) + [
            (T + 1) * dx + t * du + i for i in range(du) if t < T
        ]
        H[np.ix_(at, at)] += cost.C[t][: len(at), : len(at)]
        g[at] += cost.c[t][: len(at)]
    M = np.vstack([B, np.eye(T * du)])
    z0 = np.concatenate([A @ x + d, np.zeros(T * du)])
    U = np.linalg.solve(M.T @ H @ M, -M.T @ (H @ z0 + g))
    z = z0 + M @ U
    return U.reshape(T, du), 0.5 * z @ H @ z + g @ z + cost.const.sum()


def numpy_backward(dynamics, cost, tau):
    """The Riccati recursion in plain NumPy, with explicit inverses: the twin of both kernels."""
    T, dx, _ = dynamics.F.shape
    V, v, s = cost.C[T, :dx, :dx], cost.c[T, :dx], cost.const[T]
    out = []
    for t in range(T - 1, -1, -1):
        F, f, W = dynamics.F[t], dynamics.f[t], dynamics.cov[t]
        Q, q = cost.C[t] + F.T @ V @ F, cost.c[t] + F.T @ (V @ f + v)
        inverse = np.linalg.inv(Q[dx:, dx:])
        K, k = -inverse @ Q[dx:, :dx], -inverse @ q[dx:]
        s = s + cost.const[t] + 0.5 * f @ V @ f + v @ f + 0.5 * np.trace(V @ W) + 0.5 * q[dx:] @ k
        if tau > 0:
            s -= 0.5 * tau * np.linalg.slogdet(2 * np.pi * tau * inverse)[1]
        V, v = Q[:dx, :dx] + Q[:dx, dx:] @ K, q[:dx] + Q[:dx, dx:] @ k
        out.append((K, k, tau * inverse, V, v, s))
    return [np.array(field[::-1]) for field in zip(*out, strict=True)]


def joint(controller, dynamics, x0):
    """Returns mean and covariance of [x_0, u_0, x_1, ..., x_T] by pushing all noises through dense
    matrices.
    """
    T, dx, n = dynamics.F.shape
    du = n - dx
    size, noises = T * n + dx, dx + T * n
    M, m = np.zeros((size, noises)), np.zeros(size)
    M[:dx, :dx], m[:dx] = np.linalg.cholesky(x0.cov), x0.mean
    for t in range(T):
        x, u, xu, then = (
            slice(t * n + a, t * n + b) for a, b in ((0, dx), (dx, n), (0, n), (n, n + dx))
        )
        M[u], m[u] = controller.K[t] @ M[x], controller.K[t] @ m[x] + controller.k[t]
        M[u, dx + t * n : dx + t * n + du] += np.linalg.cholesky(controller.cov[t])
        M[then], m[then] = dynamics.F[t] @ M[xu], dynamics.F[t] @ m[xu] + dynamics.f[t]
        M[then, dx + t * n + du : dx + (t + 1) * n] += np.linalg.cholesky(
            dynamics.cov[t] + 1e-300 * np.eye(dx)
        )
    return m, M @ M.T
