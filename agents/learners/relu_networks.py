"""Several small networks of one shape side by side, backpropagation in NumPy, their elementwise
parts compiled.

    h_0 = x,   h_i+1 = relu(norm(h_i W_i + b_i)),   y = h_L W_L + b_L       norm: none, or over the layer

All parameters are one vector, and so are their gradients, so that Adam (Kingma & Ba 2015) and the
moving average of target networks are one loop each. Up to some 2 x 256 units this takes a fraction
of the time of an automatic differentiation library, which spends it on calls. Single precision is
what learners use; double precision is for comparisons.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from lqr.kernels.jit import kernel

from ..policies.numpy_training import views

Array = np.ndarray
LEAST_VARIANCE = 1e-5  # of a layer's units, in its normalisation


@kernel
def relu_of(h, b):
    """Makes max(h + b, 0) of h (K, B, H), b (K, 1, H)."""
    for k in range(h.shape[0]):
        for i in range(h.shape[1]):
            for j in range(h.shape[2]):
                a = h[k, i, j] + b[k, 0, j]
                h[k, i, j] = a if a > 0 else a * 0


@kernel
def relu_slope(slope, h, into):
    """Makes slopes with respect to h + b of those with respect to the units (K, B, H), and sums
    them, `into` (K, 1, H).
    """
    into[:] = 0
    for k in range(h.shape[0]):
        for i in range(h.shape[1]):
            for j in range(h.shape[2]):
                if h[k, i, j] > 0:
                    into[k, 0, j] += slope[k, i, j]
                else:
                    slope[k, i, j] = 0


@kernel
def normed_relu_of(h, b, gain, offset, normed, inverse, least):
    """Makes max(gain n + offset, 0) of h (K, B, H), where n = (h + b - mean) / deviation over the
    units; leaves n in `normed` (K, B, H) and 1 / deviation in `inverse` (K, B).
    """
    H = h.shape[2]
    for k in range(h.shape[0]):
        for i in range(h.shape[1]):
            mean = h[k, i, 0] * 0
            square = mean
            for j in range(H):
                h[k, i, j] += b[k, 0, j]
                mean += h[k, i, j] / H
            for j in range(H):
                square += (h[k, i, j] - mean) ** 2 / H
            inverse[k, i] = 1 / np.sqrt(square + least)
            for j in range(H):
                normed[k, i, j] = (h[k, i, j] - mean) * inverse[k, i]
                a = gain[k, 0, j] * normed[k, i, j] + offset[k, 0, j]
                h[k, i, j] = a if a > 0 else a * 0


@kernel
def normed_relu_slope(slope, h, gain, normed, inverse, into_b, into_gain, into_offset):
    """Makes slopes with respect to h + b of those with respect to the units (K, B, H), and sums
    those of the parameters (K, 1, H).
    """
    into_b[:] = 0
    into_gain[:] = 0
    into_offset[:] = 0
    H = h.shape[2]
    for k in range(h.shape[0]):
        for i in range(h.shape[1]):
            mean = slope[k, i, 0] * 0
            along = mean
            for j in range(H):
                s = slope[k, i, j] if h[k, i, j] > 0 else mean * 0
                into_offset[k, 0, j] += s
                into_gain[k, 0, j] += s * normed[k, i, j]
                s = s * gain[k, 0, j]
                slope[k, i, j] = s
                mean += s / H
                along += s * normed[k, i, j] / H
            for j in range(H):
                s = (slope[k, i, j] - mean - along * normed[k, i, j]) * inverse[k, i]
                slope[k, i, j] = s
                into_b[k, 0, j] += s


@kernel
def adam(p, g, mean, square, rate, number, first, second):
    """Moves parameters (P,) against gradients (P,) with Adam's moments (P,), its step `number`
    (1, ...)."""
    a = rate * np.sqrt(1 - second**number) / (1 - first**number)
    small = 1e-8 * np.sqrt(1 - second**number)
    for i in range(len(p)):
        mean[i] += (1 - first) * (g[i] - mean[i])
        square[i] += (1 - second) * (g[i] * g[i] - square[i])
        p[i] -= a * mean[i] / (np.sqrt(square[i]) + small)


@kernel
def follow(target, p, share):
    """Moves a target (P,) by a share of the way to p (P,)."""
    for i in range(len(p)):
        target[i] += share * (p[i] - target[i])


class ReluNetworks:
    """K networks of the layer sizes (in, hidden ..., out); `flat` holds all their parameters."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        K: int,
        rng: np.random.Generator,
        layer_norm: bool = False,
        dtype: Any = np.float32,
    ):
        """Weights and biases start uniform within 1 / sqrt(inputs), as torch's linear layers do."""
        self.sizes, self.K, self.layer_norm, self.dtype = tuple(sizes), K, layer_norm, dtype
        shapes = list[tuple[int, ...]]()
        for a, b in pairwise(sizes):
            shapes += [(K, a, b), (K, 1, b)]
        shapes += [(K, 1, b) for b in sizes[1:-1] for _ in range(2 * layer_norm)]
        self.shapes, self.last = shapes, len(sizes) - 2
        count = sum(int(np.prod(shape)) for shape in shapes)
        self.flat, self.slope = np.zeros(count, dtype), np.zeros(count, dtype)
        self.mean, self.square, self.number = np.zeros(count, dtype), np.zeros(count, dtype), 0
        self.parts, self.slopes = views(self.flat, shapes), views(self.slope, shapes)
        for i, a in enumerate(sizes[:-1]):
            for part in self.parts[2 * i : 2 * i + 2]:
                part[:] = rng.uniform(-1, 1, part.shape) / np.sqrt(a)
        for gain in self._norms(self.parts)[0::2]:
            gain[:] = 1.0

    def forward(self, x: Array) -> Array:
        """Returns the outputs (K, B, out) of inputs (B, in) for all, or (K, B, in); what
        `backward` needs of it is kept until the next call.
        """
        p, norms = self.parts, self._norms(self.parts)
        self._h = [np.broadcast_to(x, (self.K, *x.shape[-2:]))]
        self._normed: list[Any] = []
        for i in range(self.last):
            h = self._h[-1] @ p[2 * i]
            if self.layer_norm:
                n, inverse = np.empty_like(h), np.empty(h.shape[:2], h.dtype)
                gain, offset = norms[2 * i : 2 * i + 2]
                normed_relu_of(h, p[2 * i + 1], gain, offset, n, inverse, h.dtype.type(1e-5))
                self._normed.append((n, inverse))
            else:
                relu_of(h, p[2 * i + 1])
            self._h.append(h)
        return self._h[-1] @ p[2 * self.last] + p[2 * self.last + 1]

    def backward(self, slope: Array, inputs: bool = False) -> Array | None:
        """Leaves the parameters' gradient in `self.slope`, of a loss whose slopes with respect to
        the outputs are (K, B, out); returns those with respect to the inputs, (K, B, in), if asked.
        """
        p, g = self.parts, self.slopes
        gains, own = self._norms(p)[0::2], self._norms(g)
        g[2 * self.last + 1][:] = slope.sum(1, keepdims=True)
        for i in range(self.last, -1, -1):
            if i < self.last and self.layer_norm:
                into = g[2 * i + 1], own[2 * i], own[2 * i + 1]
                normed_relu_slope(slope, self._h[i + 1], gains[i], *self._normed[i], *into)
            elif i < self.last:
                relu_slope(slope, self._h[i + 1], g[2 * i + 1])
            np.matmul(np.swapaxes(self._h[i], 1, 2), slope, out=g[2 * i])
            if i or inputs:
                slope = slope @ np.swapaxes(p[2 * i], 1, 2)
        return slope if inputs else None

    def input_slope(self, slope: Array) -> Array:
        """Returns the slopes with respect to the inputs alone, (K, B, in)."""
        p, gains = self.parts, self._norms(self.parts)[0::2]
        spare = [np.empty((self.K, 1, b), self.dtype) for b in self.sizes[1:-1]]
        for i in range(self.last, -1, -1):
            if i < self.last and self.layer_norm:
                into = (np.empty_like(spare[i]) for _ in range(3))
                normed_relu_slope(slope, self._h[i + 1], gains[i], *self._normed[i], *into)
            elif i < self.last:
                relu_slope(slope, self._h[i + 1], spare[i])
            slope = slope @ np.swapaxes(p[2 * i], 1, 2)
        return slope

    def step(self, rate: float) -> None:
        """Moves the parameters against the gradient in `self.slope`, by Adam."""
        self.number += 1
        one = self.dtype
        adam(
            self.flat,
            self.slope,
            self.mean,
            self.square,
            one(rate),
            self.number,
            one(0.9),
            one(0.999),
        )

    def layers(self, k: int = 0) -> tuple[list[Array], list[Array]]:
        """Returns weights (out, in) and biases (out,) of network k; they change with it."""
        W, b = self.parts[0 : 2 * self.last + 2 : 2], self.parts[1 : 2 * self.last + 2 : 2]
        return [w[k].T for w in W], [a[k, 0] for a in b]

    def state(self) -> dict[str, Any]:
        """Returns the parameters and Adam's memory, as a tree."""
        return {
            "flat": self.flat.astype(float),
            "mean": self.mean.astype(float),
            "square": self.square.astype(float),
            "number": self.number,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned; its shapes have been checked."""
        for name in ("flat", "mean", "square"):
            getattr(self, name)[:] = state[name]
        self.number = state["number"]

    def _norms(self, parts: list[Array]) -> list[Array]:
        """Returns gains and offsets of the layers' normalisations, in turn."""
        return parts[2 * self.last + 2 :]
