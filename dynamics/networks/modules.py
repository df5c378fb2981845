"""Composable networks: encoders, decoders, recurrent and graph cells, for any model or policy.

A network is a description, which holds no numbers. `start(rng)` draws its parameters as flat named
NumPy arrays; calling it with parameters as tensors and inputs gives outputs, through which torch
differentiates. Networks are composed by giving each a name:

    encoder, head = ConvEncoder((64, 64, 3), outputs=16), MLP((16, 64, 4), layer_norm=True)
    start = joined(encoder=encoder.start(rng), head=head.start(rng))
    params = to_tensors(start, grad=True)
    y = head(part(params, "head"), encoder(part(params, "encoder"), pictures))
    saved = to_arrays(params)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lqr import InputError

Array = np.ndarray
Arrays = dict[str, Array]
Tensors = Mapping[str, Any]  # torch tensors by their names
ACTIVATIONS = ("silu", "relu", "tanh", "elu")


def to_tensors(arrays: Mapping[str, Array], grad: bool = False, dtype: str = "float32") -> Any:
    """Returns parameters as torch tensors, copied, by their names."""
    import torch

    kind = getattr(torch, dtype)
    return {k: torch.tensor(a, dtype=kind, requires_grad=grad) for k, a in arrays.items()}


def to_arrays(tensors: Tensors) -> Arrays:
    """Returns parameters as float64 arrays, from which `to_tensors` makes the same bits."""
    return {k: t.detach().double().numpy().copy() for k, t in tensors.items()}


def joined(**parts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of several networks as one flat tree: `encoder.W0` is W0 of
    encoder.
    """
    return {f"{name}.{k}": value for name, some in parts.items() for k, value in some.items()}


