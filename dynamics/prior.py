"""A prior over Gaussians in pseudo-samples, its posterior, and how well it explains data.

Everything is over z = [x; u; x' - x] of one time step, d = dx + du + dx: the change of state, not the next state, so
that a vanishing regression coefficient means "stays where it is". Murphy, Machine Learning (2012), section 4.6.3.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.special import gammaln

Array = np.ndarray


class NormalInverseWishart(NamedTuple):
    """mean | cov ~ N(mean, cov / m),  cov ~ inverse-Wishart(Phi, n0 + d + 1), whose expectation is Phi / n0."""

    mean: Array  # (..., d)
    Phi: Array  # (..., d, d), scatter of the pseudo-samples
    m: Array  # (...), pseudo-samples behind the mean
    n0: Array  # (...), pseudo-samples behind the covariance


class Prior(Protocol):
    """A global model, asked for its opinion at each time step."""

    def update(self, x: Array, u: Array, xnext: Array) -> None:
        """Learns from transitions (M, dx), (M, du), (M, dx)."""
        ...

    def at(self, x: Array, u: Array, xnext: Array) -> NormalInverseWishart:
        """Returns the prior of each step, leading axes (C, T), from the samples there, (C, T, N, .).

        Its mean and its covariance Phi / n0 count. n0 (C, T) is the relative strength of the steps, 1 for a prior
        that trusts itself alike everywhere: `fit_linear_gaussian` finds out from the data by how many pseudo-samples
        to multiply it. m is not used.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree of finite arrays and numbers."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned."""
        ...


def posterior(prior: NormalInverseWishart, mean: Array, scatter: Array, N: Array) -> NormalInverseWishart:
    """Returns the prior updated by N samples with this mean (..., d) and scatter matrix (..., d, d) about it."""
    m, n0 = prior.m + N, prior.n0 + N
    gap = mean - prior.mean
    pull = (prior.m * N / np.maximum(m, 1e-300))[..., None, None]
    Phi = prior.Phi + scatter + pull * gap[..., :, None] * gap[..., None, :]
    share = (N / np.maximum(m, 1e-300))[..., None]
    return NormalInverseWishart(prior.mean + share * gap, 0.5 * (Phi + np.swapaxes(Phi, -1, -2)), m, n0)


def log_evidence(prior: NormalInverseWishart, post: NormalInverseWishart, given: int = 0) -> Array:
    """Returns log p(samples | prior), (...,); with `given` = g, of the coordinates after the first g given those.

    The ratio of the normalising constants of posterior and prior (Murphy, Conjugate Bayesian analysis of the Gaussian
    distribution, 2007); the conditional is the ratio of the joint's and the marginal's.
    """
    d = prior.mean.shape[-1]
    joint = _log_evidence(prior, post, d)
    return joint - _log_evidence(prior, post, given) if given else joint


def _log_evidence(prior: NormalInverseWishart, post: NormalInverseWishart, size: int) -> Array:
    N = post.n0 - prior.n0
    nu0, nu = prior.n0 + size + 1, post.n0 + size + 1  # marginalising d - size coordinates lowers nu by as many
    before = np.linalg.slogdet(prior.Phi[..., :size, :size])[1]
    after = np.linalg.slogdet(post.Phi[..., :size, :size])[1]
    gammas = _multigammaln(0.5 * nu, size) - _multigammaln(0.5 * nu0, size)
    return (
        -0.5 * N * size * np.log(np.pi)
        + gammas
        + 0.5 * (nu0 * before - nu * after)
        + 0.5 * size * (np.log(prior.m) - np.log(post.m))
    )


def _multigammaln(a: Array, d: int) -> Array:
    parts = gammaln(np.asarray(a)[..., None] - 0.5 * np.arange(d)).sum(-1)
    return 0.25 * d * (d - 1) * np.log(np.pi) + parts
