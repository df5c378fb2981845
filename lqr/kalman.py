"""One step of the Kalman filter at a time, and its limit: for loops of your own.

    predict:  x' ~ N(F [x; u] + f, cov)        update:  o ~ N(H x + h, R)

The stationary filter is the dual of `infinite_horizon`: the same Riccati equation with A' for A and
H' for B.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_discrete_are

from .batching import finite, numbers, of_kind, symmetric, vector
from .errors import InputError, NotPositiveDefinite, NumericalError
from .types import Array, Gaussian


class KalmanUpdate(NamedTuple):
    """What an observation does to a belief."""

    belief: Gaussian  # mean (..., dx), cov (..., dx, dx)
    gain: Array  # (..., dx, do); its columns are zero where an entry of o is missing
    log_likelihood: Array  # (...), of the entries of o that are there


class StationaryFilter(NamedTuple):
    """The limits of the filter: gain and covariances stay as they are from then on."""

    gain: Array  # (dx, do): mean + gain (o - H mean - h)
    predicted: Array  # (dx, dx), the covariance before an observation
    cov: Array  # (dx, dx), after it


def kalman_predict(belief: Gaussian, F: Any, f: Any, cov: Any, u: Any) -> Gaussian:
    """Returns the belief about the next state, for F (..., dx, n), f (..., dx), cov (..., dx, dx)
    and the action u (..., du).

    Raises InputError for shapes that do not fit, numbers that are not finite, and a cov that is not
    symmetric and positive semi-definite.
    """
    m, P = _belief(belief)
    F, f, u = finite("F", F), vector("f", f), vector("u", u)
    W, dx = symmetric("cov", cov, definite=True), m.shape[-1]
    if F.shape[-2:] != (dx, dx + u.shape[-1]) or f.shape[-1:] != (dx,) or W.shape[-1] != dx:
        raise InputError(
            f"F has shape {F.shape}, f {f.shape}, cov {W.shape}, u {u.shape}; expected (..., {dx}, {dx} + du), "
            f"(..., {dx}), (..., {dx}, {dx}) and (..., du), as belief.mean has {dx} entries"
        )
    return predict(m, P, F, f, W, u)


def kalman_update(belief: Gaussian, H: Any, h: Any, R: Any, o: Any) -> KalmanUpdate:
    """Returns the belief after the observation o (..., do), for H (..., do, dx), h (..., do) and R
    (..., do, do).

    An entry of o that is NaN is missing. The update is in Joseph's form, which keeps covariances
    positive. Raises InputError for shapes that do not fit and numbers that are not finite;
    NotPositiveDefinite where the covariance of what is observed is singular.
    """
    m, P = _belief(belief)
    H, h, o = finite("H", H), vector("h", h), numbers("o", o)
    R, dx, do = symmetric("R", R, definite=True), m.shape[-1], h.shape[-1]
    if H.shape[-2:] != (do, dx) or R.shape[-1] != do or o.shape[-1:] != (do,):
        raise InputError(
            f"H has shape {H.shape}, h {h.shape}, R {R.shape}, o {o.shape}; expected (..., do, {dx}), (..., do), "
            f"(..., do, do) and (..., do), as belief.mean has {dx} entries"
        )
    if np.isinf(o).any():
        raise InputError("o is infinite; expected finite numbers, or NaN for what is missing")
    after, gain, log, _ = update(m, P, H, h, R, o)
    return KalmanUpdate(after, gain, log)


def stationary_filter(A: Any, H: Any, cov: Any, R: Any) -> StationaryFilter:
    """Returns the limit of the filter for x' ~ N(A x + ..., cov) and o ~ N(H x + ..., R).

    A (dx, dx), H (do, dx), cov (dx, dx), R (do, do). Raises InputError for shapes that do not fit;
    NumericalError where there is no stable limit: an unstable mode that H does not see, or one on
    the unit circle that no noise moves.
    """
    A, H = finite("A", A), finite("H", H)
    W, R = symmetric("cov", cov, definite=True), symmetric("R", R, definite=True)
    dx = A.shape[-1] if A.ndim == 2 else 0
    do = H.shape[0] if H.ndim == 2 else 0
    if (A.shape, H.shape, W.shape, R.shape) != ((dx, dx), (do, dx), (dx, dx), (do, do)):
        raise InputError(
            f"A has shape {A.shape}, H {H.shape}, cov {W.shape}, R {R.shape}; expected (dx, dx), (do, dx), (dx, dx), "
            "(do, do)"
        )
    try:
        P = solve_discrete_are(A.T, H.T, W, R)
        P = 0.5 * (P + P.T)
        S = H @ P @ H.T + R
        gain = np.linalg.solve(S, H @ P).T
    except (np.linalg.LinAlgError, ValueError) as error:
        raise NumericalError(
            f"no stationary filter ({error}); does H see every unstable mode, and is R above 0?"
        ) from error
    if not np.abs(np.linalg.eigvals(A - A @ gain @ H)).max() < 1:
        raise NumericalError("the error of the filter does not die out; does H see every mode?")
    rest = np.eye(dx) - gain @ H
    return StationaryFilter(gain, P, symmetrised(rest @ P @ rest.T + gain @ R @ gain.T))


def predict(m: Array, P: Array, F: Array, f: Array, W: Array, u: Array) -> Gaussian:
    """Does `kalman_predict` without checks."""
    lead = np.broadcast_shapes(m.shape[:-1], u.shape[:-1])
    dx = m.shape[-1]
    xu = [np.broadcast_to(a, (*lead, a.shape[-1])) for a in (m, u)]
    A = F[..., :dx]
    mean = (F @ np.concatenate(xu, -1)[..., None])[..., 0] + f
    return Gaussian(mean, symmetrised(A @ P @ np.swapaxes(A, -1, -2) + W))


def update(
    m: Array, P: Array, H: Array, h: Array, R: Array, o: Array
) -> tuple[Gaussian, Array, Array, Array]:
    """Does `kalman_update` without checks; also returns the covariance of the observation, in which
    what is missing stands alone, with variance 1.
    """
    seen = np.isfinite(o)
    H = np.where(seen[..., None], H, 0.0)
    both = seen[..., :, None] & seen[..., None, :]
    R = np.where(both, R, np.eye(o.shape[-1]))
    S = symmetrised(H @ P @ np.swapaxes(H, -1, -2) + R)
    try:
        L = np.linalg.cholesky(S)
    except np.linalg.LinAlgError as error:
        b = int(np.argmax(np.linalg.eigvalsh(S).min(-1) <= 0))
        raise NotPositiveDefinite(
            f"the observation of problem {b} has a singular covariance; raise that of its noise",
            b,
            0,
        ) from error
    gain = np.swapaxes(np.linalg.solve(S, H @ P), -1, -2)
    surprise = np.where(seen, o - (H @ m[..., None])[..., 0] - h, 0.0)
    white = np.linalg.solve(L, surprise[..., None])[..., 0]
    logdet = 2 * np.log(np.diagonal(L, axis1=-2, axis2=-1)).sum(-1)
    log = -0.5 * ((white**2).sum(-1) + logdet + seen.sum(-1) * np.log(2 * np.pi))
    rest = np.eye(m.shape[-1]) - gain @ H
    cov = rest @ P @ np.swapaxes(rest, -1, -2) + gain @ R @ np.swapaxes(gain, -1, -2)
    mean = m + (gain @ surprise[..., None])[..., 0]
    return Gaussian(mean, symmetrised(cov)), gain, log, S


def predict_root(m: Array, L: Array, F: Array, f: Array, W: Array, u: Array) -> tuple[Array, Array]:
    """Does `predict` with roots, L L' = P: [A L, W^1/2] is made triangular by an orthogonal
    matrix.
    """
    dx = m.shape[-1]
    mean = predict(m, np.zeros_like(L), F, f, W, u).mean
    wide = np.concatenate([F[..., :dx] @ L, np.broadcast_to(root(W), L.shape)], -1)
    return mean, np.swapaxes(np.linalg.qr(np.swapaxes(wide, -1, -2), mode="r"), -1, -2)


def update_root(
    m: Array, L: Array, H: Array, h: Array, R: Array, o: Array
) -> tuple[Array, Array, Array]:
    """Returns the mean, the root and the log-likelihood after an observation (Kaminski, Bryson &
    Schmidt 1971).
    """
    seen, do = np.isfinite(o), o.shape[-1]
    H = np.where(seen[..., None], H, 0.0)
    R = np.where(seen[..., :, None] & seen[..., None, :], R, np.eye(do))
    HL, lead = H @ L, m.shape[:-1]
    upper = np.concatenate([np.broadcast_to(root(R), (*lead, do, do)), HL], -1)
    lower = np.concatenate([np.zeros((*lead, L.shape[-1], do)), L], -1)
    both = np.swapaxes(np.concatenate([upper, lower], -2), -1, -2)
    made = np.swapaxes(np.linalg.qr(both, mode="r"), -1, -2)
    S, gain = made[..., :do, :do], made[..., do:, :do]  # the gain is that times S^-1
    scale = np.abs(np.diagonal(S, axis1=-2, axis2=-1))
    if not scale.min() > 0:
        b = int(np.argmax(scale.min(-1) <= 0))
        raise NotPositiveDefinite(
            f"the observation of problem {b} has a singular covariance; raise that of its noise",
            b,
            0,
        )
    surprise = np.where(seen, o - (H @ m[..., None])[..., 0] - h, 0.0)
    white = np.linalg.solve(S, surprise[..., None])
    log = -0.5 * ((white[..., 0] ** 2).sum(-1) + seen.sum(-1) * np.log(2 * np.pi))
    return m + (gain @ white)[..., 0], made[..., do:, do:], log - np.log(scale).sum(-1)


def root(cov: Array) -> Array:
    """Returns A with A A' = cov, of covariances that may be singular."""
    values, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


def symmetrised(A: Array) -> Array:
    return 0.5 * (A + np.swapaxes(A, -1, -2))


def _belief(belief: Any) -> tuple[Array, Array]:
    of_kind("belief", belief, Gaussian)
    m, P = finite("belief.mean", belief.mean), symmetric("belief.cov", belief.cov, definite=True)
    if m.ndim < 1 or P.shape[-1] != m.shape[-1]:
        raise InputError(
            f"belief.mean has shape {m.shape}, belief.cov {P.shape}; expected (..., dx) and (..., dx, dx)"
        )
    return m, P
