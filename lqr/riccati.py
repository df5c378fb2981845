"""The two passes of LQR in plain NumPy, in the paper's letters: what the kernels compute.

One problem at a time; nothing is checked and nothing compiled. Read this page; call `lqr.backward`
and `lqr.forward`, which equal it.
"""

import numpy as np

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
    dynamics: LinearGaussianDynamics, cost: QuadraticCost, tau: float | Array = 0.0
) -> tuple[LinearGaussianController, QuadraticValue]:
    """Returns the optimal controller and its value function (Levine & Abbeel 2014, section 3)."""
    (F, f, W), (C, c, const) = dynamics, cost
    T, dx, n = F.shape
    x, u, tau = slice(0, dx), slice(dx, n), np.broadcast_to(tau, T)
    K, k, cov = np.zeros((T, n - dx, dx)), np.zeros((T, n - dx)), np.zeros((T, n - dx, n - dx))
    V, v, s = C[:, x, x].copy(), c[:, x].copy(), const.copy()
    for t in reversed(range(T)):
        Q = C[t] + F[t].T @ V[t + 1] @ F[t]
        q = c[t] + F[t].T @ (V[t + 1] @ f[t] + v[t + 1])
        K[t] = -np.linalg.solve(Q[u, u], Q[u, x])
        k[t] = -np.linalg.solve(Q[u, u], q[u])
        V[t] = Q[x, x] + Q[x, u] @ K[t]
        v[t] = q[x] + Q[x, u] @ k[t]
        s[t] += s[t + 1] + f[t] @ V[t + 1] @ f[t] / 2 + v[t + 1] @ f[t] + q[u] @ k[t] / 2
        s[t] += np.trace(V[t + 1] @ W[t]) / 2
        if tau[t] > 0:  # maximum entropy
            cov[t] = tau[t] * np.linalg.inv(Q[u, u])
            s[t] -= tau[t] / 2 * np.linalg.slogdet(2 * np.pi * cov[t])[1]
    return LinearGaussianController(K, k, cov), QuadraticValue(V, v, s)


def forward(
    dynamics: LinearGaussianDynamics, controller: LinearGaussianController, x0: Gaussian
) -> TrajectoryDistribution:
    """Returns the marginals of [x; u] under the controller, from x0 on."""
    (F, f, W), (K, k, S), (m, P) = dynamics, controller, x0
    T, dx, n = F.shape
    mean, cov = np.zeros((T + 1, n)), np.zeros((T + 1, n, n))
    for t in range(T):
        mean[t] = np.concatenate([m, K[t] @ m + k[t]])
        cov[t] = np.block([[P, P @ K[t].T], [K[t] @ P, K[t] @ P @ K[t].T + S[t]]])
        m = F[t] @ mean[t] + f[t]
        P = F[t] @ cov[t] @ F[t].T + W[t]
    mean[T, :dx], cov[T, :dx, :dx] = m, P
    return TrajectoryDistribution(mean, cov)
