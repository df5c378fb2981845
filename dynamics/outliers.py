"""Gross outliers, such as the impact of a joint on its limit: left out of the fits.

A smooth model that had to pass through a jump would bend everywhere. The linear fit that tells them
must not bend either, so it starts from the medians and the nine tenths of the transitions that it
explains best (least trimmed squares: Rousseeuw & Van Driessen, Computing LTS Regression for Large
Data Sets, 2006).
"""

import numpy as np

Array = np.ndarray


def inliers(z: Array, y: Array) -> Array:
    """Returns which transitions, inputs (M, n) and changes (M, dx), are no gross outliers, (M,) bool.

    Left out is what departs from the linear least-squares fit to the others by twenty times as much
    as 98 of 100 transitions do, and by more than the spread of their changes. So fewer than one in
    fifty is left out, none of a Gaussian sample, and none of fewer than 50.
    """
    keep = np.ones(len(z), bool)
    if len(z) < 50:
        return keep
    scale = np.maximum(z.std(0), 1e-9 * np.maximum(np.abs(z).max(0), 1e-300))
    features = np.concatenate([np.ones((len(z), 1)), (z - z.mean(0)) / scale], 1)
    least = 1e-9 * np.maximum(np.abs(y).max(0), 1e-300)
    gap = np.abs(y - np.median(y, axis=0))
    for _ in range(4):
        unusual = (gap / np.maximum(np.percentile(gap, 75, axis=0), least)).max(1)
        keep = unusual <= np.percentile(unusual, 90)
        gap = _residuals(features, y, keep)
    for _ in range(3):
        limit = np.maximum(20 * np.percentile(gap, 98, axis=0), np.maximum(y[keep].std(0), least))
        keep = (gap <= limit).all(1)
        gap = _residuals(features, y, keep)
    return keep


def _residuals(features: Array, y: Array, rows: Array) -> Array:
    """Returns how far y (M, dx) is from the linear fit to these rows, (M, dx)."""
    F = features[rows]
    w = np.linalg.solve(F.T @ F + 1e-9 * len(F) * np.eye(F.shape[1]), F.T @ y[rows])
    return np.abs(y - features @ w)
