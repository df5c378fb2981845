"""How far a fit can be trusted: what it predicts of trials that were held out, and what it rests on.

An error is to be seen beside that of the zero model x' = x, which anything must beat that is worth using.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from lqr import InputError, LinearGaussianDynamics

from .local import Fit
from .prior import Array
from .regression import StudentT, predictive


class Error(NamedTuple):
    """Root mean square errors over all coordinates, in the unit of the states."""

    model: float
    zero: float  # of the model x' = x


class Diagnostics(NamedTuple):
    """What trials that were held out say of a fit, and what the fit rests on."""

    log_likelihood: float  # nats per transition, of the Student-t predictive
    one_step: Error
    k_step: Error
    k: int  # steps
    prior_samples: Array  # (C, T), pseudo-samples of the prior
    data_samples: Array  # (C, T), samples
    condition: Array  # (C, T), condition number of the scatter of [x; u], each coordinate in units of its own spread


def diagnose(fit: Fit, x: Array, u: Array, k: int = 10) -> Diagnostics:
    """Returns the diagnostics of a fit on held-out trials x (C, N, T+1, dx), u (C, N, T, du). Raises InputError."""
    ahead = predictive(fit.posterior, x[:, :, :-1], u)
    return Diagnostics(
        float(log_density(ahead, x[:, :, 1:]).mean()),
        one_step_error(fit.dynamics, x, u),
        k_step_error(fit.dynamics, x, u, k),
        k,
        fit.joint.n0 - fit.samples,
        fit.samples,
        condition_number(fit.posterior.S),
    )


def one_step_error(dynamics: LinearGaussianDynamics, x: Array, u: Array) -> Error:
    """Returns the error of x' from the true x and u, x (C, N, T+1, dx), u (C, N, T, du)."""
    return k_step_error(dynamics, x, u, 1)


def k_step_error(dynamics: LinearGaussianDynamics, x: Array, u: Array, k: int) -> Error:
    """Returns the error k steps ahead, under the actions that were taken, from every step that has k more after it.

    Raises InputError where the trials are shorter than k, or of another shape than the models.
    """
    C, T, dx, _ = dynamics.F.shape
    if x.ndim != 4 or x.shape[::2] != (C, T + 1) or u.shape[:3] != (C, x.shape[1], T) or x.shape[3] != dx:
        raise InputError(f"x has shape {x.shape}, u {u.shape}; expected ({C}, N, {T + 1}, {dx}) and ({C}, N, {T}, du)")
    if not 1 <= k <= T:
        raise InputError(f"k is {k}; expected 1 to {T}, the steps of the trials")
    starts = T - k + 1
    ahead = x[:, :, :starts]
    for i in range(k):
        xu = np.concatenate([ahead, u[:, :, i : i + starts]], -1)
        F, f = dynamics.F[:, i : i + starts], dynamics.f[:, None, i : i + starts]
        ahead = np.einsum("ctij,cntj->cnti", F, xu) + f
    truth = x[:, :, k:]
    return Error(*(float(np.sqrt(((guess - truth) ** 2).mean())) for guess in (ahead, x[:, :, :starts])))


def log_density(p: StudentT, x: Array) -> Array:
    """Returns the log density (...,) of x (..., dx) under a multivariate Student t, in nats."""
    d = x.shape[-1]
    half = np.linalg.cholesky(p.scale)
    gap = np.linalg.solve(half, (x - p.location)[..., None])[..., 0]
    constant = gammaln(0.5 * (p.df + d)) - gammaln(0.5 * p.df) - 0.5 * d * np.log(p.df * np.pi)
    pivots = np.log(np.diagonal(half, axis1=-2, axis2=-1)).sum(-1)
    return constant - pivots - 0.5 * (p.df + d) * np.log1p((gap**2).sum(-1) / p.df)


def condition_number(S: Array) -> Array:
    """Returns the ratio of the largest to the smallest eigenvalue, (...,), of the correlations in S (..., n, n)."""
    spread = np.sqrt(np.diagonal(S, axis1=-2, axis2=-1))
    values = np.linalg.eigvalsh(S / spread[..., :, None] / spread[..., None, :])
    return values[..., -1] / np.maximum(values[..., 0], 1e-300)
