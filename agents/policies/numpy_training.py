"""Training of a small tanh network in NumPy: backpropagation and Adam (Kingma & Ba 2015), in
float64.

For networks of this size (64 units, batches of 256) it takes a third of the time of an automatic
differentiation library, which spends most of it on calls.
"""

from collections.abc import Callable
from itertools import accumulate

import numpy as np

Array = np.ndarray


def views(parameters: Array, shapes: list[tuple[int, ...]]) -> list[Array]:
    """Returns the parts of a vector of parameters, in these shapes; to write to them is to write to
    it.
    """
    ends = list(accumulate(int(np.prod(shape)) for shape in shapes))
    return [
        part.reshape(shape)
        for part, shape in zip(np.split(parameters, ends[:-1]), shapes, strict=True)
    ]


def loss_and_gradient(
    weights: list[Array],
    biases: list[Array],
    x: Array,
    target: Array,
    precision: Array,
    into: list[Array],
) -> float:
    """Returns the mean of 1/2 (net(x) - target)' precision (net(x) - target); its gradient goes
    `into` arrays of the shapes of [*weights, *biases].

    x (M, inputs), target (M, outputs), precision (M, outputs, outputs), symmetric.
    """
    h = [x]
    for W, b in zip(weights[:-1], biases[:-1], strict=True):
        h.append(np.tanh(h[-1] @ W.T + b))
    gap = h[-1] @ weights[-1].T + biases[-1] - target
    slope = (precision @ gap[..., None])[..., 0] / len(x)
    loss = 0.5 * float((gap * slope).sum())
    L = len(weights)
    for i in reversed(range(L)):
        into[i][:], into[L + i][:] = slope.T @ h[i], slope.sum(0)
        if i:
            slope = (slope @ weights[i]) * (1 - h[i] ** 2)
    return loss


def adam(
    parameters: Array,
    gradient: Callable[[], Array],
    steps: int,
    rate: float,
    decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
) -> None:
    """Moves a vector of parameters, in place, against the gradients that `gradient()` returns
    there, `steps` times.

    The rate falls from `rate` to 0 along a cosine; `decay` times the parameters is added to the
    gradients.
    """
    mean, square = np.zeros_like(parameters), np.zeros_like(parameters)
    for step in range(steps):
        g = gradient() + decay * parameters
        mean += (1 - betas[0]) * (g - mean)
        square += (1 - betas[1]) * (g**2 - square)
        bias1, bias2 = (1 - beta ** (step + 1) for beta in betas)
        length = 0.5 * rate * (1 + np.cos(np.pi * step / steps))
        parameters -= length / bias1 * mean / (np.sqrt(square / bias2) + 1e-8)
