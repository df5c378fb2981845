"""Training on several steps ahead: a network is to predict well what comes of its own predictions.

From row t the mean is followed open loop under the actions that were taken. In units of the
changes' spread the error of the state is the sum of those of the changes so far,

    e_0 = 0,    e_k+1 = e_k + f(z_t+k + gain e_k) - y_t+k,    loss = mean over k of the loss of e_k+1

so that one step is the usual loss (as in Nagabandi et al. 2018, eq. 3, and Venkatraman, Hebert &
Bagnell 2015).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..base import Array


def run_lengths(x: Array, xnext: Array, kind: Array) -> Array:
    """Returns how many transitions follow one another from each row on, (M,), itself included, of
    one `kind` (M,).

    A row follows another where it begins, to the last bit, where that ended: so no run crosses the
    end of an episode.
    """
    follows = (xnext[:-1] == x[1:]).all(1) & (kind[1:] == kind[:-1])
    ends = np.append(np.flatnonzero(~follows), len(x) - 1)
    return ends[np.searchsorted(ends, np.arange(len(x)))] - np.arange(len(x)) + 1


Ahead = Callable[[Any, Any, Any], tuple[Any, Any]]
"""Inputs (E, M, n), targets (E, M, dx) and what the last step gave, or None -> the loss of each (E,
M, dx), and what the next step is to be given, whose first entry is the error e (E, M, dx)."""


def multi_step_loss(
    ahead: Ahead, Z: Any, Y: Any, rows: Any, many: Any, gain: Any, steps: int
) -> Any:
    """Returns the loss of each member (E,) from rows (E, M) of Z (R, n), Y (R, dx), over up to
    `steps` steps each.

    `many` (E, M) is how many there are from each row on; `gain` (dx,) makes of an error e a change
    of the input.
    """
    import torch

    total: Any = 0.0
    count: Any = 0.0
    last = None
    for k in range(steps):
        at = rows + torch.clamp(many - 1, max=k)
        z = Z[at]
        if last is not None:
            z = torch.cat([z[..., : len(gain)] + gain * last[0], z[..., len(gain) :]], -1)
        losses, last = ahead(z, Y[at], last)
        if steps == 1:
            return losses.mean((1, 2))
        there = (many > k).to(losses.dtype)
        total, count = total + (losses.mean(-1) * there).sum(1), count + there.sum(1)
    return total / count
