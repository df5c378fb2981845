"""Clusters of episodes, each with a time-varying linear-Gaussian model of its own:
expectation-maximisation.

Montgomery, Ajay, Finn, Abbeel and Levine, Reset-Free Guided Policy Search (2017): the model
of cluster k is

    p_k(episode) = N(x_0; k) prod_t N([u_t; x_t+1] | x_t; k, t)

The models are conditionals of Gaussians over z_t = [x_t; u_t; x_t+1 - x_t], fitted to the
cluster's episodes and a few pseudo-samples. These scatter about the cluster's mean as all episodes
do about theirs. Without them a few episodes would be fitted exactly, and no episode would ever
change its cluster.
"""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Clusters(NamedTuple):
    """Gaussians over z_t, and the shares of all episodes."""

    mean: Array  # (K, T, d)
    cov: Array  # (K, T, d, d)
    share: Array  # (K,)


def cluster(
    x: Array,
    u: Array,
    count: int,
    rng: np.random.Generator,
    restarts: int = 4,
    steps: int = 30,
    strength: float = 1.0,
) -> Array:
    """Returns the cluster of each episode, (N,) int, of x (N, T+1, dx) and u (N, T, du); at most
    `count` clusters.

    Of `restarts` the one with the highest likelihood is taken. Clusters that lose their episodes
    are left out; the others are numbered 0, 1, ... `strength` is in pseudo-samples.
    """
    z = np.concatenate([x[:, :-1], u, np.diff(x, axis=1)], -1).swapaxes(0, 1)  # (T, N, d)
    points = (x / np.maximum(x.std((0, 1)), 1e-12)).reshape(len(x), -1)
    found = [
        expectation_maximisation(
            z, x.shape[-1], np.eye(count)[nearest(points, count, rng)].T, steps, strength
        )
        for _ in range(restarts)
    ]
    member = max(found, key=lambda one: one[1])[0]
    return np.unique(member.argmax(0), return_inverse=True)[1]


def expectation_maximisation(
    z: Array, dx: int, member: Array, steps: int, strength: float
) -> tuple[Array, float]:
    """Returns the memberships (K, N) after at most `steps` steps from these, and the mean log
    density of the episodes.
    """
    likelihood = -np.inf
    for _ in range(steps):
        before = likelihood
        member, likelihood = expectation(maximisation(z, member, strength), z, dx)
        if likelihood - before < 1e-4 * abs(before):
            break
    return member, likelihood


def nearest(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Returns which of `count` points, drawn far from each other, each point (N, d) is nearest to,
    (N,) int.
    """
    chosen = [int(rng.integers(len(points)))]
    far = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count and far.max() > 0:
        chosen.append(int(rng.choice(len(points), p=far / far.sum())))
        far = np.minimum(far, ((points - points[chosen[-1]]) ** 2).sum(1))
    return ((points[:, None] - points[chosen]) ** 2).sum(-1).argmin(1)


def maximisation(z: Array, member: Array, strength: float) -> Clusters:
    """Returns the clusters that fit episodes z (T, N, d) with memberships (K, N); those without an
    episode are left out.
    """
    member = member[member.sum(1) > 0.5]
    size, gap = member.sum(1), z - z.mean(1, keepdims=True)
    broad = np.swapaxes(gap, 1, 2) @ gap / z.shape[1]
    broad += np.diag(1e-6 * np.maximum((gap**2).mean((0, 1)), 1e-12))
    mean = np.einsum("kn,tnd->ktd", member, z) / size[:, None, None]
    gap = z - mean[:, :, None]  # (K, T, N, d)
    scatter = np.swapaxes(member[:, None, :, None] * gap, 2, 3) @ gap
    return Clusters(
        mean,
        (scatter + strength * broad) / (size[:, None, None, None] + strength),
        size / size.sum(),
    )


def expectation(clusters: Clusters, z: Array, dx: int) -> tuple[Array, float]:
    """Returns the probability of each cluster for each episode, (K, N), and the episodes' mean log
    density.
    """
    log_p = np.log(clusters.share)[:, None] + log_density(clusters, z, dx)
    most = log_p.max(0)
    p = np.exp(log_p - most)
    return p / p.sum(0), float((most + np.log(p.sum(0))).mean())


def log_density(clusters: Clusters, z: Array, dx: int) -> Array:
    """Returns log p_k(episode), (K, N), of episodes z (T, N, d)."""
    # x comes first, so that the later rows are those of [u; x' - x] given x
    half = np.linalg.cholesky(clusters.cov)
    white = np.linalg.solve(half, np.swapaxes(z - clusters.mean[:, :, None], 2, 3))  # (K, T, d, N)
    terms = (
        -0.5 * white**2
        - (np.log(np.diagonal(half, axis1=2, axis2=3)) + 0.5 * np.log(2 * np.pi))[..., None]
    )
    return terms[:, :, dx:].sum((1, 2)) + terms[:, 0, :dx].sum(1)
