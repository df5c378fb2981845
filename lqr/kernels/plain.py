"""The passes without a compiler, for NUMBA_DISABLE_JIT=1: the page `lqr.riccati`, problem by
problem.
"""

import numpy as np

from .. import riccati
from ..types import Gaussian, LinearGaussianController, LinearGaussianDynamics, QuadraticCost


def backward(todo, F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed) -> None:
    for b in todo:
        dx, failed[b] = F.shape[2], -1
        cost = QuadraticCost(C[b], c[b], const[b])
        controller, value = riccati.backward(LinearGaussianDynamics(F[b], f[b], W[b]), cost, tau[b])
        for out, new in zip((K, k, cov, V, v, s), (*controller, *value), strict=True):
            out[b] = new
        for t in reversed(range(F.shape[1])):
            Q = (C[b, t] + F[b, t].T @ V[b, t + 1] @ F[b, t])[dx:, dx:]
            if not np.isfinite(Q).all() or not np.linalg.eigvalsh(Q).min() > 1e-14 * abs(Q).max():
                failed[b] = t
                break


def forward(K, k, S, F, f, W, m0, P0, mean, cov) -> None:
    for b in range(len(F)):
        mean[b], cov[b] = riccati.forward(
            LinearGaussianDynamics(F[b], f[b], W[b]),
            LinearGaussianController(K[b], k[b], S[b]),
            Gaussian(m0[b], P0[b]),
        )


def divergence(todo, K, k, S, Kq, kq, precision, logdet, F, f, W, m0, P0, kl) -> None:
    for b in todo:
        mean, cov = riccati.forward(
            LinearGaussianDynamics(F[b], f[b], W[b]),
            LinearGaussianController(K[b], k[b], S[b]),
            Gaussian(m0[b], P0[b]),
        )
        for t in range(F.shape[1]):
            dx = F.shape[2]
            dK = Kq[b, t] - K[b, t]
            gap = dK @ mean[t, :dx] + kq[b, t] - k[b, t]
            spread = S[b, t] + dK @ cov[t, :dx, :dx] @ dK.T
            sign, own = np.linalg.slogdet(S[b, t])
            trace = np.trace(precision[b, t] @ spread) + gap @ precision[b, t] @ gap
            kl[b, t] = 0.5 * (trace - len(gap) + logdet[b, t] - own) if sign > 0 else np.nan
