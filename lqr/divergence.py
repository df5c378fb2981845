"""Kullback-Leibler divergences between linear-Gaussian controllers, and their entropy, in nats."""

import numpy as np

from .batching import flatten, restore, temperatures
from .errors import NotPositiveDefinite
from .types import Array, LinearGaussianController, QuadraticCost, TrajectoryDistribution


def kl_divergence(
    p: LinearGaussianController, q: LinearGaussianController, under: TrajectoryDistribution
) -> Array:
    """Returns E_x KL( p(u|x) || q(u|x) ) of each step, (..., T), with x distributed as `under`.

    With `under` the marginals of p itself, the sum over steps is the divergence of the whole
    trajectory distributions, because dynamics and initial state are the same in both (Levine &
    Abbeel 2014, section 3.2).
    """
    lead, ((K, k, S), (Kq, kq, Sq), (mean, cov)) = flatten(("p", "q", "under"), p, q, under)
    du, dx = K.shape[-2:]
    mean, cov = mean[:, :-1, :dx], cov[:, :-1, :dx, :dx]
    (precision, logdet_q), (_, logdet_p) = inverse(Sq, "q.cov"), inverse(S, "p.cov")
    dK = Kq - K
    gap = (dK @ mean[..., None])[..., 0] + kq - k
    spread = S + dK @ cov @ np.swapaxes(dK, -1, -2)
    kl = 0.5 * (
        np.einsum("...ij,...ji->...", precision, spread)
        + np.einsum("...i,...ij,...j->...", gap, precision, gap)
        - du
        + logdet_q
        - logdet_p
    )
    return restore(lead, kl)[0]


def entropy(controller: LinearGaussianController) -> Array:
    """Returns the entropy of u given x at each step, (..., T). Raises NotPositiveDefinite for a
    singular covariance.
    """
    lead, ((_, k, S),) = flatten(("controller",), controller)
    return restore(lead, 0.5 * (k.shape[-1] * (1 + np.log(2 * np.pi)) + inverse(S)[1]))[0]


def negative_log_density(
    controller: LinearGaussianController, weight: float | Array = 1.0
) -> QuadraticCost:
    """Returns -weight * log p(u | x) as a quadratic cost with T+1 steps; `weight` is a number or
    (..., T).
    """
    lead, (fields,) = flatten(("controller",), controller)
    flat = LinearGaussianController(*fields)
    weight = temperatures(weight, lead, flat.k.shape[1], "weight")
    return QuadraticCost(*restore(lead, *expand_log_density(flat, *inverse(flat.cov), weight)))


def expand_log_density(
    controller: LinearGaussianController,
    precision: Array,
    logdet: Array,
    weight: float | Array = 1.0,
) -> QuadraticCost:
    """Does `negative_log_density` with the inverse and the log-determinant of the covariance at
    hand.
    """
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
    const[..., :-1] = (
        0.5
        * weight[..., 0]
        * (np.einsum("...i,...i->...", k, Pk) + logdet + du * np.log(2 * np.pi))
    )
    return QuadraticCost(C, c, const)


def inverse(cov: Array, name: str = "the controller's cov") -> tuple[Array, Array]:
    """Returns inverses and log-determinants of covariances (B, T, d, d). Raises
    NotPositiveDefinite, with the step.
    """
    try:
        L = np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        L = np.array([_cholesky_or_nan(a) for a in cov.reshape(-1, *cov.shape[-2:])]).reshape(
            cov.shape
        )
    scale = np.diagonal(L, axis1=-2, axis2=-1)
    bad = ~(np.isfinite(scale) & (scale > 0)).all(-1)
    if bad.any():
        b, t = (int(i) for i in np.argwhere(bad)[0])
        raise NotPositiveDefinite(
            f"{name} is singular at step {t} of problem {b}; give it a floor, such as 1e-6 I",
            batch=b,
            t=t,
        )
    half = np.linalg.solve(L, np.broadcast_to(np.eye(cov.shape[-1]), cov.shape))
    return np.swapaxes(half, -1, -2) @ half, 2 * np.log(np.diagonal(L, axis1=-2, axis2=-1)).sum(-1)


def _cholesky_or_nan(A: Array) -> Array:
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        return np.full_like(A, np.nan)
