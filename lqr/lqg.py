"""LQG: the Kalman filter and the Rauch-Tung-Striebel smoother, time-varying, for any batch.

    x_{t+1} ~ N(F_t [x; u] + f_t, cov_t),    o_t ~ N(H_t x_t + h_t, R_t)

The optimal controller under partial observation is that of `backward`, applied to the filtered
mean.
"""

from typing import NamedTuple

import numpy as np

from .batching import finite, flatten, numbers, of_kind, restore, truth
from .errors import InputError, NotPositiveDefinite
from .evaluation import action_value
from .kalman import predict, predict_root, root, symmetrised, update, update_root
from .passes import backward
from .types import (
    Array,
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    LinearGaussianObservation,
    QuadraticCost,
)


class Filtered(NamedTuple):
    """Beliefs over the states 0..T."""

    mean: Array  # (..., T+1, dx), after the observation of that step
    cov: Array  # (..., T+1, dx, dx)
    predicted: Gaussian  # the same before it
    log_likelihood: Array  # (...,), of all observations


class Smoothed(NamedTuple):
    """Beliefs over the states 0..T given all observations."""

    mean: Array  # (..., T+1, dx)
    cov: Array  # (..., T+1, dx, dx)
    cross: Array  # (..., T, dx, dx), the covariance of x_{t+1} (rows) and x_t (columns)


class LQG(NamedTuple):
    """The optimal controller of what is observed: u = K m + k for the filtered mean m."""

    controller: LinearGaussianController
    gain: Array  # (..., T+1, dx, do), of the filter: m = predicted + gain (o - H predicted - h)
    cov: Array  # (..., T+1, dx, dx), of the state given the observations so far
    expected_cost: Array  # (...)


def lqg(
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    observation: LinearGaussianObservation,
    x0: Gaussian,
) -> LQG:
    """Returns the optimal controller under partial observation, and what it costs.

    Gains of the filter do not depend on what is observed, and the controller not on the noise
    (certainty equivalence); the uncertainty of step t costs 1/2 tr(K'Quu K cov) more than full
    observation does. Raises what `backward` and `kalman_filter` raise.
    """
    controller, value = backward(dynamics, cost)
    Q = action_value(dynamics, cost, value).Q
    du, dx = controller.K.shape[-2:]
    steps = controller.k.shape[-2]
    axes, (_, sensor, start, _) = flatten(
        ("dynamics", "observation", "x0", "cost"), dynamics, observation, x0, cost
    )
    quiet = np.zeros((*axes, steps, du)), np.zeros((*axes, steps + 1, sensor[1].shape[-1]))
    filtered = kalman_filter(dynamics, observation, x0, *quiet)
    H, R = restore(axes, sensor[0], sensor[2])
    P = filtered.predicted.cov
    S = symmetrised(H @ P @ _T(H) + R)
    gain = _T(np.linalg.solve(S, H @ P))
    K = controller.K
    lost = _T(K) @ Q[..., dx:, dx:] @ K @ filtered.cov[..., :-1, :, :]
    m, P0 = restore(axes, *start)
    V, v = value.V[..., 0, :, :], value.v[..., 0, :]
    total = np.einsum("...i,...ij,...j->...", m, V, m) + np.einsum("...ij,...ji->...", V, P0)
    total = 0.5 * total + np.einsum("...i,...i->...", v, m) + value.const[..., 0]
    total = total + 0.5 * np.trace(lost, axis1=-2, axis2=-1).sum(-1)
    return LQG(controller, gain, filtered.cov, total[()])


def kalman_filter(
    dynamics: LinearGaussianDynamics,
    observation: LinearGaussianObservation,
    x0: Gaussian,
    U: Array,
    O: Array,
    square_root: bool = False,
) -> Filtered:
    """Returns the beliefs p(x_t | o_0..o_t, u), for actions U (..., T, du) and observations O (...,
    T+1, do).

    An entry of O that is NaN is missing. Updates are in Joseph's form, which keeps covariances
    positive; with `square_root` their square roots are carried along by orthogonal matrices, which
    keeps twice the digits where a sensor is far better than the belief. Raises InputError, with
    name and index, for shapes that do not fit, entries that are not finite numbers, and covariances
    that are not symmetric and positive semi-definite; NotPositiveDefinite, with the step, where the
    covariance of an observation is singular.
    """
    square_root = truth("square_root", square_root)
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
    U, O = np.broadcast_to(U, (*lead, T, n - dx)), np.broadcast_to(O, (*lead, T + 1, do))
    before, after = [], []
    total, L = np.zeros(lead), root(P) if square_root else P
    for t in range(T + 1):
        if t:
            step = F[..., t - 1, :, :], f[..., t - 1, :], W[..., t - 1, :, :], U[..., t - 1, :]
            m, L = predict_root(m, L, *step) if square_root else predict(m, L, *step)
        before.append((m, L))
        sensed = H[..., t, :, :], h[..., t, :], R[..., t, :, :], O[..., t, :]
        try:
            if square_root:
                m, L, log = update_root(m, L, *sensed)
            else:
                (m, L), _, log, _ = update(m, L, *sensed)
        except NotPositiveDefinite as error:
            raise NotPositiveDefinite(
                f"the observation at step {t} of problem {error.batch} has a singular covariance; "
                "raise observation.cov",
                error.batch,
                t,
            ) from error
        after.append((m, L))
        total = total + log
    mean, cov, ahead, spread = (
        np.stack([pair[i] for pair in pairs], axis=-2 - i)
        for pairs in (after, before)
        for i in (0, 1)
    )
    if square_root:
        cov, spread = cov @ _T(cov), spread @ _T(spread)
    return Filtered(mean, cov, Gaussian(ahead, spread), total)


def rts_smoother(dynamics: LinearGaussianDynamics, filtered: Filtered) -> Smoothed:
    """Returns the beliefs p(x_t | all observations), and the covariances of neighbouring states.

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
    mean, cov, cross = mean.copy(), cov.copy(), np.empty_like(cov[..., 1:, :, :])
    for t in range(T - 1, -1, -1):
        ahead, P, A = ahead_cov[..., t + 1, :, :], cov[..., t, :, :], F[..., t, :, :dx]
        G = P @ _T(A) @ _inverse(ahead)
        mean[..., t, :] += (G @ (mean[..., t + 1, :] - ahead_mean[..., t + 1, :])[..., None])[
            ..., 0
        ]
        cross[..., t, :, :] = cov[..., t + 1, :, :] @ _T(G)
        cov[..., t, :, :] = symmetrised(P + G @ (cov[..., t + 1, :, :] - ahead) @ _T(G))
    return Smoothed(mean, cov, cross)


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
