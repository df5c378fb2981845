"""Proximal policy optimisation: Adam up an objective that stops counting beyond small steps.

    maximise over theta   E[ min(r A, clip(r, 1 - e, 1 + e) A) ],    r = pi_theta(u|o) / pi_old(u|o)

Schulman, Wolski, Dhariwal, Radford & Klimov, Proximal Policy Optimization Algorithms (2017), eq. 7.
Where the ratio r is beyond the clip in the way the advantage pulls, a step has no gradient.
"""

import numpy as np

from ..policies.numpy_training import adam
from .gaussian_layers import GaussianLayers, Gaussians
from .trust_region import Batch

Array = np.ndarray


def clipped_update(
    layers: GaussianLayers,
    theta: Array,
    batch: Batch,
    rng: np.random.Generator,
    clip: float = 0.2,
    epochs: int = 10,
    rate: float = 1e-3,
    minibatch: int = 500,
) -> Array:
    """Returns the parameters (P,) after so many passes over the steps of a batch."""
    before = layers.log_density(layers.gaussians(theta, batch.x), batch.u)[0]
    parts = max(len(batch.x) // minibatch, 1)
    rows = iter(
        [p for _ in range(epochs) for p in np.array_split(rng.permutation(len(batch.x)), parts)]
    )
    new = theta.copy()

    def gradient() -> Array:
        some = next(rows)
        return -clipped_gradient(layers, new, Batch(*(a[some] for a in batch)), before[some], clip)

    adam(new, gradient, epochs * parts, rate)
    return new


def clipped_gradient(
    layers: GaussianLayers, theta: Array, batch: Batch, before: Array, clip: float
) -> Array:
    """Returns the gradient (P,) of the clipped objective; `before` (M,) are the logarithms of the
    old policy's densities.
    """
    log, slope = layers.log_density(layers.gaussians(theta, batch.x), batch.u)
    with np.errstate(over="ignore"):
        ratio = np.exp(np.minimum(log - before, 50.0))
    beyond = np.where(batch.advantage > 0, ratio > 1 + clip, ratio < 1 - clip)
    weight = np.where(beyond, 0.0, ratio * batch.advantage)[:, None] / len(batch.x)
    return layers.pulled(
        theta, batch.x, Gaussians(slope.mean * weight, (slope.log_std * weight).sum(0))
    )


def clipped_objective(ratio: Array, advantage: Array, clip: float) -> float:
    """Returns the objective of ratios and advantages (M,) each."""
    return float(
        np.minimum(ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage).mean()
    )
