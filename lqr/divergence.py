"""Kullback-Leibler divergences between linear-Gaussian controllers, and their entropy, in nats."""

import numpy as np

from .errors import NotPositiveDefinite
from .types import Array, LinearGaussianController, QuadraticCost, TrajectoryDistribution


def kl_divergence(p: LinearGaussianController, q: LinearGaussianController, under: TrajectoryDistribution) -> Array:
    """Returns E_x KL( p(u|x) || q(u|x) ) of each step, (..., T), with x distributed as `under`.

    With `under` the marginals of p itself, the sum over steps is the divergence of the whole trajectory distributions,
    because dynamics and initial state are the same in both (Levine & Abbeel 2014, section 3.2).
    """
    dx, du = p.K.shape[-1], p.k.shape[-1]
    mean, cov = under.mean[..., :-1, :dx], under.cov[..., :-1, :dx, :dx]
    precision, logdet_q = inverse(q.cov)
    _, logdet_p = inverse(p.cov)
    dK = q.K - p.K
    gap = (dK @ mean[..., None])[..., 0] + q.k - p.k
    spread = p.cov + dK @ cov @ np.swapaxes(dK, -1, -2)
    return 0.5 * (
        np.einsum("...ij,...ji->...", precision, spread)
        + np.einsum("...i,...ij,...j->...", gap, precision, gap)
        - du
        + logdet_q
        - logdet_p
    )


def entropy(controller: LinearGaussianController) -> Array:
    """Returns the entropy of u given x at each step, (..., T)."""
    du = controller.k.shape[-1]
    return 0.5 * (du * (1 + np.log(2 * np.pi)) + inverse(controller.cov)[1])


def negative_log_density(controller: LinearGaussianController, weight: float | Array = 1.0) -> QuadraticCost:
    """Returns -weight * log p(u | x) as a quadratic cost with T+1 steps; `weight` is a number or (..., T)."""
    return expand_log_density(controller, *inverse(controller.cov), weight)


def expand_log_density(
    controller: LinearGaussianController, precision: Array, logdet: Array, weight: float | Array = 1.0
) -> QuadraticCost:
    """Does `negative_log_density` with the inverse and the log-determinant of the covariance at hand."""
    K, k, _ = controller
    du, dx = K.shape[-2:]
    weight = np.broadcast_to(np.asarray(weight, dtype=float), k.shape[:-1])[..., None]
    KtP = np.swapaxes(K, -1, -2) @ precision
    Pk = (precision @ k[..., None])[..., 0]
    C = np.zeros((*k.shape[:-2], k.shape[-2] + 1, dx + du, dx + du))
    c = np.zeros(C.shape[:-1])
    const = np.zeros(C.shape[:-2])
    KtPK = KtP @ K
    C[..., :-1, :dx, :dx] = 0.5 * weight[..., None] * (KtPK + np.swapaxes(KtPK, -1, -2))
    C[..., :-1, :dx, dx:] = -weight[..., None] * KtP
    C[..., :-1, dx:, :dx] = np.swapaxes(C[..., :-1, :dx, dx:], -1, -2)
    C[..., :-1, dx:, dx:] = weight[..., None] * precision
    c[..., :-1, :dx] = weight * (KtP @ k[..., None])[..., 0]
    c[..., :-1, dx:] = -weight * Pk
    const[..., :-1] = 0.5 * weight[..., 0] * (np.einsum("...i,...i->...", k, Pk) + logdet + du * np.log(2 * np.pi))
    return QuadraticCost(C, c, const)


def inverse(cov: Array) -> tuple[Array, Array]:
    """Returns the inverses and log-determinants of a stack of covariances."""
    try:
        L = np.linalg.cholesky(cov)
    except np.linalg.LinAlgError as error:
        raise NotPositiveDefinite("a controller's covariance is singular; give it a floor, such as 1e-6 I") from error
    scale = np.diagonal(L, axis1=-2, axis2=-1)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise NotPositiveDefinite("a controller's covariance is singular; give it a floor, such as 1e-6 I")
    half = np.linalg.solve(L, np.broadcast_to(np.eye(cov.shape[-1]), cov.shape))
    return np.swapaxes(half, -1, -2) @ half, 2 * np.log(np.diagonal(L, axis1=-2, axis2=-1)).sum(-1)
