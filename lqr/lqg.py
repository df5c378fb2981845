"""LQG: the Kalman filter and the Rauch-Tung-Striebel smoother, time-varying, for any batch.

    x_{t+1} ~ N(F_t [x; u] + f_t, cov_t),    o_t ~ N(H_t x_t + h_t, R_t)

The optimal controller under partial observation is that of `backward`, applied to the filtered
mean.
"""

from typing import NamedTuple

import numpy as np

from .batching import finite, flatten, numbers, of_kind, restore
from .errors import InputError, NotPositiveDefinite
from .types import Array, Gaussian, LinearGaussianDynamics, LinearGaussianObservation


class Filtered(NamedTuple):
    """Beliefs over the states 0..T."""

    mean: Array  # (..., T+1, dx), after the observation of that step
    cov: Array  # (..., T+1, dx, dx)
    predicted: Gaussian  # the same before it
    log_likelihood: Array  # (...,), of all observations


def kalman_filter(
    dynamics: LinearGaussianDynamics,
    observation: LinearGaussianObservation,
    x0: Gaussian,
    U: Array,
    O: Array,
) -> Filtered:
    """Returns the beliefs p(x_t | o_0..o_t, u), for actions U (..., T, du) and observations O (...,
    T+1, do).

    A row of O with a NaN is a missing observation. Updates are in Joseph's form, which keeps
    covariances positive. Raises InputError, with name and index, for shapes that do not fit,
    entries that are not finite numbers, and covariances that are not symmetric and positive
    semi-definite; NotPositiveDefinite, with the step, where the covariance of an observation is
    singular.
    """
    axes, (model, sensor, start) = flatten(
        ("dynamics", "observation", "x0"), dynamics, observation, x0
    )
    (F, f, W) = restore(axes, *model)
    (H, h, R) = restore(axes, *sensor)
    (m, P) = restore(axes, *start)
    T, dx, n = F.shape[-3:]
    do = H.shape[-2]
    U, O = finite("U", U), numbers("O", O)
    if U.shape[-2:] != (T, n - dx) or O.shape[-2:] != (T + 1, do):
        raise InputError(
            f"U has shape {U.shape}, O {O.shape}; expected (..., {T}, {n - dx}) and (..., {T + 1}, {do}) "
            f"for dynamics with T = {T}, du = {n - dx} and observations with do = {do}"
        )
    if np.isinf(O).any():
        place = tuple(int(i) for i in np.argwhere(np.isinf(O))[0])
        raise InputError(
            f"O is {O[place]} at index {place}; expected finite numbers, or NaN for what is missing"
        )
    try:
        lead = np.broadcast_shapes(axes, U.shape[:-2], O.shape[:-2])
    except ValueError as error:
        got = f"{axes}, U {U.shape[:-2]}, O {O.shape[:-2]}"
        raise InputError(
            f"leading axes do not broadcast: dynamics {got}; make them equal or 1"
        ) from error
    m, P = np.broadcast_to(m, (*lead, dx)), np.broadcast_to(P, (*lead, dx, dx))
    before: tuple[list[Array], list[Array]] = ([], [])
    after: tuple[list[Array], list[Array]] = ([], [])
    total, eye = np.zeros(lead), np.eye(dx)
    for t in range(T + 1):
        if t:
            xu = np.concatenate([m, np.broadcast_to(U[..., t - 1, :], (*lead, n - dx))], -1)
            A = F[..., t - 1, :, :dx]
            m = (F[..., t - 1, :, :] @ xu[..., None])[..., 0] + f[..., t - 1, :]
            P = _symmetric(A @ P @ _T(A) + W[..., t - 1, :, :])
        before[0].append(m)
        before[1].append(P)
        Ht, seen = H[..., t, :, :], np.broadcast_to(np.isfinite(O[..., t, :]).all(-1), lead)
        S = _symmetric(Ht @ P @ _T(Ht) + R[..., t, :, :])
        S = np.where(
            seen[..., None, None], S, np.eye(do)
        )  # what is missing may have any covariance
        try:
            L = np.linalg.cholesky(S)
        except np.linalg.LinAlgError as error:
            b = int(np.argmax(np.linalg.eigvalsh(S).min(-1) <= 0))
            raise NotPositiveDefinite(
                f"the observation at step {t} of problem {b} has a singular covariance; raise observation.cov",
                b,
                t,
            ) from error
        gain = _T(np.linalg.solve(S, Ht @ P)) * seen[..., None, None]
        surprise = np.where(
            seen[..., None], O[..., t, :] - (Ht @ m[..., None])[..., 0] - h[..., t, :], 0.0
        )
        white = np.linalg.solve(L, surprise[..., None])[..., 0]
        logdet = 2 * np.log(np.diagonal(L, axis1=-2, axis2=-1)).sum(-1)
        total = total - 0.5 * np.where(
            seen, (white**2).sum(-1) + logdet + do * np.log(2 * np.pi), 0.0
        )
        m = m + (gain @ surprise[..., None])[..., 0]
        rest = eye - gain @ Ht
        P = _symmetric(rest @ P @ _T(rest) + gain @ R[..., t, :, :] @ _T(gain))
        after[0].append(m)
        after[1].append(P)
    pairs = [
        np.stack(field, axis=-1 - rank)
        for field, rank in ((after[0], 1), (after[1], 2), (before[0], 1), (before[1], 2))
    ]
    return Filtered(pairs[0], pairs[1], Gaussian(pairs[2], pairs[3]), total)


