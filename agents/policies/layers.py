"""Layers of tanh units with a linear one on top, in NumPy and in torch, and the change of their
inputs' units.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..interfaces import Array

Layers = Sequence[Array]


def random_layers(
    sizes: Sequence[int], rng: np.random.Generator, about: Array, unit: Array
) -> tuple[list[Array], list[Array]]:
    """Returns random weights (LeCun), of the last layer a hundredth, and biases of 0, but that the
    first outputs are near `about`, in their unit.
    """
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    weights[-1] *= 0.01
    weights[-1][: len(unit)] *= unit[:, None]
    biases = [np.zeros(b) for b in sizes[1:]]
    biases[-1][: len(about)] = about
    return weights, biases


def forward(weights: Layers, biases: Layers, h: Array) -> Array:
    """Returns the outputs (..., out) of inputs (..., in)."""
    for W, b in zip(weights[:-1], biases[:-1], strict=True):
        h = np.tanh(h @ W.T + b)
    return h @ weights[-1].T + biases[-1]


def derivatives(weights: Layers, biases: Layers, h: Array, J: Array) -> Array:
    """Returns the exact derivatives of the outputs at inputs h whose own derivatives are J (in, n),
    (..., out, n).
    """
    lead = h.shape[:-1]
    for W, b in zip(weights[:-1], biases[:-1], strict=True):
        h = np.tanh(h @ W.T + b)
        J = (1 - h**2)[..., None] * (W @ J)
    J = weights[-1] @ J
    return np.broadcast_to(J, (*lead, *J.shape[-2:]))


def torch_forward(weights: Sequence[Any], biases: Sequence[Any], h: Any) -> Any:
    """Returns the outputs (M, out) of inputs (M, in), as tensors."""
    import torch

    for w, a in zip(weights[:-1], biases[:-1], strict=True):
        h = torch.tanh(torch.addmm(a, h, w.T))
    return torch.addmm(biases[-1], h, weights[-1].T)


def units(o: Array) -> tuple[Array, Array]:
    """Returns the mean and the spread of observations (M, do), the units that a network sees them
    in. What hardly varies beside its size is not blown up.
    """
    least = 1e-3 * np.abs(o).max(0)
    return o.mean(0), np.maximum(o.std(0), np.where(least > 0, least, 1.0))


def scaled_outputs(
    weights: Layers, biases: Layers, factor: Array
) -> tuple[list[Array], list[Array]]:
    """Returns layers whose first outputs are multiplied by the factors (du,): those of another
    unit.
    """
    W, b = weights[-1].copy(), biases[-1].copy()
    W[: len(factor)] *= factor[:, None]
    b[: len(factor)] *= factor
    return [*weights[:-1], W], [*biases[:-1], b]


def in_units(
    W: Array, b: Array, old: tuple[Array, Array], new: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Returns a first layer for inputs in new units (centre, scale) that makes of them what W, b do
    in the old ones.
    """
    (centre, scale), (after, wider) = old, new
    return W * (wider / scale), b + W @ ((after - centre) / scale)


def named(weights: Layers, biases: Layers) -> dict[str, Array]:
    """Returns the layers' arrays by name: W0, b0, W1 ..."""
    return {
        f"{letter}{i}": a
        for letter, layers in (("W", weights), ("b", biases))
        for i, a in enumerate(layers)
    }


def torch_named(p: dict[str, Any], count: int, h: Any) -> Any:
    """Returns the outputs (M, out) of inputs (M, in) under so many layers by these names, as
    tensors.
    """
    return torch_forward([p[f"W{i}"] for i in range(count)], [p[f"b{i}"] for i in range(count)], h)


def layers_tree(weights: Layers, biases: Layers) -> dict[str, Any]:
    """Returns the layers as a part of a policy's state."""
    return {
        f"layer{i}": {"W": W, "b": b} for i, (W, b) in enumerate(zip(weights, biases, strict=True))
    }


def layers_form(state: dict[str, Any], first: int | str, last: int | str) -> dict[str, Any]:
    """Returns the form, as `check_tree` takes it, of a state's layers, of `first` inputs and `last`
    outputs.
    """
    count = len(state["layers"]) if isinstance(state.get("layers"), dict) else 0
    sizes = [first, *(f"h{i}" for i in range(1, count)), last]
    return (
        {f"layer{i}": {"W": (b, a), "b": (b,)} for i, (a, b) in enumerate(pairwise(sizes))}
        if count
        else {}
    )


def layers_of(state: dict[str, Any]) -> tuple[list[Array], list[Array]]:
    """Returns the weights and biases in a state that has been checked."""
    layers = [state["layers"][f"layer{i}"] for i in range(len(state["layers"]))]
    return [layer["W"] for layer in layers], [layer["b"] for layer in layers]