def part(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the parameters of the network of that name. Raises InputError where it has none."""
    found = {k[len(name) + 1 :]: v for k, v in params.items() if k.startswith(f"{name}.")}
    if not found:
        have = ", ".join(sorted({k.split(".")[0] for k in params}))
        raise InputError(f"got no parameters of {name!r}; expected one of {have}")
    return found


@dataclass(frozen=True)
class MLP:
    """Layers of these sizes, inputs and outputs included, with an activation between them."""

    sizes: tuple[int, ...]
    activation: str = "silu"
    layer_norm: bool = False  # before each activation

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters: weights of variance 1 / inputs, biases 0."""
        _checked(self.activation, self.sizes, 2)
        params: Arrays = {}
        for i, (a, b) in enumerate(pairwise(self.sizes)):
            params[f"W{i}"] = rng.standard_normal((a, b)) / np.sqrt(a)
            params[f"b{i}"] = np.zeros(b)
            if self.layer_norm and i + 2 < len(self.sizes):
                params |= {f"scale{i}": np.ones(b), f"shift{i}": np.zeros(b)}
        return params

    def __call__(self, params: Tensors, x: Any) -> Any:
        """Returns outputs (..., outputs) for inputs (..., inputs)."""
        for i in range(len(self.sizes) - 1):
            x = x @ params[f"W{i}"] + params[f"b{i}"]
            if i + 2 < len(self.sizes):
                if self.layer_norm:
                    x = _layer_norm(x, params[f"scale{i}"], params[f"shift{i}"])
                x = _activated(self.activation, x)
        return x


@dataclass(frozen=True)
class ConvEncoder:
    """Pictures (..., h, w, c) to numbers: convolutions of 4 x 4 at stride 2, each half as large."""

    shape: tuple[int, int, int]  # height, width, colours; sides that 2^layers divides
    outputs: int
    channels: tuple[int, ...] = (16, 32, 32)
    activation: str = "silu"

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters."""
        _checked(self.activation, (self.outputs, *self.channels), 2)
        params: Arrays = {}
        for i, (a, b) in enumerate(pairwise((self.shape[2], *self.channels))):
            params[f"W{i}"] = rng.standard_normal((b, a, 4, 4)) / np.sqrt(16 * a)
            params[f"b{i}"] = np.zeros(b)
        rows, columns = _halved(self.shape, len(self.channels))
        inputs = rows * columns * self.channels[-1]
        return params | joined(head=MLP((inputs, self.outputs)).start(rng))

    def __call__(self, params: Tensors, pictures: Any) -> Any:
        """Returns numbers (..., outputs) of pictures (..., h, w, c): floats, or bytes, of which 255
        counts as 1.
        """
        from torch.nn.functional import conv2d

        W = params["W0"]
        x = pictures.to(W.dtype) / (1.0 if pictures.is_floating_point() else 255.0)
        x = x.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        for i in range(len(self.channels)):
            x = conv2d(x, params[f"W{i}"], params[f"b{i}"], stride=2, padding=1)
            x = _activated(self.activation, x)
        x = x.flatten(1).reshape(*pictures.shape[:-3], -1)
        return MLP((x.shape[-1], self.outputs))(part(params, "head"), x)


@dataclass(frozen=True)
class ConvDecoder:
    """Numbers to pictures (..., h, w, c): the way back through a `ConvEncoder` of these
    settings.
    """

    shape: tuple[int, int, int]
    inputs: int
    channels: tuple[int, ...] = (32, 32, 16)
    activation: str = "silu"

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters."""
        _checked(self.activation, (self.inputs, *self.channels), 2)
        rows, columns = _halved(self.shape, len(self.channels))
        head = MLP((self.inputs, rows * columns * self.channels[0])).start(rng)
        params = joined(head=head)
        for i, (a, b) in enumerate(pairwise((*self.channels, self.shape[2]))):
            params[f"W{i}"] = rng.standard_normal((a, b, 4, 4)) / np.sqrt(4 * a)
            params[f"b{i}"] = np.zeros(b)
        return params

    def __call__(self, params: Tensors, z: Any) -> Any:
        """Returns pictures (..., h, w, c), not bounded, for numbers (..., inputs)."""
        from torch.nn.functional import conv_transpose2d

        rows, columns = _halved(self.shape, len(self.channels))
        head = MLP((self.inputs, rows * columns * self.channels[0]))
        x = head(part(params, "head"), z).reshape(-1, self.channels[0], rows, columns)
        for i in range(len(self.channels)):
            x = _activated(self.activation, x)
            x = conv_transpose2d(x, params[f"W{i}"], params[f"b{i}"], stride=2, padding=1)
        return x.permute(0, 2, 3, 1).reshape(*z.shape[:-1], *self.shape)


@dataclass(frozen=True)
class GRU:
    """A gated recurrent unit (Cho et al. 2014), in the form and the names of torch.nn.GRU."""

    inputs: int
    hidden: int

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters: rows are those of the reset, the update and the new gate."""
        n, h = self.inputs, self.hidden
        return {
            "weight_ih": rng.standard_normal((3 * h, n)) / np.sqrt(n),
            "weight_hh": rng.standard_normal((3 * h, h)) / np.sqrt(h),
            "bias_ih": np.zeros(3 * h),
            "bias_hh": np.zeros(3 * h),
        }

    def __call__(self, params: Tensors, x: Any, h: Any) -> Any:
        """Returns the next hidden state (..., hidden) from x (..., inputs) and h (..., hidden)."""
        reset, update, new = (x @ params["weight_ih"].T + params["bias_ih"]).chunk(3, -1)
        r, z, n = (h @ params["weight_hh"].T + params["bias_hh"]).chunk(3, -1)
        update = (update + z).sigmoid()
        new = (new + (reset + r).sigmoid() * n).tanh()
        return new + update * (h - new)

    def sequence(self, params: Tensors, x: Any, h: Any = None) -> Any:
        """Returns hidden states (..., T, hidden) after each of x (..., T, inputs), from h or 0."""
        import torch

        if h is None:
            h = x.new_zeros((*x.shape[:-2], self.hidden))
        states = []
        for t in range(x.shape[-2]):
            h = self(params, x[..., t, :], h)
            states.append(h)
        return torch.stack(states, -2)


@dataclass(frozen=True)
class GraphLayer:
    """One round of messages (Battaglia et al. 2018): edges look at their ends, nodes at the sum."""

    node: int  # numbers of a node
    edge: int  # numbers of an edge
    node_outputs: int
    edge_outputs: int
    hidden: tuple[int, ...] = (64,)
    activation: str = "silu"
    layer_norm: bool = False

    def _networks(self) -> tuple[MLP, MLP]:
        inner, options = self.hidden, (self.activation, self.layer_norm)
        edges = MLP((self.edge + 2 * self.node, *inner, self.edge_outputs), *options)
        return edges, MLP((self.node + self.edge_outputs, *inner, self.node_outputs), *options)

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters."""
        edges, nodes = self._networks()
        return joined(edges=edges.start(rng), nodes=nodes.start(rng))

    def __call__(
        self,
        params: Tensors,
        nodes: Any,
        edges: Any,
        senders: Any,
        receivers: Any,
        weights: Any = None,
    ) -> tuple[Any, Any]:
        """Returns new nodes (..., V, node_outputs) and edges (..., E, edge_outputs).

        Edge k goes from node senders[k] to node receivers[k], (E,) int64 tensors; nodes are (...,
        V, node), edges (..., E, edge). Nodes in another order give the same in that order. In the
        sum at a node an edge counts by its `weights` (..., E), if any.
        """
        import torch

        of_edges, of_nodes = self._networks()
        ends = [nodes[..., senders, :], nodes[..., receivers, :]]
        edges = of_edges(part(params, "edges"), torch.cat([edges, *ends], -1))
        total = edges.new_zeros((*nodes.shape[:-1], self.edge_outputs))
        counted = edges if weights is None else edges * weights[..., None]
        total = total.index_add(-2, receivers, counted)
        return of_nodes(part(params, "nodes"), torch.cat([nodes, total], -1)), edges


def _checked(activation: str, sizes: tuple[int, ...], least: int) -> None:
    if activation not in ACTIVATIONS:
        raise InputError(f"activation is {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    if len(sizes) < least or min(sizes) < 1:
        raise InputError(f"got the sizes {sizes}; expected {least} or more, each 1 or more")


def _activated(word: str, x: Any) -> Any:
    import torch

    return getattr(torch.nn.functional, word)(x)


def _layer_norm(x: Any, scale: Any, shift: Any) -> Any:
    from torch.nn.functional import layer_norm

    return layer_norm(x, x.shape[-1:], scale, shift)


def _halved(shape: tuple[int, int, int], layers: int) -> tuple[int, int]:
    """Returns height and width after so many layers of stride 2. Raises InputError."""
    factor = 2**layers
    if shape[0] % factor or shape[1] % factor or min(shape) < 1:
        raise InputError(
            f"got pictures of {shape}; expected sides that {factor} divides, for {layers} layers"
        )
    return shape[0] // factor, shape[1] // factor
