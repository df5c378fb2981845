"""Time-varying linear-Gaussian models, fitted around trajectories by Bayesian linear regression.

At each condition and step, the samples of z = [x; u; x' - x] update the prior's normal-inverse-Wishart to a posterior;
conditioning its mean and covariance on [x; u] gives x' ~ N(F xu + f, cov) (Levine & Abbeel 2014, section 4).
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from lqr import InputError, LinearGaussianDynamics

from .prior import Array, NormalInverseWishart, Prior, log_evidence, posterior

STRENGTHS = (0.1, 1.0, 10.0)  # pseudo-samples behind the prior's covariance that are tried
RESIDUALS = (0.01, 0.1, 1.0)  # shares of the prior's residual variance that are tried
MEAN_STRENGTH = 0.01  # pseudo-samples behind the prior's mean


class Fit(NamedTuple):
    """The point estimate, the posterior it comes from, and what it rests on."""

    dynamics: LinearGaussianDynamics  # leading axis C
    posterior: NormalInverseWishart  # of z = [x; u; x' - x], leading axes (C, T)
    strength: float  # pseudo-samples of the prior's covariance
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

    `x` (C, N, T+1, dx) and `u` (C, N, T, du), the actions that were applied; `weight` (C, N, T) is 1 for the steps to
    be used and 0 for the others, such as those after an episode's end. `strength` is the prior's weight in
    pseudo-samples, multiplied at each step by the prior's relative strength there; where it is None, the value under
    which the changes of state are most probable is taken, and with it the share of the prior's residual variance.
    `ridge` is relative to each coordinate's variance.
    """
    x, u = np.asarray(x, dtype=float), np.asarray(u, dtype=float)
    if x.ndim != 4 or u.ndim != 4 or x.shape[:2] != u.shape[:2] or x.shape[2] != u.shape[2] + 1 or x.shape[1] < 1:
        raise InputError(f"x has shape {x.shape}, u {u.shape}; expected (C, N, T+1, dx) and (C, N, T, du), N >= 1")
    dx, n = x.shape[-1], x.shape[-1] + u.shape[-1]
    now, act, after = (np.swapaxes(a, 1, 2) for a in (x[:, :, :-1], u, x[:, :, 1:]))  # (C, T, N, .)
    z = np.concatenate([now, act, after - now], -1)
    w = np.ones(z.shape[:-1]) if weight is None else np.swapaxes(np.asarray(weight, dtype=float), 1, 2)
    if not np.isfinite(z[w > 0]).all():
        raise InputError("x or u holds a number that is not finite; give those steps the weight 0")
    z = np.where(w[..., None] > 0, z, 0.0)
    count = w.sum(-1)
    mean = (w[..., None] * z).sum(2) / np.maximum(count, 1)[..., None]
    gap = (z - mean[:, :, None]) * w[..., None]
    scatter = np.swapaxes(gap, -1, -2) @ (z - mean[:, :, None])
    asked = np.where(w[..., None] > 0, z, mean[:, :, None])  # what is not used must not pull the prior elsewhere
    guess = prior.at(asked[..., :dx], asked[..., dx:n], asked[..., :dx] + asked[..., n:])
    floor = ridge * np.maximum(z[w > 0].var(0), 1e-12)
    best: tuple[float, float, NormalInverseWishart] | None = None
    for n0, share in product(STRENGTHS if strength is None else (strength,), RESIDUALS):
        before = weighed(guess, n0, share, floor, n)
        after_data = posterior(before, mean, scatter, count)
        evidence = float(log_evidence(before, after_data, given=n).sum() / max(count.sum(), 1))
        if best is None or evidence > best[0]:
            best = (evidence, n0, after_data)
    assert best is not None
    return Fit(condition(best[2], dx, n - dx), best[2], best[1], best[0])


def weighed(guess: NormalInverseWishart, n0: float, share: float, floor: Array, n: int) -> NormalInverseWishart:
    """Returns the guess with n0 pseudo-samples per unit of its relative strength (C, T), a share of its variance of
    x' given [x; u], and a floor (d,).

    A global model's residual is mostly curvature within its regions, which a model of one time step does not have;
    the share lets the data say how much of it is left, without giving up the prior's regression coefficients.
    """
    cov = guess.Phi / guess.n0[..., None, None] + np.diag(floor)
    Pxx, Pxy = cov[..., :n, :n], cov[..., :n, n:]
    explained = np.swapaxes(Pxy, -1, -2) @ np.linalg.solve(Pxx, Pxy)
    out = cov.copy()
    out[..., n:, n:] = explained + share * (cov[..., n:, n:] - explained) + np.diag(floor[n:])
    count = n0 * guess.n0
    return NormalInverseWishart(guess.mean, count[..., None, None] * out, np.full(count.shape, MEAN_STRENGTH), count)


def condition(post: NormalInverseWishart, dx: int, du: int) -> LinearGaussianDynamics:
    """Returns x' given [x; u] under the posterior's mean and expected covariance."""
    n = dx + du
    Pxx, Pxy, Pyy = post.Phi[..., :n, :n], post.Phi[..., :n, n:], post.Phi[..., n:, n:]
    G = np.swapaxes(np.linalg.solve(Pxx, Pxy), -1, -2)
    cov = (Pyy - G @ Pxy) / post.n0[..., None, None]
    f = post.mean[..., n:] - (G @ post.mean[..., :n, None])[..., 0]
    F = G.copy()
    F[..., range(dx), range(dx)] += 1.0
    return LinearGaussianDynamics(F, f, 0.5 * (cov + np.swapaxes(cov, -1, -2)))
