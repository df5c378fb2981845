"""How the state of several bodies is a graph: nodes that move, edges along which they push.

A task says so of its states, by functions of torch tensors of float64 through which torch
differentiates, with any leading axes. What they tell a network is the same wherever the bodies are
and, where the world has no preferred direction, however they are turned: then so is what the
network learns.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Tensor = Any


class Graph(NamedTuple):
    """V bodies and E edges of a state x (dx,) under actions u (du,)."""

    dx: int
    du: int
    senders: Array  # (E,), from which body each edge goes
    receivers: Array  # (E,), and to which
    nodes: Callable[[Tensor, Tensor], Tensor]  # x, u -> what is known of each body, (..., V, dn)
    edges: Callable[[Tensor, Tensor], Tensor]  # x, u -> of each edge, (..., E, de)
    changes: Callable[[Tensor, Tensor], Tensor]  # x, x' -> how each body moved, (..., V, dc)
    move: Callable[[Tensor, Tensor], Tensor]  # x, changes -> x'; affine in the changes
    # x -> how much each edge's message counts, (..., E); None: all count 1
    weights: Callable[[Tensor], Tensor] | None = None


def one_body(dx: int, du: int) -> Graph:
    """Returns the graph of a state that is one body: its features are [x; u], it changes by x' -
    x.
    """
    import torch

    none = np.zeros(0, int)
    return Graph(
        dx=dx,
        du=du,
        senders=none,
        receivers=none,
        nodes=lambda x, u: torch.cat([x, u], -1)[..., None, :],
        edges=lambda x, u: x.new_zeros((*x.shape[:-1], 0, 1)),
        changes=lambda x, after: (after - x)[..., None, :],
        move=lambda x, c: x + c[..., 0, :],
    )
