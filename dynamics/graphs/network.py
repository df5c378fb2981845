"""A graph network as a model of the change of state (Battaglia et al. 2016, Sanchez-Gonzalez et al.
2018).

Bodies and edges are encoded, messages are passed, and what each body then holds is decoded into its
change; see `dynamics.graphs.messages`. The same weights serve any number of bodies: `on(graph)`.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Self

import numpy as np

from lqr import CheckpointError, InputError

from ..base import Array, ChangeModel
from ..capabilities import HasGraph, capability
from ..copies import first_of_copies
from ..networks.modules import Arrays, to_tensors
from ..networks.multistep_loss import run_lengths
from ..normal_inverse_wishart import checked
from ..normaliser import Normaliser
from ..numbers import above, count, counts, truth
from ..storage.tree import check_tree
from ..threads import one_thread
from .graph import Graph, one_body
from .messages import Messages, Scales
from .training import Rows, descend, loss_over, scales_of, with_unit

AT_ONCE = 4096  # states that are asked about together
Transitions = tuple[Graph, Array, Array, Array]  # a graph, x (M, dx), u (M, du), x' (M, dx)


class GraphNetwork(ChangeModel):
    """One network for all bodies, and the covariance of what it leaves."""

    word = "graph"

    def __init__(
        self,
        rounds: int = 5,
        hidden: tuple[int, ...] = (64, 64),
        width: int = 32,
        steps: int = 1000,
        learning_rate: float = 3e-3,
        batch: int = 256,
        unroll: int = 6,
        unroll_steps: int = 300,
        noise: float = 0.0,
        reject_outliers: bool = True,
        rare: tuple[int, ...] = (),
    ):
        """`rounds` of messages of `width` numbers; `steps` minibatches of single steps, then
        `unroll_steps` of half as many rows over `unroll` steps at half the rate; twice as many of
        both on a fresh start. `noise` on the states that single steps start from is in shares of
        their spread.
        """
        reject_outliers = truth("reject_outliers", reject_outliers)
        super().__init__(
            rounds=count("rounds", rounds),
            hidden=counts("hidden", hidden),
            width=count("width", width),
            steps=count("steps", steps),
            learning_rate=above("learning_rate", learning_rate),
            batch=count("batch", batch),
            unroll=count("unroll", unroll),
            unroll_steps=count("unroll_steps", unroll_steps, 0),
            noise=above("noise", noise, -1e-300),
            reject_outliers=int(reject_outliers),
        )
        self.reject_outliers = reject_outliers
        self.take_rare(rare)
        self.graph: Graph | None = None  # without one, the state is one body
        self.params: Arrays = {}
        self.scales: Scales | None = None
        self.residual = np.zeros((0, 0))  # (dc, dc), of a body's change
        self.joint = np.zeros((0, 0))  # (V dc, V dc), of all bodies of the graph, where it is known
        self.fresh_rows = 0  # how many there were at the last fresh start
        self.forgotten = 0  # transitions that will not be given again

    def attach(self, task: Any) -> None:
        """Takes the graph of a task that tells its own."""
        told = capability(task, HasGraph)
        if told is not None:
            self.graph = told.graph

    def on(self, graph: Graph) -> Self:
        """Returns the same weights, on bodies of another number, or at other edges."""
        other = copy(self)
        if graph is not self.graph:
            other.graph, other.joint = graph, np.zeros((0, 0))
        if self.normaliser is not None:
            other.normaliser = unit(graph)
        return other

    def fit(self, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Learns from all transitions that are kept, (M, dx), (M, du), (M, dx), of which earlier
        ones come first.

        Rows count as consecutive where each begins with the state that the last one ended with.
        Raises InputError where shapes do not fit the graph or a number is not finite.
        """
        x, u, xnext = (np.asarray(a, dtype=float) for a in (x, u, xnext))
        self._given = x, u, xnext
        super().fit(x, u, xnext, rng)
        del self._given

    def forget(self, count: int) -> None:
        """Is told that the first `count` transitions will not be given again."""
        self.forgotten += count

    def fit_graphs(self, data: Sequence[Transitions], rng: np.random.Generator) -> None:
        """Learns from transitions of several graphs; the first is then the model's own.

        Outliers are kept. Raises InputError where shapes do not fit or a number is not finite.
        """
        for graph, *arrays in data:
            checked(*arrays)
            _fits(graph, *arrays[:2])
        self.graph = data[0][0]
        self._learn([self._rows(*some) for some in data], rng)

    def _fit(
        self, z: Array, y: Array, inlier: Array, before: Normaliser | None, rng: np.random.Generator
    ) -> None:
        x, u, xnext = self._given
        if self.graph is None:
            self.graph = one_body(x.shape[1], u.shape[1])
        _fits(self.graph, x, u)
        self._learn([self._rows(self.graph, x, u, xnext, inlier)], rng)

    def _rows(
        self, graph: Graph, x: Array, u: Array, xnext: Array, inlier: Array | None = None
    ) -> Rows:
        """Returns transitions, a tenth of which is held out, a fifth of fewer than 200."""
        import torch

        M, unroll = len(x), self.settings["unroll"]
        inlier = np.ones(M, bool) if inlier is None else inlier
        block = (self.forgotten + np.arange(M)) // unroll  # rows that follow are held out together
        held = np.random.default_rng(0).random(block[-1] + 1)[block] < (0.2 if M < 200 else 0.1)
        held = held[first_of_copies(x, xnext, u)]
        many = run_lengths(x, xnext, 2 * inlier + held)
        train = np.flatnonzero(inlier & ~held)
        x_, u_, after = (torch.as_tensor(np.array(a, dtype=float)) for a in (x, u, xnext))
        return Rows(graph, x_, u_, after, train, np.flatnonzero(inlier & held), many)

    def _learn(self, data: list[Rows], rng: np.random.Generator) -> None:
        """Learns from rows of several graphs: from where it stands, or anew where the data have
        changed."""
        told, rows = scales_of(data), sum(len(some.train) for some in data)
        fresh = self.scales is None or rows > 2 * self.fresh_rows or outgrown(self.scales, told)
        assert self.graph is not None
        self.normaliser = unit(self.graph)
        scales = self.scales = told if fresh or self.scales is None else self.scales
        many, rate = 2 if fresh else 1, self.settings["learning_rate"]
        batch, settings = self.settings["batch"], self.settings
        data = [with_unit(some, scales) for some in data]
        if fresh:
            self.params, self.fresh_rows = self._network().start(rng), rows
        with one_thread():
            if sum(len(some.held) for some in data) > 1:
                loss = loss_over(self._changes, 1, settings["noise"])
                steps = many * settings["steps"]
                self.params = descend(loss, self.params, data, steps, batch, rate, rng)
                follow = [some.following() for some in data]
                if settings["unroll"] > 1 and all(len(some.train) for some in follow):
                    loss = loss_over(self._changes, settings["unroll"])
                    steps, half = many * settings["unroll_steps"], max(batch // 2, 1)
                    self.params = descend(loss, self.params, follow, steps, half, rate / 2, rng)
            self._evaluate(data)

    def _evaluate(self, data: list[Rows]) -> None:
        """Takes the covariance of what is left of the bodies' changes in rows that were held out,
        with two pseudo-samples of uncorrelated ones beside them: of all bodies of the model's own
        graph together, and of one body of any graph.
        """
        assert self.scales is not None
        std, params = self.scales.change_std, to_tensors(self.params)
        gaps = []
        for rows in data:
            x, u, after = rows.at(rows.held[-2000:])
            moved = rows.graph.move(x, self._changes(params, rows.graph, x, u))
            gaps.append(rows.graph.changes(after, moved).numpy())
        bodies = gaps[0].shape[1]
        self.joint = spread_of(gaps[0].reshape(-1, bodies * len(std)), np.tile(std, bodies))
        self.residual = spread_of(np.concatenate([g.reshape(-1, len(std)) for g in gaps]), std)

    def known(self, x: Array, u: Array) -> Normaliser:
        """Returns the units of [x; u] and of changes, which are 1. Raises InputError before the
        first fit, without the graph that was learned, and for points of another shape.
        """
        if self.scales is not None and self.graph is None:
            raise InputError(
                "the model 'graph' was learned on a graph; expected model.on(task.graph)"
            )
        return super().known(x, u)

    def _predict(self, z: Array) -> tuple[Array, Array]:
        return self._mean(z), self._noise(z)

    def _mean(self, z: Array) -> Array:
        import torch

        with one_thread(), torch.inference_mode():
            params = to_tensors(self.params)
            found = [self._moved(params, *some) - some[0] for some in self._blocks(z)]
            change: Array = torch.cat(found).numpy()
        return change

    def _tangent(self, z: Array) -> Array:
        """By reverse differentiation of all coordinates side by side."""
        import torch

        found = []
        with one_thread():
            params = to_tensors(self.params)
            for some in self._blocks(z, some=AT_ONCE // 8):
                dx, M = some[0].shape[1], len(some[0])
                x, u = (a.repeat(dx, 1).requires_grad_() for a in some)
                change = (self._moved(params, x, u) - x).reshape(dx, M, dx)
                total = torch.diagonal(change, dim1=0, dim2=2).sum()
                slopes = torch.cat(torch.autograd.grad(total, (x, u)), -1)
                found.append(slopes.reshape(dx, M, -1).transpose(0, 1))
        jacobian: Array = torch.cat(found).numpy()
        return jacobian

    def _noise(self, z: Array) -> Array:
        """Returns J joint J', (M, dx, dx), J = d move / d change; on another graph than was learned
        last, whose bodies' errors nobody has seen together, J residual J' summed over the bodies.
        """
        import torch

        assert self.graph is not None
        found = []
        with torch.inference_mode():
            for x, _ in self._blocks(z, some=AT_ONCE // 8):
                V, dc = self.graph.changes(x[:1], x[:1]).shape[1:]
                unit = torch.eye(V * dc, dtype=x.dtype).reshape(-1, 1, V, dc)
                unit = unit.expand(-1, len(x), -1, -1)
                J = self.graph.move(x.expand(len(unit), -1, -1), unit)
                J = (J - self.graph.move(x, 0 * unit[0])).numpy()
                joint = self.joint if len(self.joint) else np.kron(np.eye(V), self.residual)
                found.append(np.einsum("cmi,cd,dmj->mij", J, joint, J, optimize=True))
        return np.concatenate(found)

    def _blocks(self, z: Array, some: int = AT_ONCE) -> Iterator[tuple[Any, Any]]:
        """Yields states and actions, as tensors of float64, of points (M, n)."""
        import torch

        assert self.graph is not None
        for i in range(0, len(z), some):
            block = torch.as_tensor(np.array(z[i : i + some]))
            yield block[:, : self.graph.dx], block[:, self.graph.dx :]

    def _moved(self, params: Any, x: Any, u: Any) -> Any:
        assert self.graph is not None
        return self.graph.move(x, self._changes(params, self.graph, x, u))

    def _changes(self, params: Any, graph: Graph, x: Any, u: Any) -> Any:
        assert self.scales is not None
        return self._network()(params, graph, self.scales, x, u)

    def _network(self) -> Messages:
        assert self.scales is not None
        node, edge, change = (len(self.scales[i]) for i in (0, 2, 4))
        settings = (self.settings[name] for name in ("rounds", "hidden", "width"))
        return Messages(node, edge, change, *settings)

    def _state(self) -> dict[str, Any]:
        assert self.scales is not None
        return {
            "params": self.params,
            "scales": self.scales._asdict(),
            "residual": self.residual,
            "joint": self.joint,
            "rows": {"fresh": self.fresh_rows, "forgotten": self.forgotten},
        }

    def _form(self) -> dict[str, Any]:
        scales = {**dict.fromkeys(("node_mean", "node_rate"), ("dn",)), "linear": ("inputs", "dc")}
        scales |= dict.fromkeys(("edge_mean", "edge_rate"), ("de",))
        scales |= dict.fromkeys(("change_mean", "change_std", "spread"), ("dc",))
        return {
            "params": dict,
            "scales": scales,
            "residual": ("dc", "dc"),
            "joint": ("bodies", "bodies"),
            "rows": {"fresh": int, "forgotten": int},
        }

    def _load(self, state: dict[str, Any]) -> None:
        """Raises CheckpointError for what is of another graph, or of other settings."""
        assert self.normaliser is not None
        self.scales = Scales(**state["scales"])
        form = {k: a.shape for k, a in self._network().start(np.random.default_rng(0)).items()}
        check_tree(state["params"], form, f"{self.word}/params")
        dx = len(self.normaliser.change_mean)
        du, bodies = len(self.normaliser.mean) - dx, len(self.scales.node_mean)
        if self.graph is None and bodies == dx + du and len(state["residual"]) == dx:
            self.graph = one_body(dx, du)
        if self.graph is not None and (self.graph.dx, self.graph.du) != (dx, du):
            raise CheckpointError(
                f"{self.word}: got states of {dx} and actions of {du} numbers; expected "
                f"{self.graph.dx} and {self.graph.du}, as the graph has"
            )
        self.params, self.residual, self.joint = (
            state[name] for name in ("params", "residual", "joint")
        )
        self.fresh_rows, self.forgotten = state["rows"]["fresh"], state["rows"]["forgotten"]


def spread_of(gap: Array, std: Array) -> Array:
    """Returns the covariance of errors (M, d) about 0, (d, d), that of `std` (d,) where M < 2."""
    if len(gap) < 2:
        return np.diag(std**2)  # nobody knows
    alone = np.diag((gap**2).mean(0) + 1e-10 * std**2)
    found: Array = (gap.T @ gap + 2 * alone) / (len(gap) + 2)
    return found


def unit(graph: Graph) -> Normaliser:
    """Returns units of 1 for the states and actions of a graph: features have units of their
    own.
    """
    n = graph.dx + graph.du
    return Normaliser(np.zeros(n), np.ones(n), np.zeros(graph.dx), np.ones(graph.dx))


def outgrown(known: Scales, told: Scales) -> bool:
    """Returns whether features or changes spread twice or half as wide as they did."""
    for a, b in zip(known[1:6:2], told[1:6:2], strict=True):
        if ((a == 0) != (b == 0)).any():
            return True
        if (np.abs(np.log(a[a > 0] / b[b > 0])) > np.log(2)).any():
            return True
    return False


def _fits(graph: Graph, x: Array, u: Array) -> None:
    if x.shape[1:] != (graph.dx,) or u.shape[1:] != (graph.du,):
        raise InputError(
            f"x has shape {x.shape}, u {u.shape}; expected (M, {graph.dx}) and (M, {graph.du}), as "
            "the graph has"
        )
