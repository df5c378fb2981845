"""Rollouts of a linear-Gaussian system under a linear-Gaussian controller."""

import numpy as np

from .batching import flatten, whole
from .errors import InputError
from .kalman import root
from .types import Array, Gaussian, LinearGaussianController, LinearGaussianDynamics


def sample_trajectories(
    dynamics: LinearGaussianDynamics,
    controller: LinearGaussianController,
    x0: Gaussian,
    rng: np.random.Generator,
    samples: int = 1,
) -> tuple[Array, Array]:
    """Returns states X (..., samples, T+1, dx) and actions U (..., samples, T, du) with all noise.

    Their means and covariances are those of `forward`. Covariances may be singular.
    Raises InputError for arguments of another kind, shapes that do not fit, or samples below 1.
    """
    lead, ((F, f, W), (K, k, S), (m, P)) = flatten(
        ("dynamics", "controller", "x0"), dynamics, controller, x0
    )
    samples = whole("samples", samples, 1)
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng is a {type(rng).__name__}; expected np.random.default_rng(seed)")
    (B, T, dx, n), W, S = F.shape, root(W), root(S)
    X, U = np.empty((B, samples, T + 1, dx)), np.empty((B, samples, T, n - dx))
    X[:, :, 0] = m[:, None] + rng.normal(size=(B, samples, dx)) @ np.swapaxes(root(P), -1, -2)
    for t in range(T):
        x, noise = X[:, :, t], rng.normal(size=(B, samples, n))
        U[:, :, t] = x @ np.swapaxes(K[:, t], -1, -2) + k[:, None, t]
        U[:, :, t] += noise[..., dx:] @ np.swapaxes(S[:, t], -1, -2)
        xu = np.concatenate([x, U[:, :, t]], -1)
        X[:, :, t + 1] = xu @ np.swapaxes(F[:, t], -1, -2) + f[:, None, t]
        X[:, :, t + 1] += noise[..., :dx] @ np.swapaxes(W[:, t], -1, -2)
    return X.reshape(*lead, samples, T + 1, dx), U.reshape(*lead, samples, T, n - dx)
