"""Mixtures of Gaussians by expectation-maximisation, written as two matrix products per step.

A log density is linear in the features [1, z, z z'], so all components' log densities are one
product, and the moments that the responsibilities weigh are its transpose (Dempster, Laird & Rubin
1977; starts: Arthur & Vassilvitskii 2007).
"""

from typing import NamedTuple

import numpy as np

from ..normal_inverse_wishart import Array


class Mixture(NamedTuple):
    """K Gaussians and their weights."""

    weights: Array  # (K,)
    means: Array  # (K, d)
    covs: Array  # (K, d, d)


def features(z: Array) -> Array:
    """Returns [1, z, the products z_i z_j for i <= j], (M, 1 + d + d (d+1) / 2), of points (M,
    d).
    """
    M, d = z.shape
    phi, first = np.ones((M, 1 + d + d * (d + 1) // 2)), 1 + d
    phi[:, 1:first] = z
    for i in range(d):
        np.multiply(z[:, i : i + 1], z[:, i:], out=phi[:, first : first + d - i])
        first += d - i
    return phi


def log_densities(phi: Array, mixture: Mixture) -> Array:
    """Returns log(weight_k density_k) of points with these features, (M, K)."""
    d = mixture.means.shape[1]
    i, j = np.triu_indices(d)
    half = np.linalg.inv(np.linalg.cholesky(mixture.covs))  # half' half = covs^-1
    precision = np.swapaxes(half, -1, -2) @ half
    pull = (precision @ mixture.means[..., None])[..., 0]
    const = np.log(mixture.weights) - 0.5 * (d * np.log(2 * np.pi) + (mixture.means * pull).sum(-1))
    const += np.log(np.diagonal(half, axis1=1, axis2=2)).sum(-1)
    square = np.where(i == j, -0.5, -1.0) * precision[:, i, j]
    return phi @ np.concatenate([const[:, None], pull, square], 1).T


def responsibilities(log_density: Array) -> tuple[Array, Array]:
    """Returns each point's shares of the components, (M, K), and its log density, (M,)."""
    most = log_density.max(1, keepdims=True)
    share = np.exp(log_density - most)
    total = share.sum(1, keepdims=True)
    share /= total
    return share, (most + np.log(total))[:, 0]


def maximise(phi: Array, share: Array, floor: float) -> Mixture:
    """Returns the components that the shares (M, K) ask for; `floor` is added to their variances.

    A component with hardly a point is dropped.
    """
    share = share[:, share.sum(0) > 1e-3]
    d = int(np.sqrt(9 + 8 * (phi.shape[1] - 1)) - 3) // 2  # of 1 + d + d (d+1) / 2 features
    i, j = np.triu_indices(d)
    sums = share.T @ phi
    moments = sums / sums[:, :1]
    means = moments[
        :, 1 : 1 + d
    ].copy()  # in one piece, as a saved one is read: sums then agree to the last bit
    covs = np.empty((len(sums), d, d))
    covs[:, i, j] = covs[:, j, i] = moments[:, 1 + d :] - means[:, i] * means[:, j]
    covs[:, range(d), range(d)] = np.maximum(covs[:, range(d), range(d)], 0.0) + floor
    return Mixture(sums[:, 0] / sums[:, 0].sum(), means, covs)


def start(z: Array, phi: Array, K: int, floor: float, rng: np.random.Generator) -> Mixture:
    """Returns components around K points that are drawn far from each other, each with the points
    nearest to it.
    """
    square = (z**2).sum(1)
    centres, far = [int(rng.integers(len(z)))], np.full(len(z), np.inf)
    for _ in range(K - 1):
        c = centres[-1]
        far = np.minimum(far, np.maximum(square - 2 * z @ z[c] + square[c], 0.0))
        total = np.cumsum(far)
        if total[-1] <= 0:
            break  # fewer than K different points
        centres.append(int(np.searchsorted(total, rng.random() * total[-1])))
    distance = square[centres] - 2 * z @ z[centres].T
    return maximise(phi, np.eye(len(centres))[distance.argmin(1)], floor)


def fit_mixture(
    phi: Array, mixture: Mixture, steps: int, floor: float, tolerance: float = 1e-3
) -> Mixture:
    """Returns the mixture after at most so many steps of expectation-maximisation, fewer once it
    gains no more.
    """
    before = -np.inf
    for _ in range(steps):
        share, log_density = responsibilities(log_densities(phi, mixture))
        mixture, now = maximise(phi, share, floor), float(log_density.mean())
        if now - before < tolerance:
            break
        before = now
    return mixture
