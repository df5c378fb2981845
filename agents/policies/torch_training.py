"""Gradient descent as all policies use it: Adam on minibatches, with a rate that falls to 0 along a
cosine.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynamics.networks.adam import CosineAdam
from lqr import InputError, NumericalError

from ..interfaces import Array

Loss = Callable[
    [Sequence[Any], Any], Any
]  # parameters as tensors, the rows to look at -> the mean loss, a tensor


def minimise(
    loss_of: Loss,
    parameters: Sequence[Array],
    count: int,
    rng: np.random.Generator,
    steps: int,
    batch: int,
    rate: float,
    decay: float,
    chunk: int | None = None,
    dtype: str = "float64",
) -> tuple[list[Array], float]:
    """Returns the parameters after so many steps on batches of `count` rows, and the mean loss of
    all rows then.

    The last loss is summed up in chunks of rows, where one for all would take too much memory.
    Raises NumericalError where it is not finite.
    """
    import torch

    P = [
        torch.as_tensor(p, dtype=getattr(torch, dtype)).clone().requires_grad_() for p in parameters
    ]
    optimiser = CosineAdam(P, rate, steps, decay)
    for _ in range(steps):
        rows = torch.as_tensor(rng.integers(count, size=min(batch, count)))
        optimiser.zero_grad()
        loss_of(P, rows).backward()
        optimiser.step()
    with torch.no_grad():
        if chunk is None or chunk >= count:
            final = float(loss_of(P, slice(None)))
        else:
            parts = [slice(i, min(i + chunk, count)) for i in range(0, count, chunk)]
            final = sum((s.stop - s.start) / count * float(loss_of(P, s)) for s in parts)
    if not np.isfinite(final):
        raise NumericalError(
            f"the policy's loss became {final} in training; lower the learning rate"
        )
    return [p.detach().double().numpy() for p in P], final


def used(
    weight: Array | None, o: Array, target: Array, precision: Array
) -> tuple[Array, Array, Array, Array]:
    """Returns the rows (M, .) of data (..., .) that weigh more than 0, and their weights (M,), by
    default 1.

    Raises InputError where there is none.
    """
    weight = np.ones(target.shape[:-1]) if weight is None else weight
    rows = weight > 0
    if not rows.any():
        raise InputError(f"got {rows.size} samples of weight 0; expected some that count")
    return o[rows], target[rows], precision[rows], weight[rows]
