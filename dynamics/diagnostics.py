"""How far a fit can be trusted: what it predicts of episodes that were held out, and what it rests
on.

An error is to be seen beside that of the zero model x' = x, which anything must beat that is worth
using.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from lqr import InputError, LinearGaussianDynamics

from .local import Fit, checked_weight
from .normal_inverse_wishart import Array
from .regression import StudentT, predictive


class Error(NamedTuple):
    """Root mean square errors over all coordinates, in the unit of the states."""

    model: float
    zero: float  # of the model x' = x


class Diagnostics(NamedTuple):
    """What episodes that were held out say of a fit, and what the fit rests on."""

    log_likelihood: float  # nats per transition, of the Student-t predictive
    one_step: Error
    k_step: Error
    k: int  # steps
    prior_samples: Array  # (C, T), pseudo-samples of the prior
    data_samples: Array  # (C, T), samples
    condition: Array  # (C, T), condition number of the scatter of [x; u], each coordinate in units of its own spread


def diagnose(fit: Fit, x: Array, u: Array, k: int = 10, weight: Array | None = None) -> Diagnostics:
    """Returns the diagnostics of a fit on held-out episodes x (C, N, T+1, dx), u (C, N, T, du).

    `weight` (C, N, T) is 0 for the steps that do not count, such as those after an episode's end.
    Raises InputError.
    """
    x, u, counts = _checked(fit.dynamics, x, u, weight)
    ahead = predictive(fit.posterior, x[:, :, :-1], u)
    return Diagnostics(
        float(log_density(ahead, x[:, :, 1:])[counts].mean()),
        one_step_error(fit.dynamics, x, u, weight),
        k_step_error(fit.dynamics, x, u, k, weight),
        k,
        fit.joint.n0 - fit.samples,
        fit.samples,
        condition_number(fit.posterior.S),
    )


def one_step_error(
    dynamics: LinearGaussianDynamics, x: Array, u: Array, weight: Array | None = None
) -> Error:
    """Returns the error of x' from the true x and u, x (C, N, T+1, dx), u (C, N, T, du), weight (C,
    N, T).
    """
    return k_step_error(dynamics, x, u, 1, weight)


def k_step_error(
    dynamics: LinearGaussianDynamics, x: Array, u: Array, k: int, weight: Array | None = None
) -> Error:
    """Returns the error k steps ahead, under the actions that were taken, from every step that has
    k more after it.

    Where a weight (C, N, T) is 0, no prediction goes through that step. Raises InputError where no
    episode has k steps in a row, the episodes are of another shape than the models, or a number that
    counts is not finite.
    """
    x, u, counts = _checked(dynamics, x, u, weight)
    T = u.shape[2]
    longest = next((w for w in range(T, 0, -1) if _rows(counts, w).any()), 0)
    if not 1 <= k <= longest:
        raise InputError(f"k is {k}; expected 1 to {longest}, the steps of the episodes")
    starts, inside = T - k + 1, _rows(counts, k)
    ahead = x[:, :, :starts]
    for i in range(k):
        xu = np.concatenate([ahead, u[:, :, i : i + starts]], -1)
        F, f = dynamics.F[:, i : i + starts], dynamics.f[:, None, i : i + starts]
        ahead = np.einsum("ctij,cntj->cnti", F, xu) + f
    truth = x[:, :, k:]
    return Error(
        *(
            float(np.sqrt(((guess - truth)[inside] ** 2).mean()))
            for guess in (ahead, x[:, :, :starts])
        )
    )


def open_loop_error(
    step: Callable[[Array, Array], Array],
    x: Array,
    u: Array,
    horizon: int,
    length: Array | None = None,
) -> Array:
    """Returns the error of a global model k = 1..horizon steps ahead, and that of x' = x, (2, horizon).

    From every step of episodes x (N, T+1, dx), u (N, T, du) that has k more after it, the mean x' =
    step(x (M, dx), u (M, du)) is followed under the actions that were taken. Root mean square over
    episodes and coordinates, each in units of its spread over all episodes; a coordinate that never
    changes is left out. NaN where no episode is as long, infinite where the model breaks. `length`
    (N,) is the steps that took place, T by default.
    """
    N, T = u.shape[:2]
    length = np.full(N, T) if length is None else length
    real = np.arange(T + 1) <= length[:, None]
    spread = x[real].std(0)
    moving = spread > 1e-9 * np.maximum(np.abs(x[real]).max(0), 1e-300)
    i, t = np.nonzero(np.arange(T) < length[:, None])
    ahead, found = x[i, t], np.full((2, horizon), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(min(horizon, T)):
            on = t + k < length[i]
            i, t, ahead = i[on], t[on], ahead[on]
            if not len(i):
                break
            ahead = step(ahead, u[i, t + k])
            for row, guess in enumerate((ahead, x[i, t])):
                gap = (guess - x[i, t + k + 1])[:, moving] / spread[moving]
                found[row, k] = np.sqrt((gap**2).mean()) if moving.any() else 0.0
    return np.where(np.isnan(found) & (np.arange(horizon) < length.max()), np.inf, found)


def error_along(dynamics: LinearGaussianDynamics, x: Array, u: Array) -> Array:
    """Returns the error one step ahead at each step of one episode per condition, (C, T), x (C, T+1,
    dx), u (C, T, du).

    Each coordinate is in units of its own root mean square change from step to step, over all
    episodes, so that 1 is as bad as x' = x is on average; coordinates that never change are left out.
    """
    ahead = (dynamics.F @ np.concatenate([x[:, :-1], u], -1)[..., None])[..., 0] + dynamics.f
    change = np.sqrt((np.diff(x, axis=1) ** 2).mean((0, 1)))
    moving = change > 0
    gap = (ahead - x[:, 1:])[..., moving] / change[moving]
    return np.sqrt((gap**2).sum(-1) / max(moving.sum(), 1))


def _rows(counts: Array, k: int) -> Array:
    """Returns where k steps in a row count, (C, N, T - k + 1)."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(counts, k, axis=2).all(-1))


