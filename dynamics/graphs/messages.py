"""Encode, pass messages, decode: what a graph network computes, in standard units.

    h_i = encode(node i),   e_k = encode(edge k)
    rounds times:
        m_k = phi_e(e_k, h_from, h_to),   e_k += m_k,   h_i += phi_v(h_i, sum of m_k into i)
    change of body i = A [node i, sum of edges into i] + spread * decode(h_i)

The rounds have the same weights, so that there may be as many as a chain of bodies is long.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..base import Array
from ..networks.modules import MLP, Arrays, GraphLayer, Tensors, joined, part
from .graph import Graph


class Scales(NamedTuple):
    """What makes features and changes of size 1, and what of the changes is linear in them."""

    node_mean: Array  # (dn,)
    node_rate: Array  # (dn,), 1 / standard deviation, 0 for a constant
    edge_mean: Array  # (de,)
    edge_rate: Array  # (de,)
    change_mean: Array  # (dc,)
    change_std: Array  # (dc,), above 0
    linear: Array  # (dn + de, dc), from standardised features, those of edges summed up
    spread: Array  # (dc,), of what the linear path leaves, in units of change_std


@dataclass(frozen=True)
class Messages:
    """The network of one kind of bodies and edges."""

    node: int  # numbers of a node
    edge: int
    change: int
    rounds: int = 5
    hidden: tuple[int, ...] = (64, 64)
    width: int = 32  # numbers of a message, and of what a node holds

    def _parts(self) -> dict[str, Any]:
        first, last, width = self.hidden[:1], self.hidden[-1:], self.width
        return {
            "node": MLP((self.node, *first, width)),
            "edge": MLP((self.edge, *first, width)),
            "round": GraphLayer(width, width, width, width, self.hidden),
            "decode": MLP((width, *last, self.change)),
        }

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters, of which nothing but the linear path comes out as yet."""
        params = joined(**{name: net.start(rng) for name, net in self._parts().items()})
        params["decode.W1"] *= 0.01
        return params

    def __call__(self, params: Tensors, graph: Graph, scales: Scales, x: Any, u: Any) -> Any:
        """Returns changes (..., V, dc), float64, of states x (..., dx) and actions u (..., du),
        float64; parameters and what is computed from the features are float32.
        """
        import torch

        def standard(a: Any, mean: Array, rate: Array) -> Any:
            return ((a - torch.as_tensor(mean)) * torch.as_tensor(rate)).float()

        parts = self._parts()
        nodes = standard(graph.nodes(x, u), scales.node_mean, scales.node_rate)
        edges = standard(graph.edges(x, u), scales.edge_mean, scales.edge_rate)
        ends = torch.as_tensor(graph.senders), torch.as_tensor(graph.receivers)
        weights = None if graph.weights is None else graph.weights(x).float()
        h = parts["node"](part(params, "node"), nodes)
        if len(graph.senders):
            e, of_round = parts["edge"](part(params, "edge"), edges), part(params, "round")
            for _ in range(self.rounds):
                dh, de = parts["round"](of_round, h, e, *ends, weights)
                h, e = h + dh, e + de
        out = parts["decode"](part(params, "decode"), h).double() * torch.as_tensor(scales.spread)
        straight = inputs(nodes, edges, graph, weights).double() @ torch.as_tensor(scales.linear)
        units = torch.as_tensor(scales.change_mean), torch.as_tensor(scales.change_std)
        return units[0] + units[1] * (straight + out)


def inputs(nodes: Any, edges: Any, graph: Graph, weights: Any = None) -> Any:
    """Returns what each body sees by itself: its own numbers, and the sum over the edges that come
    in, (..., V, dn + de).
    """
    import torch

    total = edges.new_zeros((*nodes.shape[:-1], edges.shape[-1]))
    counted = edges if weights is None else edges * weights[..., None]
    return torch.cat([nodes, total.index_add(-2, torch.as_tensor(graph.receivers), counted)], -1)
