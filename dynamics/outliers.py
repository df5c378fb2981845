"""Gross outliers, such as the impact of a joint on its limit: left out of the fits.

A smooth model that had to pass through a jump would bend everywhere.
"""

import numpy as np

Array = np.ndarray


def inliers(z: Array, y: Array) -> Array:
    """Returns which transitions (M, n), (M, dx) are not gross outliers, (M,) bool.

    Left out is what departs
    from the linear least-squares fit to the others by twenty times as much as 98 of 100 transitions
    do, and by more than the spread of all changes. So fewer than one in fifty is left out, and none
    of a Gaussian sample.
    """
    keep = np.ones(len(z), bool)
    if len(z) < 50:
        return keep
    scale = np.maximum(z.std(0), 1e-9 * np.maximum(np.abs(z).max(0), 1e-300))
    features = np.concatenate([np.ones((len(z), 1)), (z - z.mean(0)) / scale], 1)
    for _ in range(3):
        F = features[keep]
        w = np.linalg.solve(F.T @ F + 1e-9 * len(F) * np.eye(F.shape[1]), F.T @ y[keep])
        gap = np.abs(y - features @ w)
        limit = np.maximum(
            20 * np.percentile(gap, 98, axis=0), np.maximum(y[keep].std(0), 1e-9 * np.abs(y).max(0))
        )
        keep = (gap <= limit).all(1)
    return keep