def rts_smoother(dynamics: LinearGaussianDynamics, filtered: Filtered) -> Gaussian:
    """Returns the beliefs p(x_t | all observations): mean (..., T+1, dx), cov (..., T+1, dx, dx).

    Uses pseudo-inverses, so noise-free dynamics are allowed. Raises InputError, with name and
    index, for shapes that do not fit, entries that are not finite numbers, and covariances that are
    not symmetric and positive semi-definite.
    """
    lead, ((F, _, _),) = flatten(("dynamics",), dynamics)
    (F,), (T, dx) = restore(lead, F), F.shape[1:3]
    of_kind("filtered", filtered, Filtered)
    after = Gaussian(filtered.mean, filtered.cov)  # steps are batch axes here
    steps, pairs = flatten(("filtered", "filtered.predicted"), after, filtered.predicted)
    mean, cov, ahead_mean, ahead_cov = (a for pair in pairs for a in restore(steps, *pair))
    fits = steps[-1:] == (T + 1,) and mean.shape[-1] == dx and len(lead) < len(steps)
    if not fits or any(a not in (1, b) for a, b in zip(lead[::-1], steps[-2::-1], strict=False)):
        raise InputError(
            f"filtered.mean has shape {np.shape(filtered.mean)}; expected {(*lead, T + 1, dx)}, as dynamics have "
            f"T = {T}, dx = {dx}"
        )
    mean, cov = mean.copy(), cov.copy()
    for t in range(T - 1, -1, -1):
        ahead, P, A = ahead_cov[..., t + 1, :, :], cov[..., t, :, :], F[..., t, :, :dx]
        G = P @ _T(A) @ _inverse(ahead)
        mean[..., t, :] += (G @ (mean[..., t + 1, :] - ahead_mean[..., t + 1, :])[..., None])[
            ..., 0
        ]
        cov[..., t, :, :] = _symmetric(P + G @ (cov[..., t + 1, :, :] - ahead) @ _T(G))
    return Gaussian(mean, cov)


def _inverse(P: Array) -> Array:
    """Returns a generalised inverse of covariances, blind to their units: what is zero is told by
    correlations.
    """
    scale = np.sqrt(np.diagonal(P, axis1=-2, axis2=-1))
    scale = np.where(scale > 0, scale, 1.0)
    scale = scale[..., :, None] * scale[..., None, :]
    return np.linalg.pinv(P / scale, hermitian=True) / scale


def _T(A: Array) -> Array:
    return np.swapaxes(A, -1, -2)


def _symmetric(A: Array) -> Array:
    return 0.5 * (A + _T(A))
