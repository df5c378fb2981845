"""Bayesian linear regression in closed form: what is known of x' = F xu + f + noise, and what it
predicts.

A normal-inverse-Wishart over z = [x; u; x' - x] is, of x' given [x; u], a matrix-normal
inverse-Wishart over the coefficients and the noise. Its noise is read such that the expected
covariance is the conditional of Phi / n0. Minka, Bayesian linear regression (2000); Gelman et al.,
Bayesian Data Analysis (2013), sections 3.6 and 14.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from lqr import InputError, LinearGaussianDynamics

from .normal_inverse_wishart import Array, NormalInverseWishart


class MatrixNormalInverseWishart(NamedTuple):
    """cov ~ inverse-Wishart(Psi, nu); F | cov ~ MN(F, cov, S^-1); the level F centre + f | cov ~
    N(., cov / m).
    """

    F: Array  # (..., dx, n)
    f: Array  # (..., dx)
    centre: Array  # (..., n), where the level is known best
    S: Array  # (..., n, n), scatter of [x; u], data and pseudo-samples
    m: Array  # (...), samples and pseudo-samples behind the level
    Psi: Array  # (..., dx, dx), scatter of the residuals
    nu: Array  # (...), degrees of freedom


class StudentT(NamedTuple):
    """A multivariate Student t: each coordinate is location + sqrt(scale_ii) t_df."""

    location: Array  # (..., dx)
    scale: Array  # (..., dx, dx); the covariance is scale * df / (df - 2)
    df: Array  # (...)


def regression(joint: NormalInverseWishart, dx: int) -> MatrixNormalInverseWishart:
    """Returns what a distribution over [x; u; x' - x] says of x' given [x; u]: nu = n0 + dx + 1, E
    cov = Psi / n0.
    """
    n = joint.mean.shape[-1] - dx
    S, Sxy = joint.Phi[..., :n, :n], joint.Phi[..., :n, n:]
    G = np.swapaxes(np.linalg.solve(S, Sxy), -1, -2)
    Psi = joint.Phi[..., n:, n:] - G @ Sxy
    centre = joint.mean[..., :n]
    f = joint.mean[..., n:] - (G @ centre[..., None])[..., 0]
    F = G.copy()
    F[..., range(dx), range(dx)] += 1.0
    return MatrixNormalInverseWishart(
        F, f, centre, S, joint.m, 0.5 * (Psi + np.swapaxes(Psi, -1, -2)), joint.n0 + dx + 1
    )


def expected(post: MatrixNormalInverseWishart) -> LinearGaussianDynamics:
    """Returns the mean of the coefficients and of the noise covariance."""
    return LinearGaussianDynamics(
        post.F, post.f, post.Psi / (post.nu - post.Psi.shape[-1] - 1)[..., None, None]
    )


def log_evidence(prior: MatrixNormalInverseWishart, post: MatrixNormalInverseWishart) -> Array:
    """Returns log p(x' of all samples | their x, u, prior), (...,); `post` is the prior updated by
    them.
    """
    dx = prior.f.shape[-1]
    return (
        _log_constant(post, dx)
        - _log_constant(prior, dx)
        - 0.5 * (post.nu - prior.nu) * dx * np.log(np.pi)
    )


def _log_constant(p: MatrixNormalInverseWishart, dx: int) -> Array:
    Psi, S = np.linalg.slogdet(p.Psi)[1], np.linalg.slogdet(p.S)[1]
    return log_multigamma(0.5 * p.nu, dx) - 0.5 * p.nu * Psi - 0.5 * dx * (S + np.log(p.m))


def log_multigamma(a: Array, d: int) -> Array:
    """Returns the logarithm of the d-variate gamma function, elementwise, without its constant of
    d.
    """
    return gammaln(np.asarray(a)[..., None] - 0.5 * np.arange(d)).sum(-1)


def predictive(post: MatrixNormalInverseWishart, x: Array, u: Array) -> StudentT:
    """Returns the distribution of x' at x (C, N, T, dx), u (C, N, T, du), noise and ignorance of
    the model included.

    `post` has the leading axes (C, T), the result (C, N, T). It is wider where [x; u] is far from
    what was seen. Raises InputError for other shapes.
    """
    C, T, dx, n = post.F.shape
    if (
        x.ndim != 4
        or x.shape[::2] != (C, T)
        or x.shape[3] != dx
        or u.shape != (*x.shape[:3], n - dx)
    ):
        wanted = f"({C}, N, {T}, {dx}) and ({C}, N, {T}, {n - dx})"
        raise InputError(
            f"x has shape {x.shape}, u {u.shape}; expected {wanted}; leave out the last state"
        )
    xu = np.swapaxes(np.concatenate([x, u], -1), 1, 2)  # (C, T, N, n)
    location = xu @ np.swapaxes(post.F, -1, -2) + post.f[..., None, :]
    gap = xu - post.centre[..., None, :]
    far = (gap * np.swapaxes(np.linalg.solve(post.S, np.swapaxes(gap, -1, -2)), -1, -2)).sum(-1)
    df = post.nu - dx + 1
    scale = (1 + 1 / post.m[..., None] + far)[..., None, None] * (post.Psi / df[..., None, None])[
        ..., None, :, :
    ]
    wide = np.broadcast_to(df[..., None], far.shape)
    return StudentT(*(np.swapaxes(a, 1, 2) for a in (location, scale, wide)))


def draw(post: MatrixNormalInverseWishart, rng: np.random.Generator) -> LinearGaussianDynamics:
    """Returns one system per leading index, drawn from the distribution: its coefficients and its
    noise.
    """
    dx, n = post.F.shape[-2:]
    A = np.tril(
        rng.standard_normal((*post.nu.shape, dx, dx)), -1
    )  # Bartlett: A A' ~ Wishart(I, nu)
    A[..., range(dx), range(dx)] = np.sqrt(rng.chisquare(post.nu[..., None] - np.arange(dx)))
    half = np.linalg.cholesky(post.Psi) @ np.swapaxes(
        np.linalg.inv(A), -1, -2
    )  # half half' ~ inverse-Wishart(Psi, nu)
    right = np.linalg.inv(np.linalg.cholesky(post.S))  # right' right = S^-1
    F = post.F + half @ rng.standard_normal((*post.nu.shape, dx, n)) @ right
    level = (half @ rng.standard_normal((*post.f.shape, 1)))[..., 0] / np.sqrt(post.m)[..., None]
    f = post.f + level + ((post.F - F) @ post.centre[..., None])[..., 0]
    return LinearGaussianDynamics(F, f, half @ np.swapaxes(half, -1, -2))
