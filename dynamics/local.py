"""Time-varying linear-Gaussian models, fitted around trajectories by Bayesian linear regression.

At each condition and step, the samples of z = [x; u; x' - x] update the prior's
normal-inverse-Wishart to a posterior; conditioning its mean and covariance on [x; u] gives x' ~ N(F
xu + f, cov) (Levine & Abbeel 2014, section 4).
"""

from typing import NamedTuple

import numpy as np

from lqr import InputError, LinearGaussianDynamics, NumericalError

from .asking import prior_at
from .normal_inverse_wishart import Array, NormalInverseWishart, Prior, posterior, smallest
from .regression import MatrixNormalInverseWishart, expected, log_multigamma, regression

STRENGTHS = (
    0.001,
    0.01,
    0.1,
    1.0,
    10.0,
    100.0,
    1000.0,
)  # pseudo-samples behind the prior's covariance that are tried
RESIDUALS = (0.01, 0.1, 1.0)  # shares of the prior's residual variance that are tried
MEAN_SHARE = 0.1  # of the pseudo-samples are behind the prior's mean


class Fit(NamedTuple):
    """The point estimate, the posterior it comes from, and what it rests on."""

    dynamics: LinearGaussianDynamics  # leading axis C
    posterior: MatrixNormalInverseWishart  # of F, f and cov, leading axes (C, T)
    joint: NormalInverseWishart  # of z = [x; u; x' - x], leading axes (C, T); `posterior` is its conditional
    samples: Array  # (C, T), how many were used
    strength: float  # pseudo-samples of the prior's covariance, to be multiplied by the steps' relative strengths
    share: float  # of the prior's residual variance
    evidence: float  # log p(x' | x, u, prior) per sample, in nats


def fit_linear_gaussian(
    x: Array,
    u: Array,
    prior: Prior,
    weight: Array | None = None,
    strength: float | None = None,
    ridge: float = 1e-6,
) -> Fit:
    """Fits one linear-Gaussian model per condition and step, all at once.

    `x` (C, N, T+1, dx) and `u` (C, N, T, du), the actions that were applied; `weight` (C, N, T) is
    1 for the steps to be used and 0 for the others, such as those after an episode's end.
    `strength` is the prior's weight in pseudo-samples, multiplied at each step by the prior's
    relative strength there; where it is None, the value under which the changes of state are most
    probable is taken, and with it the share of the prior's residual variance. `ridge` is relative
    to each coordinate's variance.

    Raises InputError for shapes that do not fit and numbers without sense, NumericalError where the
    prior's covariances are not positive definite.
    """
    x, u = np.asarray(x, dtype=float), np.asarray(u, dtype=float)
    if (
        x.ndim != 4
        or u.ndim != 4
        or x.shape[:2] != u.shape[:2]
        or x.shape[2] != u.shape[2] + 1
        or u[..., :1].size < 1
    ):
        raise InputError(
            f"x has shape {x.shape}, u {u.shape}; expected (C, N, T+1, dx) and (C, N, T, du), C, N, T >= 1"
        )
    if strength is not None and not (np.isfinite(strength) and strength > 0):
        raise InputError(
            f"strength is {strength!r}; expected pseudo-samples, a finite number above 0, or None"
        )
    if not (np.isfinite(ridge) and ridge >= 0):
        raise InputError(f"ridge is {ridge!r}; expected a finite number, 0 or above")
    dx, n = x.shape[-1], x.shape[-1] + u.shape[-1]
    now, act, after = (np.swapaxes(a, 1, 2) for a in (x[:, :, :-1], u, x[:, :, 1:]))  # (C, T, N, .)
    z = np.concatenate([now, act, after - now], -1)
    w = np.swapaxes(checked_weight(weight, u.shape[:3]), 1, 2)
    if not (w > 0).any():
        raise InputError("no step has a weight above 0; expected at least one to learn from")
    if not np.isfinite(z[w > 0]).all():
        raise InputError("x or u holds a number that is not finite; give those steps the weight 0")
    z = np.where(w[..., None] > 0, z, 0.0)
    count = w.sum(-1)
    mean = (w[..., None] * z).sum(2) / np.where(count > 0, count, 1.0)[..., None]
    gap = (z - mean[:, :, None]) * w[..., None]
    scatter = np.swapaxes(gap, -1, -2) @ (z - mean[:, :, None])
    asked = np.where(
        w[..., None] > 0, z, mean[:, :, None]
    )  # what is not used must not pull the prior elsewhere
    guess = prior_at(prior, asked[..., :dx], asked[..., dx:n], asked[..., :dx] + asked[..., n:])
    _check_guess(guess, mean.shape, prior)
    floor = ridge * np.maximum(z[w > 0].var(0), smallest(z[w > 0], dx))
    best = (-np.inf, 0.0, 0.0)
    for share in RESIDUALS:
        try:
            cov = with_share(guess, share, floor, n)
        except np.linalg.LinAlgError:  # singular
            continue
        for n0 in STRENGTHS if strength is None else (strength,):
            try:
                start = _pseudo(guess, cov, n0 * guess.n0)
                evidence = (
                    _log_evidence(start, posterior(start, mean, scatter, count), n).sum()
                    / count.sum()
                )
            except np.linalg.LinAlgError:  # singular, or not positive definite
                continue
            best = max(best, (float(evidence), n0, share))
    if not np.isfinite(best[0]):
        raise NumericalError(
            "no strength of the prior explains the samples; are its covariances Phi / n0 positive definite?"
        )
    evidence, n0, share = best
    before = _pseudo(guess, with_share(guess, share, floor, n), n0 * guess.n0)
    joint = posterior(before, mean, scatter, count)
    post = regression(joint, dx)
    return Fit(expected(post), post, joint, count, n0, share, evidence)


