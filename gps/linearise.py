"""A policy as a linear-Gaussian controller along each condition's trajectories, by Bayesian regression."""

import numpy as np

from lqr import LinearGaussianController

Array = np.ndarray


def linearise(
    x: Array, mean_action: Array, cov: Array, weight: Array, reach: int = 2, strength: float = 1e-3
) -> LinearGaussianController:
    """Fits u = K x + k at each condition and step to a policy's mean actions; its covariance (du, du) is kept.

    `x` (C, N, T, dx), `mean_action` (C, N, T, du), `weight` (C, N, T). A step borrows from the `reach` steps before and
    after it. `strength` pseudo-samples, with the spread of the states of all steps, pull K to zero: directions that no
    sample explores are not extrapolated along.
    """
    C, _, T, dx = x.shape
    x, u, w = (np.swapaxes(a, 1, 2) for a in (x, mean_action, weight))
    steps = np.clip(np.arange(T)[:, None] + np.arange(-reach, reach + 1), 0, T - 1)
    shares = 0.5 ** np.abs(np.arange(-reach, reach + 1))
    x, u = (a[:, steps].reshape(C, T, -1, a.shape[-1]) for a in (x, u))
    w = (w[:, steps] * shares[:, None]).reshape(C, T, -1)
    total = np.maximum(w.sum(-1), 1e-12)[..., None]
    mean_x, mean_u = ((w[..., None] * a).sum(2) / total for a in (x, u))
    gap = x - mean_x[:, :, None]
    weighted = np.swapaxes(gap * w[..., None], -1, -2)
    pull = strength * np.diag(np.maximum(mean_x.reshape(-1, dx).var(0), 1e-9))
    K = np.swapaxes(np.linalg.solve(weighted @ gap + pull, weighted @ (u - mean_u[:, :, None])), -1, -2)
    k = mean_u - (K @ mean_x[..., None])[..., 0]
    return LinearGaussianController(K, k, np.broadcast_to(cov, (C, T, *cov.shape)))
