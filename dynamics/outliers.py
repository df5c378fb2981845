"""Gross outliers, such as the impact of a joint on its limit: left out of the fits.

A smooth model that had to pass through a jump would bend everywhere. The linear fit that tells them
may bend as well, and hide them. So a second fit starts from the medians and the nine tenths of the
transitions that it explains best (least trimmed squares: Rousseeuw & Van Driessen, Computing LTS
Regression for Large Data Sets, 2006). It decides on the coordinates in which the first fit's errors
of ordinary transitions are more than twice as large. Elsewhere what departs bends nothing, as the
swing of a pendulum that mostly rests.
"""

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def inliers(z: Array, y: Array, rare: Sequence[int] = ()) -> Array:
    """Returns which transitions, inputs (M, n) and changes (M, dx), are inliers, (M,) bool.

    Left out is what departs from the linear least-squares fit to the others by twenty times as much
    as 98 of 100 transitions do, and by more than the spread of their changes. So fewer than one in
    fifty is left out by each coordinate, none of a Gaussian sample, and none of fewer than 50.

    A reward that is 0 but for one transition in a hundred looks like an outlier there, and so does
    an object that is seldom pushed. `rare` lists such coordinates of y: they are not looked at.
    """
    keep = np.ones(len(z), bool)
    y = np.delete(y, rare, axis=1)
    if len(z) < 50 or not y.shape[1]:
        return keep
    scale = np.maximum(z.std(0), 1e-9 * np.maximum(np.abs(z).max(0), 1e-300))
    features = np.concatenate([np.ones((len(z), 1)), (z - z.mean(0)) / scale], 1)
    least = 1e-9 * np.maximum(np.abs(y).max(0), 1e-300)
    first = _outlying(features, y, keep, least)
    robust = _outlying(features, y, _trimmed(features, y, least), least)
    plain = _rows_without(robust)
    straight = np.percentile(_residuals(features, y, plain)[plain], 75, axis=0)
    bent = np.percentile(_residuals(features, y, _rows_without(first))[plain], 75, axis=0)
    return _rows_without(np.where(bent > 2 * np.maximum(straight, least), robust, first))


def _outlying(features: Array, y: Array, keep: Array, least: Array) -> Array:
    """Returns which changes are outliers of the fit to the other rows, (M, dx) bool, from a fit to
    `keep` on.
    """
    outlying = np.zeros(y.shape, bool)
    for _ in range(3):
        gap = _residuals(features, y, keep)
        limit = np.maximum(20 * np.percentile(gap, 98, axis=0), np.maximum(y[keep].std(0), least))
        outlying = gap > limit
        keep = _rows_without(outlying)
    return outlying


def _rows_without(outlying: Array) -> Array:
    """Returns the rows without any of these (M, dx) bool, (M,) bool."""
    return np.asarray(~outlying.any(1))


def _trimmed(features: Array, y: Array, least: Array) -> Array:
    """Returns the nine tenths of the rows that are explained best, (M,) bool, from medians on."""
    gap = np.abs(y - np.median(y, axis=0))
    for _ in range(4):
        unusual = (gap / np.maximum(np.percentile(gap, 75, axis=0), least)).max(1)
        keep = _with_rare_inputs(features, unusual <= np.percentile(unusual, 90))
        gap = _residuals(features, y, keep)
    return keep


def _with_rare_inputs(features: Array, rows: Array) -> Array:
    """Returns the rows, and those in which an input differs that is constant in `rows`: an action
    that is seldom taken. Without these the fit would know nothing of what it does.
    """
    varies = features.std(0) > 0.5  # 1, or 0 for a constant
    hidden = varies & (features[rows].std(0) < 1e-6)
    usual = features[rows][0, hidden]
    return rows | (np.abs(features[:, hidden] - usual) > 1e-3).any(1)


def _residuals(features: Array, y: Array, rows: Array) -> Array:
    """Returns how far y (M, dx) is from the linear fit to these rows, (M, dx)."""
    F = features[rows]
    w = np.linalg.solve(F.T @ F + 1e-9 * len(F) * np.eye(F.shape[1]), F.T @ y[rows])
    return np.abs(y - features @ w)
