"""Bayesian linear regression in closed form: what is known of x' = F xu + f + noise, and what it
predicts.

A normal-inverse-Wishart over z = [x; u; x' - x] is, of x' given [x; u], a matrix-normal
inverse-Wishart over the coefficients and the noise. Its noise is read such that the expected
covariance is the conditional of Phi / n0. Minka, Bayesian linear regression (2000); Gelman et al.,
Bayesian Data Analysis (2013), sections 3.6 and 14.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.lapack import dtrtrs
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


def log_evidence_of(prior: NormalInverseWishart, post: NormalInverseWishart, n: int) -> Array:
    """Returns `log_evidence` (...,) of what two distributions over z say, by a factorisation of
    each, without forming the regressions.
    """
    before, after = _log_pivots(prior.Phi), _log_pivots(post.Phi)
    return _log_evidence(
        _halves(before, n),
        _halves(after, n),
        (prior.n0, post.n0),
        (prior.m, post.m),
        prior.mean.shape[-1] - n,
    )


class Factored:
    """A prior's covariance (..., d, d), factored once for samples whose scatter, with the gap of
    their mean as the last of the rows `gap` (..., N+1, d), is of low rank: |A + BB'| = |A| |I + B'
    A^-1 B|, for A of [x; u] and for all.
    """

    def __init__(self, cov: Array, gap: Array, n: int):
        half = np.linalg.cholesky(cov)
        self.logs = _halves(2 * np.log(np.diagonal(half, axis1=-2, axis2=-1)), n)
        self.sizes = n, cov.shape[-1] - n
        Y = np.empty(gap.shape)  # half^-1 B, transposed
        for at in np.ndindex(gap.shape[:-2]):
            Y[at] = dtrtrs(half[at].T, gap[at].T, lower=0, trans=1)[0].T
        upper = Y[..., :n] @ np.swapaxes(Y[..., :n], -1, -2)
        self.grams = upper, upper + Y[..., n:] @ np.swapaxes(Y[..., n:], -1, -2)

    def log_evidence(self, n0: Array, m: Array, N: Array) -> Array:
        """Returns the log evidence (...,) of N samples for a prior of n0 and m pseudo-samples."""
        before = [log + size * np.log(n0) for log, size in zip(self.logs, self.sizes, strict=True)]
        upper, whole = self.grams
        scale = np.ones(upper.shape[:-1])
        scale[..., -1] = np.sqrt(m * N / (m + N))
        scale /= np.sqrt(n0)[..., None]
        outer, one = scale[..., :, None] * scale[..., None, :], np.eye(upper.shape[-1])
        upper, whole = (_log_pivots(one + outer * gram).sum(-1) for gram in (upper, whole))
        after = before[0] + upper, before[1] + whole - upper
        return _log_evidence(before, after, (n0, n0 + N), (m, m + N), self.sizes[1])


def _log_evidence(before: Any, after: Any, n0: Any, m: Any, dx: int) -> Array:
    """Returns the log evidence from the log determinants of [x; u], and of x' given them, and the
    pseudo-samples, each before and after.
    """
    nu0, nu = n0[0] + dx + 1, n0[1] + dx + 1
    gammas = log_multigamma(0.5 * nu, dx) - log_multigamma(0.5 * nu0, dx)
    gammas -= 0.5 * (n0[1] - n0[0]) * dx * np.log(np.pi)
    residuals = 0.5 * (nu0 * before[1] - nu * after[1])
    return gammas + residuals + 0.5 * dx * (before[0] - after[0] + np.log(m[0] / m[1]))


def _log_pivots(matrices: Array) -> Array:
    """Returns the logarithms of the squared pivots, (..., d); those of the last dx over [x; u; x' -
    x] are of x' given [x; u].
    """
    return 2 * np.log(np.diagonal(np.linalg.cholesky(matrices), axis1=-2, axis2=-1))


def _halves(logs: Array, n: int) -> tuple[Array, Array]:
    """Returns the sums of the first n and of the others."""
    return logs[..., :n].sum(-1), logs[..., n:].sum(-1)


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
