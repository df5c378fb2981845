"""A policy as a linear-Gaussian controller along each condition's trajectories, by Bayesian regression."""

import numpy as np

from lqr import LinearGaussianController

Array = np.ndarray


def linearise(
    x: Array,
    mean_action: Array,
    cov: Array,
    weight: Array,
    reach: int = 2,
    strength: float = 1e-3,
    latest: int = 0,
) -> LinearGaussianController:
    """Fits u = K x + k at each condition and step to a policy's mean actions; its covariance (du, du) is kept.

    `x` (C, N, T, dx), `mean_action` (C, N, T, du), `weight` (C, N, T). A step borrows from the `reach` steps before and
    after it. `strength` pseudo-samples, with the spread of the states of all steps, pull K to zero: directions that no
    sample explores are not extrapolated along. With `latest`, the trials before the last ones of that number only help
    to find K: k makes the controller pass through the mean of the last ones at each step.
    """
    C, _, T, dx = x.shape
    state, action, own = x, u, w = tuple(np.swapaxes(a, 1, 2) for a in (x, mean_action, weight))
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
    if latest:
        rest = action[:, :, -latest:] - np.einsum("ctij,ctnj->ctni", K, state[:, :, -latest:])
        share = own[:, :, -latest:, None]
        k = np.where(share.any(2), (share * rest).sum(2) / np.maximum(share.sum(2), 1e-12), k)
    return LinearGaussianController(np.ascontiguousarray(K), k, np.tile(cov, (C, T, 1, 1)))  # as a saved one is read


def slopes(x: Array, o: Array, weight: Array, reach: int = 8, strength: float = 1e-3) -> Array:
    """Returns the derivatives of the observations (C, N, T, do) by the states, (C, T, do, dx), as far as trials tell.

    A linear map for each whole condition first, then what is left of it in a window around each step.
    """
    C, dx, do = len(x), x.shape[-1], o.shape[-1]
    rough = np.zeros((C, do, dx))
    for c in range(C):
        w = weight[c].ravel()[:, None]
        X, O = (a[c].reshape(-1, a.shape[-1]) for a in (x, o))
        X, O = (a - (w * a).sum(0) / np.maximum(w.sum(), 1e-12) for a in (X, O))
        left = (w * X).T @ X
        rough[c] = np.linalg.solve(left + np.diag(1e-6 * np.diag(left) + 1e-9), (w * X).T @ O).T
    rest = o - np.einsum("cij,cntj->cnti", rough, x)
    return rough[:, None] + linearise(x, rest, np.eye(do), weight, reach, strength).K
