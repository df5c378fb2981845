"""Rows that are exact copies of earlier ones, as when an episode is logged twice or a robot rests.

A copy tells nothing new, so it must not be held out to judge a model that was trained on the other.
"""

import numpy as np

Array = np.ndarray


def first_of_copies(*columns: Array) -> Array:
    """Returns, for each row of these arrays (M, ...) side by side, the index of the first row that
    equals it, (M,): its own where it is no copy.
    """
    flat = np.concatenate([np.reshape(a, (len(a), -1)) for a in columns], 1, dtype=float)
    rows = np.ascontiguousarray(flat + 0.0)  # -0.0 equals 0.0
    if not rows.size:
        return np.zeros(len(rows), int)
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0].tolist()
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)])
