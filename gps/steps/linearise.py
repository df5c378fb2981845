"""A policy as a linear-Gaussian controller along each condition's trajectories.

Its mean actions are regressed on the states, with a prior of zero feedback (`linearise`) or a
mixture of Gaussians fitted to all conditions and steps (`with_mixture`); or its own derivatives are
used (`with_jacobian`).
"""

import numpy as np

from dynamics.priors.density import Density
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
    """Fits u = K x + k at each condition and step to a policy's mean actions; its covariance is
    kept.

    `x` (C, N, T, dx), `mean_action` (C, N, T, du), `cov` (du, du) or (C, N, T, du, du), `weight`
    (C, N, T). A step also uses the `reach` steps before and after it, with weights that halve with
    each step. `strength` pseudo-samples, with the spread of the states of all steps, pull K to
    zero, so that there is no feedback in directions that no sample explores. With `latest`, only
    that many of the last episodes determine k: the controller passes through their mean at each
    step. The older ones help to find K alone.
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
    K = np.swapaxes(
        np.linalg.solve(weighted @ gap + pull, weighted @ (u - mean_u[:, :, None])), -1, -2
    )
    k = mean_u - (K @ mean_x[..., None])[..., 0]
    return _passing(K, k, state, action, own, cov, latest)


def with_mixture(
    x: Array, mean_action: Array, cov: Array, weight: Array, strength: float = 1.0, latest: int = 0
) -> LinearGaussianController:
    """Fits u = K x + k as `linearise`, under a prior of `strength` pseudo-samples: a mixture of
    Gaussians over [x; u].

    The mixture is fitted to all conditions and steps. Near each step its covariance tells how the
    policy's actions depend on the states (Levine & Abbeel 2014, section 4, with policies in place
    of dynamics). Its mean is not used.
    """
    z, dx = np.concatenate([x, mean_action], -1), x.shape[-1]
    density = Density(window=z.size)
    density.add(z[weight > 0])
    z, w = np.swapaxes(z, 1, 2), np.swapaxes(weight, 1, 2)  # (C, T, N, .)
    expected, Phi = density.moments(z, w)
    total = w.sum(-1)[..., None]
    mean = (w[..., None] * z).sum(2) / np.maximum(total, 1e-12)
    mean = np.where(total > 0, mean, expected)
    gap = z - mean[:, :, None]
    S = (
        strength * Phi + np.swapaxes(gap * w[..., None], -1, -2) @ gap
    )  # of the posterior normal-inverse-Wishart
    K = np.swapaxes(np.linalg.solve(S[..., :dx, :dx], S[..., :dx, dx:]), -1, -2)
    k = mean[..., dx:] - (K @ mean[..., :dx, None])[..., 0]
    return _passing(K, k, z[..., :dx], z[..., dx:], w, cov, latest)


def with_jacobian(
    x: Array,
    mean_action: Array,
    cov: Array,
    weight: Array,
    jacobian: Array,
    G: Array,
    latest: int = 0,
) -> LinearGaussianController:
    """Returns the tangent of a policy: its own derivatives by the observation, jacobian (C, N, T,
    du, do), mean of the episodes at each step, times those of the observations by the state, G (C, T,
    do, dx)."""
    state, action, w = (np.swapaxes(a, 1, 2) for a in (x, mean_action, weight))
    even = np.where(w.sum(-1, keepdims=True) > 0, w, 1.0)
    even = even / even.sum(-1, keepdims=True)
    K = np.einsum("ctn,cntij->ctij", even, jacobian) @ G
    k = (even[..., None] * (action - np.einsum("ctij,ctnj->ctni", K, state))).sum(2)
    return _passing(K, k, state, action, w, cov, latest)


def _passing(
    K: Array, k: Array, x: Array, u: Array, weight: Array, cov: Array, latest: int
) -> LinearGaussianController:
    """Returns the controllers with k such that they pass through the mean of the `latest` last
    episodes, if any.

    x, u and weight are (C, T, N, .); the covariance is (du, du), or (C, T, N, du, du), of which the
    mean is taken.
    """
    if latest:
        rest = u[:, :, -latest:] - np.einsum("ctij,ctnj->ctni", K, x[:, :, -latest:])
        share = weight[:, :, -latest:, None]
        k = np.where(share.any(2), (share * rest).sum(2) / np.maximum(share.sum(2), 1e-12), k)
    if cov.ndim > 2:
        even = np.where(weight.sum(-1, keepdims=True) > 0, weight, 1.0)
        cov = np.einsum("ctn,cntij->ctij", even / even.sum(-1, keepdims=True), cov)
    cov = np.array(np.broadcast_to(cov, (*K.shape[:2], *cov.shape[-2:])), order="C")
    return LinearGaussianController(np.ascontiguousarray(K), k, cov)  # as saved ones are read


def observation_slopes(x: Array, o: Array, weight: Array) -> Array:
    """Returns the derivatives of the observations by the states, (C, T, do, dx), by regression;
    exact where the two are the same.
    """
    if x.shape == o.shape and np.array_equal(x[weight > 0], o[weight > 0]):
        return np.broadcast_to(np.eye(x.shape[-1]), (len(x), x.shape[2], *x.shape[-1:] * 2))
    return slopes(x, o, weight)


def slopes(x: Array, o: Array, weight: Array, reach: int = 8, strength: float = 1e-3) -> Array:
    """Returns the derivatives of the observations (C, N, T, do) by the states, (C, T, do, dx), by
    regression.

    First one linear map for each whole condition, then its residual in a window around each step.
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
