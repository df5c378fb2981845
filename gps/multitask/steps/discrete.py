"""Distillation of tables of values into one small network of moves.

    p(a|s) = exp(Q(s, a) / tau) / sum_b exp(Q(s, b) / tau)        the teacher, at temperature tau
    minimise  sum_s  weight  KL(p(.|s) || softmax(net(s)))

Rusu et al., Policy Distillation (2015), section 3: a low temperature tells which move is best, a high
one how much worse the others are. As tau goes to 0 this is cloning of the best moves.
"""

from itertools import pairwise

import numpy as np
from scipy.special import log_softmax, softmax

from agents.policies.layers import forward
from agents.policies.numpy_training import adam, views

Array = np.ndarray


def soft_targets(Q: Array, temperature: float) -> Array:
    """Returns the probabilities of moves (..., A) of values (..., A), at a temperature in their unit."""
    found: Array = softmax((Q - Q.max(-1, keepdims=True)) / temperature, axis=-1)
    return found


class MoveNetwork:
    """Tanh layers, and a logit for each move."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], moves: int, rng: np.random.Generator):
        sizes = (inputs, *hidden, moves)
        self.weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
        self.biases = [np.zeros(b) for b in sizes[1:]]

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return sum(a.size for a in (*self.weights, *self.biases))

    def logits(self, x: Array) -> Array:
        """Returns the logits (..., A) at inputs (..., inputs)."""
        return forward(self.weights, self.biases, x)

    def fit(
        self,
        x: Array,
        target: Array,
        rng: np.random.Generator,
        weight: Array | None = None,
        steps: int = 2000,
        batch: int = 256,
        rate: float = 1e-2,
    ) -> float:
        """Trains towards probabilities (M, A) at inputs (M, inputs), weighed by `weight` (M,);
        returns the mean divergence, nats.
        """
        weight = np.ones(len(x)) if weight is None else weight / weight.mean()
        shapes = [a.shape for a in (*self.weights, *self.biases)]
        theta = np.concatenate([a.ravel() for a in (*self.weights, *self.biases)])
        slope = np.empty_like(theta)
        now, into = views(theta, shapes), views(slope, shapes)

        def gradient() -> Array:
            rows = rng.integers(len(x), size=min(batch, len(x)))
            backpropagate(now, x[rows], target[rows], weight[rows], into)
            return slope

        adam(theta, gradient, steps, rate)
        L = len(self.weights)
        self.weights, self.biases = now[:L], now[L:]
        log = log_softmax(self.logits(x), axis=1)
        entropy = np.where(target > 0, target * np.log(np.where(target > 0, target, 1.0)), 0.0)
        return float((weight[:, None] * (entropy - target * log)).sum(1).mean())


def backpropagate(
    layers: list[Array], x: Array, target: Array, weight: Array, into: list[Array]
) -> None:
    """Writes the gradient of the mean weighted cross-entropy `into` arrays of the layers' shapes."""
    L = len(layers) // 2
    h = [x]
    for W, b in zip(layers[: L - 1], layers[L : 2 * L - 1], strict=True):
        h.append(np.tanh(h[-1] @ W.T + b))
    logits = h[-1] @ layers[L - 1].T + layers[2 * L - 1]
    slope = weight[:, None] * (softmax(logits, axis=1) - target) / len(x)
    for i in reversed(range(L)):
        into[i][:], into[L + i][:] = slope.T @ h[i], slope.sum(0)
        if i:
            slope = (slope @ layers[i]) * (1 - h[i] ** 2)
