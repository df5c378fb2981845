"""Multilayer perceptrons, each with a linear path beside it, as models of the change of state.

All members are one batch of matrix products. The linear path starts at the least-squares solution
and the rest near 0, so that a handful of transitions gives a linear model, and what is bent is
learnt as the data show it. Training stops where transitions that were held out are explained best,
for each member by itself.
"""

from abc import ABC, abstractmethod
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from lqr import CheckpointError, NumericalError

from ..base import Array, ChangeModel
from ..copies import first_of_copies
from ..normaliser import FORM, Normaliser
from ..numbers import above, count, counts, truth
from ..threads import one_thread
from .adam import CosineAdam
from .fused_forward import advance_mean, fuse
from .multistep_loss import multi_step_loss, run_lengths

Params = dict[
    str, Any
]  # torch tensors of float32: A (E, n, dx), and of layer i W{i} (E, in, out), b{i} (E, 1, out)


class MLPEnsemble(ChangeModel, ABC):
    """What networks share: data held out or drawn once, training, tangents. They add `_loss`,
    `_evaluate`, `_predict`.
    """

    # outputs per coordinate of the state: the mean, and maybe the logarithm of the variance
    heads = 1
    logs: tuple[str, ...] = ()  # parameters that are logarithms of variances, (E, 1, dx)
    bootstrap = False  # whether each member draws its own training set, with replacement

    def __init__(
        self,
        members: int,
        hidden: tuple[int, ...],
        steps: int,
        learning_rate: float,
        batch: int,
        unroll: int,
        reject_outliers: bool,
        rare: tuple[int, ...],
    ):
        """`unroll` is how many steps ahead the loss looks, see `dynamics.networks.multistep_loss`;
        `reject_outliers` leaves gross outliers out, of all coordinates of x but those in `rare`.

        An object that is pushed now and then moves by outliers alone, and a reward may be 0 but for
        a few transitions: a model that is to know it must see them.
        """
        members, hidden = count("members", members), counts("hidden", hidden)
        steps, batch, unroll = count("steps", steps), count("batch", batch), count("unroll", unroll)
        learning_rate = above("learning_rate", learning_rate)
        reject_outliers = truth("reject_outliers", reject_outliers)
        super().__init__(
            hidden=hidden,
            steps=steps,
            learning_rate=learning_rate,
            batch=batch,
            unroll=unroll,
            reject_outliers=int(reject_outliers),
        )
        self.unroll, self.reject_outliers = unroll, reject_outliers
        self.take_rare(rare)
        self.members_ = members
        self.hidden = hidden
        self.steps = steps
        self.learning_rate = learning_rate
        self.batch = batch
        self.params: Params = {}
        self.fused: Any = None  # what `dynamics.networks.fused_forward` makes of them
        self.fitted_with: Normaliser | None = None  # the data's at the last fresh start
        self.held = np.zeros(0, bool)  # (M,), which transitions are held out
        self.rows = np.zeros((members, 0), np.int64)  # (E, K), each member's training set

    def fit(self, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Learns from all transitions so far, (M, dx), (M, du), (M, dx), of which earlier ones come
        first.

        With `unroll`, rows count as consecutive where each begins with the state that the last one
        ended with. Raises InputError where shapes do not fit or a number is not finite.
        """
        self._ends = np.asarray(x, dtype=float), np.asarray(xnext, dtype=float)
        self._actions = np.asarray(u, dtype=float)
        super().fit(x, u, xnext, rng)
        del self._ends, self._actions

    def _fit(
        self, z: Array, y: Array, inlier: Array, before: Normaliser | None, rng: np.random.Generator
    ) -> None:
        import torch

        with one_thread():
            self._draw(first_of_copies(*self._ends, self._actions), rng)
            kept = np.flatnonzero(inlier & ~self.held)
            rows = kept[
                np.searchsorted(kept, self.rows) % len(kept)
            ]  # the next one stands in for an outlier
            held = np.flatnonzero(self.held & inlier)[-2000:]
            fresh = before is None or self._outgrown()
            if fresh:
                self.fitted_with = self.normaliser
                self.params = self._start(z[rows], y[rows], rng)
            else:
                assert before is not None
                self._rescale(before)
            if len(held) > 1:
                Z, Y = (torch.as_tensor(a, dtype=torch.float32) for a in (z, y))
                many = (
                    run_lengths(*self._ends, 2 * inlier + self.held)
                    if self.unroll > 1
                    else np.ones(len(z), int)
                )
                self._train(Z, Y, rows, held, many, (2 if fresh else 1) * self.steps, rng)
            self._evaluate(z, y, held)

    def mean(self, x: Array, u: Array) -> Array:
        """Returns the predicted mean of x' (..., dx) alone, which costs a fraction of `predict`."""
        self.known(x, u)
        X = np.repeat(np.reshape(x, (-1, 1, 1, np.shape(x)[-1])).astype(float), 2, axis=2)
        net = fuse(self)
        advance_mean(X, np.reshape(u, (len(X), 1, np.shape(u)[-1])).astype(float), *net[:5])
        return X[:, 0, 1].reshape(np.shape(x))

    def _extra(self, dx: int) -> dict[str, Array]:
        """Returns further parameters as they start, (E, ...) each."""
        return {}

    def _penalty(self, params: Params) -> Any:
        return 0.0

    @abstractmethod
    def _loss(self, params: Params, z: Any, y: Any, last: Any) -> tuple[Any, Any]:
        """Returns the losses (E, M, dx) of inputs (E, M, n) and targets (E, M, dx), and what the
        next step is given.

        `last` is what the last step of an open-loop prediction gave: its error, and maybe more;
        None at the first.
        """

    def _score(self, params: Params, z: Any, y: Any, last: Any) -> tuple[Any, Any]:
        """Returns what the losses are to be on transitions that were held out, likewise."""
        return self._loss(params, z, y, last)

    def _evaluate(self, z: Array, y: Array, held: Array) -> None:
        """Looks at the trained network's errors on the rows that were held out."""

    def _draw(self, first: Array, rng: np.random.Generator) -> None:
        """Decides, once for each transition that is new, whether it is held out, and which members
        see it how often. `first` (M,) says of which row each is a copy: it is held out with that.
        """
        M = len(first)
        if len(self.held) > M:  # other data
            self.held, self.rows = np.zeros(0, bool), np.zeros((self.members_, 0), np.int64)
        known = len(self.held)
        new = known + np.flatnonzero(first[known:] == np.arange(known, M))  # no copies
        blocks = -(-len(new) // self.unroll)  # rows that may follow one another are held together
        chosen = np.zeros(blocks, bool)
        chosen[rng.permutation(blocks)[: round(blocks / (5 if M < 200 else 10))]] = True
        held = np.concatenate([self.held, np.zeros(M - known, bool)])
        held[new] = np.repeat(chosen, self.unroll)[: len(new)]
        held[known:] = held[first[known:]]
        train = known + np.flatnonzero(~held[known:])
        rows = rng.choice(train, (self.members_, len(train))) if self.bootstrap else train[None]
        self.held = held
        self.rows = np.concatenate([self.rows, rows], 1)

    def forget(self, count: int) -> None:
        """Is told that the first `count` transitions will not be given again.

        Where they are whole fits' rounds, no more than they is lost; else others stand in for them
        in later draws.
        """
        gone = int(
            (~self.held[:count]).sum()
        )  # each round has as many columns of `rows` as transitions to train on
        self.held, rows = self.held[count:], self.rows[:, gone:] - count
        self.rows = np.where(rows < 0, rows % max(len(self.held), 1), rows)

    def _outgrown(self) -> bool:
        """Returns whether some coordinate spreads twice or half as wide as at the last fresh
        start.
        """
        assert self.normaliser is not None
        assert self.fitted_with is not None
        if ((self.normaliser.inverse_std == 0) != (self.fitted_with.inverse_std == 0)).any():
            return True
        both = [
            (a[a > 0], b[a > 0])
            for a, b in zip(self.normaliser[1::2], self.fitted_with[1::2], strict=True)
        ]
        return any((np.abs(np.log(a / b)) > np.log(2)).any() for a, b in both)

    def _start(self, Z: Array, Y: Array, rng: np.random.Generator) -> Params:
        """Returns new weights for training sets (E, K, n) and (E, K, dx)."""
        import torch

        E, n, dx = self.members_, Z.shape[2], Y.shape[2]
        sizes = (n, *self.hidden, self.heads * dx)
        params: dict[str, Array] = {}
        for i, (a, b) in enumerate(pairwise(sizes)):
            params[f"W{i}"] = rng.standard_normal((E, a, b)) / np.sqrt(a)
            params[f"b{i}"] = np.zeros((E, 1, b))
        params[f"W{len(self.hidden)}"] *= 0.01
        gram = np.swapaxes(Z, 1, 2) @ Z + 1e-4 * max(Z.shape[1], 1) * np.eye(n)
        params["A"] = np.linalg.solve(gram, np.swapaxes(Z, 1, 2) @ Y)
        if self.heads > 1:  # the variance starts at what the linear path leaves
            left = (
                ((Y - Z @ params["A"]) ** 2).mean(1, keepdims=True)
                if len(Z[0]) > n
                else np.ones((E, 1, dx))
            )
            params[f"b{len(self.hidden)}"][..., dx:] = np.log(np.clip(left, np.exp(-9.0), 1.0))
        params.update(self._extra(dx))
        return {name: torch.as_tensor(value, dtype=torch.float32) for name, value in params.items()}

    def _rescale(self, before: Normaliser) -> None:
        """Says the same function to the new normaliser."""
        import torch

        assert self.normaliser is not None
        varies = self.normaliser.inverse_std > 0
        ratio = np.where(
            varies, before.inverse_std / np.where(varies, self.normaliser.inverse_std, 1.0), 1.0
        )
        shift = (
            self.normaliser.mean - before.mean
        ) * before.inverse_std  # old input = shift + ratio * new input
        gain = (
            before.change_std / self.normaliser.change_std
        )  # new output = gain * old output + offset
        offset = (before.change_mean - self.normaliser.change_mean) / self.normaliser.change_std
        p = {name: value.double().numpy() for name, value in self.params.items()}
        W, b, dx = f"W{len(self.hidden)}", f"b{len(self.hidden)}", len(gain)
        p["b0"] = p["b0"] + shift @ p["W0"][:, None]
        p["W0"] = ratio[:, None] * p["W0"]
        p[W][..., :dx] *= gain
        p[b][..., :dx] = gain * (p[b][..., :dx] + shift @ p["A"][:, None]) + offset
        p["A"] = ratio[:, None] * p["A"] * gain
        p = {
            name: value + 2 * np.log(gain) if name in self.logs else value
            for name, value in p.items()
        }
        if self.heads > 1:
            p[b][..., dx:] += 2 * np.log(gain)
        self.params = {
            name: torch.as_tensor(value, dtype=torch.float32) for name, value in p.items()
        }

    def _train(
        self,
        Z: Any,
        Y: Any,
        sets: Array,
        held: Array,
        many: Array,
        steps: int,
        rng: np.random.Generator,
    ) -> None:
        """Adam with a rate that falls along a cosine; keeps each member as it was when its held-out
        loss was least.

        `many` (M,) is how many rows follow one another from each row on.
        """
        import torch

        assert self.normaliser is not None
        dx, runs = Y.shape[1], torch.as_tensor(many)
        gain = torch.as_tensor(
            self.normaliser.change_std * self.normaliser.inverse_std[:dx], dtype=torch.float32
        )
        unseen = torch.as_tensor(held).expand(self.members_, -1)

        def total(loss: Any, at: Any) -> Any:
            return multi_step_loss(partial(loss, params), Z, Y, at, runs[at], gain, self.unroll)

        params = {name: value.clone().requires_grad_() for name, value in self.params.items()}
        optimiser = CosineAdam(params.values(), self.learning_rate, steps, foreach=True)
        rows, members = torch.as_tensor(sets), torch.arange(self.members_)[:, None]
        least: Any = None
        for step in range(steps + 1):
            if step % 100 == 0 or step == steps:
                with torch.no_grad():
                    loss = total(self._score, unseen)
                    if least is None:
                        least = loss
                        best = {name: value.detach().clone() for name, value in params.items()}
                    better = loss < least
                    least = torch.where(better, loss, least)
                    for name, value in params.items():
                        best[name][better] = value.detach()[better]
            if step < steps:
                draw = rng.integers(
                    rows.shape[1], size=(self.members_, min(self.batch, rows.shape[1]))
                )
                batch = rows[members, torch.as_tensor(draw)]
                optimiser.zero_grad()
                (total(self._loss, batch).sum() + self._penalty(params)).backward()
                if self.unroll > 1:  # a network that is unstable at first has huge slopes
                    torch.nn.utils.clip_grad_norm_(params.values(), 10.0)
                optimiser.step()
        if not torch.isfinite(least).all():
            raise NumericalError(
                f"a network's held-out loss became {least.tolist()}; lower its learning rate"
            )
        self.params = best

    def _forward(self, params: Params, z: Any) -> Any:
        """Returns the outputs (E, M, heads * dx) for inputs (E, M, n)."""
        import torch

        h = z
        for i in range(len(self.hidden)):
            h = torch.nn.functional.silu(torch.baddbmm(params[f"b{i}"], h, params[f"W{i}"]))
        h = torch.baddbmm(params[f"b{len(self.hidden)}"], h, params[f"W{len(self.hidden)}"])
        dx = params["A"].shape[-1]
        straight = torch.bmm(z, params["A"])
        return (
            h + straight
            if self.heads == 1
            else torch.cat([h[..., :dx] + straight, h[..., dx:]], -1)
        )

    def _outputs(self, z: Array) -> Array:
        """Returns the outputs (E, M, heads * dx) for inputs (M, n)."""
        import torch

        with one_thread(), torch.inference_mode():
            Z = torch.as_tensor(z, dtype=torch.float32)
            return self._forward(self.params, Z.expand(self.members_, -1, -1)).double().numpy()

    def _tangents(self, z: Array) -> Array:
        """Returns each member's exact derivatives of its mean, (E, M, dx, n)."""
        import torch

        with one_thread(), torch.inference_mode():
            h = torch.as_tensor(z, dtype=torch.float32).expand(self.members_, -1, -1)
            J: Any = None  # (E, M, n, width), of the layer's outputs
            for i in range(len(self.hidden)):
                W = self.params[f"W{i}"][:, None]
                a = torch.baddbmm(self.params[f"b{i}"], h, W[:, 0])
                J = W.expand(-1, len(z), -1, -1) if J is None else J @ W
                gate = torch.sigmoid(a)
                J = J * (gate * (1 + a * (1 - gate)))[:, :, None]
                h = a * gate
            A = self.params["A"][:, None]
            J = J @ self.params[f"W{len(self.hidden)}"][:, None, :, : A.shape[-1]] + A
            return J.transpose(-1, -2).double().numpy()

    def _tangent(self, z: Array) -> Array:
        return self._tangents(z).mean(0)

    def _state(self) -> dict[str, Any]:
        assert self.fitted_with is not None
        params = {name: value.double().numpy() for name, value in self.params.items()}
        rows = {"held": self.held.astype(float), "rows": self.rows.astype(float)}
        return {"params": params, "fitted_with": self.fitted_with._asdict(), **rows}

    def _form(self) -> dict[str, Any]:
        E = self.members_
        params: dict[str, Any] = {"A": (E, "n", "dx"), **{name: (E, 1, "dx") for name in self.logs}}
        for i, (a, b) in enumerate(
            pairwise(("n", *self.hidden, "dx" if self.heads == 1 else "outputs"))
        ):
            params |= {f"W{i}": (E, a, b), f"b{i}": (E, 1, b)}
        return {"params": params, "fitted_with": FORM, "held": ("M",), "rows": (E, "K")}

    def _load(self, state: dict[str, Any]) -> None:
        import torch

        self.params = {
            name: torch.as_tensor(value, dtype=torch.float32)
            for name, value in state["params"].items()
        }
        self.fitted_with = Normaliser(**state["fitted_with"])
        self.held, self.rows = state["held"] > 0, state["rows"].astype(np.int64)
        if self.rows.size and not (self.rows.min() >= 0 and self.rows.max() < len(self.held)):
            raise CheckpointError(
                f"{self.word}/rows: expected numbers of the {len(self.held)} transitions"
            )
