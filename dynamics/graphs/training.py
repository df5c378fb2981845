"""How a graph network learns: single steps, then several, from transitions of several graphs.

An error of one body is a force on its neighbours in the next step, which a loss of single steps, K
= 1, does not see. So after these the network is to predict what comes of its own predictions:

    x_0 = x_t,   x_k+1 = move(x_k, net(x_k, u_t+k)),   loss = mean over k = 1..K of |x_k - x_t+k|^2

in units of what a linear model leaves, along the actions that were taken (as in
`dynamics.networks.multistep_loss`, where states are vectors).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lqr import NumericalError

from ..base import Array
from ..networks.adam import CosineAdam
from ..networks.modules import Arrays, Tensors, to_arrays, to_tensors
from .graph import Graph
from .messages import Scales, inputs

JUDGED = 300  # rows of each graph that are held out and looked at, at most
RIDGE = 1e-4  # of the linear path, for each row
LEAST = 0.05  # of what the network is in charge of, in standard deviations of the changes

Net = Callable[[Tensors, Graph, Any, Any], Any]
"""Parameters, a graph, x (..., dx), u (..., du) -> changes (..., V, dc)."""


class Rows(NamedTuple):
    """Transitions of one graph, as tensors of float64."""

    graph: Graph
    x: Any  # (M, dx)
    u: Any  # (M, du)
    after: Any  # (M, dx)
    train: Array  # numbers of the rows that are learned from
    held: Array  # and of those that are held out
    many: Array  # (M,), how many rows follow one another from each on
    unit: Array = np.ones(1)  # (dx,), in which errors of x' count

    def at(self, rows: Array) -> tuple[Any, Any, Any]:
        """Returns x, u and x' of these rows."""
        return self.x[rows], self.u[rows], self.after[rows]

    def following(self) -> "Rows":
        """Returns the same with those rows alone that another one follows."""
        return self._replace(
            train=self.train[self.many[self.train] > 1], held=self.held[self.many[self.held] > 1]
        )


def scales_of(data: Sequence[Rows]) -> Scales:
    """Returns the units of all bodies of all graphs together, and the linear path."""
    seen = [(rows.graph, *rows.at(rows.train)) for rows in data]
    y = np.concatenate([flat(g.changes(x, after)) for g, x, _, after in seen])
    node = units(np.concatenate([flat(g.nodes(x, u)) for g, x, u, _ in seen]))
    edge = units(np.concatenate([flat(g.edges(x, u)) for g, x, u, _ in seen]))
    size = np.abs(y).max(0)
    std = np.maximum(y.std(0), (1e-6 if len(y) > 9 else 0.1) * size)
    std, mean = np.where(std > 0, std, 1e-6), y.mean(0)
    z, y = np.concatenate([flat(_seen(*one[:3], node, edge)) for one in seen]), (y - mean) / std
    gram = z.T @ z + RIDGE * max(len(z), 1) * np.eye(z.shape[1])
    linear = np.linalg.solve(gram, z.T @ y)
    enough = len(z) > 5 * z.shape[1]
    spread = np.clip((y - z @ linear).std(0), LEAST, 1.0) if enough else np.ones(len(std))
    return Scales(*node, *edge, mean, std, linear, spread)


def with_unit(rows: Rows, scales: Scales) -> Rows:
    """Returns rows whose errors count in units of what the linear path leaves of each
    coordinate.
    """
    import torch

    x, u, after = rows.at(rows.train)
    straight = _seen(rows.graph, x, u, scales[:2], scales[2:4]) @ torch.as_tensor(scales.linear)
    change = torch.as_tensor(scales.change_mean) + torch.as_tensor(scales.change_std) * straight
    left, std = ((after - b).numpy().std(0) for b in (rows.graph.move(x, change), x))
    unit = np.clip(left, LEAST * std, std) if (scales.spread < 1).any() else std
    return rows._replace(unit=np.where(unit > 0, unit, 1.0))


def units(a: Array) -> tuple[Array, Array]:
    """Returns the mean of the columns of a (M, d), and 1 / their deviations, 0 for a constant."""
    if not len(a):
        return np.zeros(a.shape[1]), np.zeros(a.shape[1])
    std, size = a.std(0), np.abs(a).max(0)
    varies = std > 1e-9 * size
    return a.mean(0), np.where(varies, 1 / np.where(varies, std, 1.0), 0.0)


def flat(tensor: Any) -> Array:
    """Returns (..., d) as an array (M, d)."""
    found: Array = tensor.reshape(-1, tensor.shape[-1]).numpy()
    return found


def _seen(
    graph: Graph, x: Any, u: Any, node: tuple[Array, Array], edge: tuple[Array, Array]
) -> Any:
    import torch

    weights = None if graph.weights is None else graph.weights(x)
    nodes, edges = (
        (part(x, u) - torch.as_tensor(mean)) * torch.as_tensor(rate)
        for part, (mean, rate) in ((graph.nodes, node), (graph.edges, edge))
    )
    return inputs(nodes, edges, graph, weights)


def loss_over(net: Net, steps: int, noise: float = 0.0) -> Any:
    """Returns the loss over so many steps: (params, rows, numbers (B,), rng or None) -> (B,).

    It is one of states, not of what each body says: an error that the bodies of a chain share moves
    all of it. `noise` is added to the first state where there is an rng.
    """
    import torch

    def loss(params: Tensors, rows: Rows, at: Array, rng: np.random.Generator | None) -> Any:
        x, many, total = rows.x[at], rows.many[at], torch.zeros(len(at), dtype=torch.float64)
        unit = torch.as_tensor(rows.unit)
        if noise and rng is not None:
            spread = noise * rows.x[rows.train].std(0)
            x = x + spread * torch.as_tensor(rng.standard_normal(tuple(x.shape)))
        for k in range(steps):
            _, u, after = rows.at(at + np.minimum(many - 1, k))
            x = rows.graph.move(x, net(params, rows.graph, x, u))
            total = total + (((x - after) / unit) ** 2).mean(-1) * torch.as_tensor(many > k)
        return total / torch.as_tensor(np.minimum(many, steps))

    return loss


def descend(
    loss: Any,
    start: Arrays,
    data: Sequence[Rows],
    steps: int,
    batch: int,
    rate: float,
    rng: np.random.Generator,
) -> Arrays:
    """Returns parameters after `steps` minibatches, each of one of the graphs, by Adam with a rate
    that falls along a cosine: those under which rows that are held out were explained best.

    Raises NumericalError where the loss breaks.
    """
    import torch

    params = to_tensors(start, grad=True)
    optimiser = CosineAdam(params.values(), rate, max(steps, 1), foreach=True)
    judged = [(rows, rows.held[:: len(rows.held) // JUDGED + 1]) for rows in data if len(rows.held)]
    least, best = np.inf, start
    sizes = np.array([len(rows.train) for rows in data], dtype=float)
    for step in range(steps + 1):
        if step % 100 == 0 or step == steps:
            with torch.no_grad():
                score = sum(float(loss(params, *one, None).mean()) for one in judged)
            if not np.isfinite(score):
                raise NumericalError(
                    f"a graph network's held-out loss became {score}; lower its learning rate"
                )
            if score < least:
                least, best = score, to_arrays(params)
        if step < steps:
            rows = data[rng.choice(len(data), p=sizes / sizes.sum())]
            at = rows.train[rng.integers(len(rows.train), size=min(batch, len(rows.train)))]
            optimiser.zero_grad()
            loss(params, rows, at, rng).mean().backward()
            torch.nn.utils.clip_grad_norm_(params.values(), 10.0)
            optimiser.step()
    return best
