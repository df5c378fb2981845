"""How sure an identified simulator is of its factors: Laplace's approximation of their posterior.

    log p(theta | data)  =  -1/2 sum_i |(x'_i - f(x_i, u_i, e^theta)) / s|^2  -  1/2 |theta / width|^2  +  const
    theta  ~  N(mode, H^-1),    H = sum_i J_i' diag(1/s^2) J_i + 1/width^2,    J_i = df/dtheta

s is the size of what the simulator misses, found from the fit in turn. What the data say nothing of
stays as wide as before: a factor may be drawn from it, to train under all that may be true.
"""

import numpy as np

from lqr import Gaussian, InputError

from .base import Array
from .priors.simulator import IdentifiedSimulator

STEP = 1e-4  # of a log factor, in differences


def factor_posterior(
    model: IdentifiedSimulator, x: Array, u: Array, xnext: Array, iterations: int = 10
) -> Gaussian:
    """Returns the distribution of the log factors, mean (P,) and cov (P, P), given transitions (M,
    dx), (M, du), (M, dx): by Gauss and Newton from where the model is. A transition that the
    simulator cannot take says nothing.

    Raises InputError where there are no more numbers than factors.
    """
    theta, P = model.theta.copy(), len(model.theta)
    rows = np.isfinite(model.miss(theta, x, u, xnext)).all(1)
    x, u, xnext = x[rows], u[rows], xnext[rows]
    if xnext.size <= P:
        raise InputError(f"got {xnext.size} numbers of next states; expected more than {P} factors")
    prior = np.eye(P) / model.width**2
    for _ in range(iterations):
        missed = model.miss(theta, x, u, xnext)
        free = max(len(x) - P / x.shape[1], 1.0)  # each coordinate's share of the factors is fitted
        size = np.sqrt((missed**2).sum(0) / free)
        size = np.maximum(size, 1e-9 * np.maximum(np.abs(xnext - x).max(0), 1e-300))
        J = _slopes(model, theta, x, u, xnext) / size[:, None]
        H = np.einsum("mip,miq->pq", J, J) + prior
        slope = np.einsum("mip,mi->p", J, missed / size) - prior @ theta
        theta = theta + np.clip(np.linalg.solve(H, slope), -0.5, 0.5)
    return Gaussian(theta, np.linalg.inv(0.5 * (H + H.T)))


def draw_factors(posterior: Gaussian, count: int, rng: np.random.Generator) -> Array:
    """Returns factors (count, P), log-normal."""
    root = np.linalg.cholesky(posterior.cov)
    return np.exp(posterior.mean + rng.standard_normal((count, len(root))) @ root.T)


def _slopes(model: IdentifiedSimulator, theta: Array, x: Array, u: Array, xnext: Array) -> Array:
    """Returns the derivatives of the simulated x' by the log factors, (M, dx, P)."""
    columns = []
    for move in STEP * np.eye(len(theta)):
        up, down = (model.miss(theta + sign * move, x, u, xnext) for sign in (1, -1))
        columns.append((down - up) / (2 * STEP))
    return np.nan_to_num(np.stack(columns, -1))