def checked_weight(weight: Array | None, shape: tuple[int, ...]) -> Array:
    """Returns the weights of steps, of this shape (C, N, T); None is 1 for all. Raises
    InputError.
    """
    if weight is None:
        return np.ones(shape)
    weight = np.asarray(weight, dtype=float)
    if weight.shape != shape or not (np.isfinite(weight) & (weight >= 0)).all():
        got = (
            f"a weight of shape {weight.shape}, values {np.unique(weight)[:3]}"
            if weight.size
            else "no weights"
        )
        raise InputError(
            f"got {got}; expected one number for each step, {shape}, finite and not below 0"
        )
    return weight


def _check_guess(guess: NormalInverseWishart, shape: tuple[int, ...], prior: Prior) -> None:
    """Raises InputError where what a prior says is not of the shape (C, T, d) of the means, or not
    finite.
    """
    found = [np.shape(a) for a in (guess.mean, guess.Phi, guess.n0)]
    wanted = [shape, (*shape, shape[-1]), shape[:-1]]
    if found != wanted:
        raise InputError(
            f"the prior {type(prior).__name__} gives mean, Phi, n0 of shapes {found}; expected {wanted} for these"
        )
    if (
        not all(np.isfinite(a).all() for a in (guess.mean, guess.Phi, guess.n0))
        or not (guess.n0 > 0).all()
    ):
        raise InputError(
            f"the prior {type(prior).__name__} gives a number that is not finite, or n0 <= 0; what has it learnt from?"
        )


def with_share(guess: NormalInverseWishart, share: float, floor: Array, n: int) -> Array:
    """Returns the guess's covariance with a share of its variance of x' given [x; u], and a floor
    (d,).

    A global model's residual is mostly curvature within its regions, which a model of one time step
    does not have; the share lets the data say how much of it is left, without giving up the prior's
    regression coefficients.
    """
    cov = guess.Phi / guess.n0[..., None, None] + np.diag(floor)
    Pxx, Pxy = cov[..., :n, :n], cov[..., :n, n:]
    explained = np.swapaxes(Pxy, -1, -2) @ np.linalg.solve(Pxx, Pxy)
    cov[..., n:, n:] = explained + share * (cov[..., n:, n:] - explained) + np.diag(floor[n:])
    return cov


def _pseudo(guess: NormalInverseWishart, cov: Array, n0: Array) -> NormalInverseWishart:
    return NormalInverseWishart(guess.mean, n0[..., None, None] * cov, MEAN_SHARE * n0, n0)


def _log_evidence(prior: NormalInverseWishart, post: NormalInverseWishart, n: int) -> Array:
    """Returns `regression.log_evidence` (C, T) by two factorisations, without forming the
    regressions.

    The squares of the last dx pivots of a covariance over [x; u; x' - x] are those of its
    conditional.
    """
    dx, N = prior.mean.shape[-1] - n, post.n0 - prior.n0
    nu0, nu = prior.n0 + dx + 1, post.n0 + dx + 1
    before, after = _log_pivots(prior.Phi), _log_pivots(post.Phi)
    gammas = (
        log_multigamma(0.5 * nu, dx) - log_multigamma(0.5 * nu0, dx) - 0.5 * N * dx * np.log(np.pi)
    )
    residuals = 0.5 * (nu0 * before[..., n:].sum(-1) - nu * after[..., n:].sum(-1))
    return (
        gammas
        + residuals
        + 0.5 * dx * ((before - after)[..., :n].sum(-1) + np.log(prior.m / post.m))
    )


def _log_pivots(matrices: Array) -> Array:
    return 2 * np.log(np.diagonal(np.linalg.cholesky(matrices), axis1=-2, axis2=-1))
