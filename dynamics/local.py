"""Time-varying linear-Gaussian models, fitted around trajectories by Bayesian linear regression.

At each condition and step, the samples of z = [x; u; x' - x] update the prior's
normal-inverse-Wishart to a posterior; conditioning its mean and covariance on [x; u] gives x' ~ N(F
xu + f, cov) (Levine & Abbeel 2014, section 4).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lqr import InputError, LinearGaussianDynamics, NumericalError

from .asking import prior_at
from .normal_inverse_wishart import Array, NormalInverseWishart, Prior, posterior, smallest
from .regression import (
    Factored,
    MatrixNormalInverseWishart,
    expected,
    log_evidence_of,
    regression,
)

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
UNEXPLAINED = (
    "no strength of the prior explains the samples; are its covariances Phi / n0 positive definite?"
)
LARGE = 64  # coordinates of z from which on few samples are seen as a change of low rank
MEAN_SHARE = 0.1  # of the pseudo-samples are behind the prior's mean


class Samples(NamedTuple):
    """What a step's samples of z say; leading axes (C, T)."""

    mean: Array  # (C, T, d)
    scatter: Array  # (C, T, d, d), about the mean
    gap: Array  # (C, T, N, d), the rows whose products are the scatter
    size: Array  # (C, T), how many


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
    samples = Samples(mean, scatter, (z - mean[:, :, None]) * np.sqrt(w)[..., None], count)
    best = (-np.inf, 0.0, 0.0)
    try:
        both = _explained(guess, floor, n)
    except np.linalg.LinAlgError:  # singular
        raise NumericalError(UNEXPLAINED) from None
    for share in RESIDUALS:
        try:
            of = _evidence(guess, _shared(*both, share, floor), samples, n)
        except np.linalg.LinAlgError:
            continue
        for n0 in STRENGTHS if strength is None else (strength,):
            try:
                found = of(n0 * guess.n0).sum() / count.sum()
            except np.linalg.LinAlgError:  # singular, or not positive definite
                continue
            best = max(best, (float(found), n0, share))
    if not np.isfinite(best[0]):
        raise NumericalError(UNEXPLAINED)
    evidence, n0, share = best
    before = _pseudo(guess, _shared(*both, share, floor), n0 * guess.n0)
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
    return _shared(*_explained(guess, floor, n), share, floor)


def _explained(guess: NormalInverseWishart, floor: Array, n: int) -> tuple[Array, Array]:
    """Returns the guess's covariance, with a floor (d,), and what of that of x' it explains."""
    cov = guess.Phi / guess.n0[..., None, None] + np.diag(floor)
    Pxx, Pxy = cov[..., :n, :n], cov[..., :n, n:]
    return cov, np.swapaxes(Pxy, -1, -2) @ np.linalg.solve(Pxx, Pxy)


def _shared(cov: Array, explained: Array, share: float, floor: Array) -> Array:
    dx, cov = explained.shape[-1], cov.copy()
    rest = cov[..., -dx:, -dx:] - explained
    cov[..., -dx:, -dx:] = explained + share * rest + np.diag(floor[-dx:])
    return cov


def _pseudo(guess: NormalInverseWishart, cov: Array, n0: Array) -> NormalInverseWishart:
    return NormalInverseWishart(guess.mean, n0[..., None, None] * cov, MEAN_SHARE * n0, n0)


def _evidence(
    guess: NormalInverseWishart, cov: Array, samples: Samples, n: int
) -> Callable[[Array], Array]:
    """Returns a function from pseudo-samples n0 (C, T) behind the guess to log p(x' | x, u), (C, T).

    Where coordinates are many and samples few, one factorisation serves for all n0.
    """
    N, d = samples.gap.shape[-2:]
    if d >= max(LARGE, 2 * N + 3):
        gap = np.concatenate([samples.gap, (samples.mean - guess.mean)[..., None, :]], -2)
        factored = Factored(cov, gap, n)
        return lambda n0: factored.log_evidence(n0, MEAN_SHARE * n0, samples.size)

    def direct(n0: Array) -> Array:
        start = _pseudo(guess, cov, n0)
        end = posterior(start, samples.mean, samples.scatter, samples.size)
        return log_evidence_of(start, end, n)

    return direct