def _checked(
    dynamics: LinearGaussianDynamics, x: Array, u: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    """Returns x and u, 0 where no step that counts needs them, and which steps count, (C, N, T).
    Raises InputError.
    """
    x, u = np.asarray(x, dtype=float), np.asarray(u, dtype=float)
    C, T, dx, n = dynamics.F.shape
    N = x.shape[1] if x.ndim == 4 else 0
    if N < 1 or x.shape != (C, N, T + 1, dx) or u.shape != (C, N, T, n - dx):
        wanted = f"({C}, N, {T + 1}, {dx}) and ({C}, N, {T}, {n - dx}), N >= 1"
        raise InputError(f"x has shape {x.shape}, u {u.shape}; expected {wanted}")
    counts = checked_weight(weight, u.shape[:3]) > 0
    if not counts.any():
        raise InputError(
            "no step of the episodes has a weight above 0; expected at least one to judge by"
        )
    needed = np.zeros(x.shape[:3], bool)
    needed[:, :, :-1] |= counts
    needed[:, :, 1:] |= counts
    if not (np.isfinite(x[needed]).all() and np.isfinite(u[counts]).all()):
        raise InputError("x or u holds a number that is not finite; give those steps the weight 0")
    return np.where(needed[..., None], x, 0.0), np.where(counts[..., None], u, 0.0), counts


def log_density(p: StudentT, x: Array) -> Array:
    """Returns the log density (...,) of x (..., dx) under a multivariate Student t, in nats."""
    d = x.shape[-1]
    half = np.linalg.cholesky(p.scale)
    gap = np.linalg.solve(half, (x - p.location)[..., None])[..., 0]
    constant = gammaln(0.5 * (p.df + d)) - gammaln(0.5 * p.df) - 0.5 * d * np.log(p.df * np.pi)
    pivots = np.log(np.diagonal(half, axis1=-2, axis2=-1)).sum(-1)
    return constant - pivots - 0.5 * (p.df + d) * np.log1p((gap**2).sum(-1) / p.df)


def condition_number(S: Array) -> Array:
    """Returns the ratio of the largest to the smallest eigenvalue, (...,), of the correlations in S
    (..., n, n).
    """
    spread = np.sqrt(np.diagonal(S, axis1=-2, axis2=-1))
    values = np.linalg.eigvalsh(S / spread[..., :, None] / spread[..., None, :])
    return values[..., -1] / np.maximum(values[..., 0], 1e-300)
