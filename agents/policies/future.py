"""A policy that predicts what each of a few moves changes in what is measured, and is told at any
time what to want.

    F(o, g)[a]  =  E(o, g) + A(o, g)[a] - mean_b A(o, g)[b],     E, A: outputs of one network
    u = the move  argmax_a  sum_jk  w_j g_k F_jk(o, g)[a]        j: steps ahead, k: measurements

Dosovitskiy & Koltun, Learning to Act by Predicting the Future (2017). Layers of rectified linear
units see the observation in fixed units, and the goal g. `with_goal` wants something else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError

from ..interfaces import Array, State
from .base import Memoryless
from .layers import layers_form, layers_of, layers_tree, named

UNITS = ("centre", "scale", "weights", "goal", "moves", "low", "high")


class FuturePolicy(Memoryless):
    """Its layers may be views of what a learner goes on changing; `copy` is what stays."""

    def __init__(
        self, layers: tuple[list[Array], list[Array]], centre: Array, scale: Array,
        weights: Array, goal: Array, moves: Array, low: Array, high: Array,
    ):  # fmt: skip
        """`layers` are weights (out, in) and biases (out,); `centre` and `scale` (do,) the units of
        observations, `weights` (J,) those of the steps ahead, `moves` (A, du).
        """
        self.layers = layers
        self.centre, self.scale, self.weights = centre, scale, weights
        self.goal, self.moves, self.low, self.high = goal, moves, low, high
        self.do, self.cov = len(centre), np.zeros((len(low), len(low)))

    def with_goal(self, goal: Sequence[float]) -> "FuturePolicy":
        """Returns the same policy with another goal: weights (K,) of the measurements, from -1 to
        1. Raises InputError for another number of them.
        """
        wanted = np.asarray(goal, dtype=float)
        if wanted.shape != self.goal.shape or not np.isfinite(wanted).all():
            raise InputError(f"goal is {goal}; expected {len(self.goal)} weights of measurements")
        made = self.copy()
        made.goal = wanted
        return made

    def predicted(self, o: Array, goal: Array) -> Array:
        """Returns what is predicted to change, less the mean, in its units, (..., A, J, K), of observations (...,
        do) and goals (K,) or (..., K).
        """
        h = np.concatenate(
            [
                (o - self.centre) / self.scale,
                np.broadcast_to(goal, (*o.shape[:-1], len(self.goal))),
            ],
            -1,
        )
        *hidden, (W, b) = zip(*self.layers, strict=True)
        for V, a in hidden:
            h = np.maximum(h @ V.T + a, 0.0)
        return futures(h @ W.T + b, len(self.moves), len(self.goal))

    def choose(self, o: Array, goal: Array) -> Array:
        """Returns the numbers of the best moves (...), with goals (K,) or (..., K)."""
        worth = np.einsum("...ajk,j->...ak", self.predicted(o, goal), self.weights)
        return np.argmax((worth * np.asarray(goal)[..., None, :]).sum(-1), -1)

    def mean(self, o: Array) -> Array:
        """Returns the actions (..., du) for observations (..., do)."""
        return self.moves[self.choose(np.asarray(o, dtype=float), self.goal)]

    def deviations(self, o: Array, rng: np.random.Generator) -> Array:
        """Returns no deviation, (B, du): the policy is deterministic."""
        return np.zeros((*o.shape[:-1], len(self.low)))

    def copy(self) -> "FuturePolicy":
        """Returns the policy as it is now, in double precision."""
        return FuturePolicy.from_state(self.state())

    def state(self) -> State:
        """Returns what `from_state` needs."""
        W, b = ([np.array(a, dtype=float, order="C") for a in part] for part in self.layers)
        return {"layers": layers_tree(W, b), **{name: getattr(self, name) for name in UNITS}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "FuturePolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        form: dict[str, Any] = {"layers": layers_form(state, "inputs", "outputs")}
        form |= dict.fromkeys(("centre", "scale"), ("do",)) | {"weights": ("steps",)}
        form |= {"goal": ("goal",), "moves": ("moves", "du")}
        form |= dict.fromkeys(("low", "high"), ("du",))
        check_tree(state, form, "future policy")
        W, b = layers_of(state)
        ahead, goal, moves = (len(state[name]) for name in ("weights", "goal", "moves"))
        expected = len(state["centre"]) + goal, ahead * goal * (1 + moves)
        found = (W[0].shape[1], len(b[-1])) if b else None
        if found != expected or not (state["scale"] > 0).all() or not moves:
            raise CheckpointError(
                f"future policy: got {found} inputs and outputs, {moves} moves; expected {expected}, a move, and "
                "scales above 0"
            )
        return cls((W, b), *(state[name] for name in UNITS))

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        units = {name: getattr(self, name) for name in UNITS if name not in ("low", "high")}
        layers = named(*self.layers)
        return {name: np.array(a, dtype=float) for name, a in (layers | units).items()}

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the actions (B, du) of raw observations (B, do), as tensors."""
        import torch

        goal = p["goal"].expand(len(o), len(self.goal))
        h, last = torch.cat([(o - p["centre"]) / p["scale"], goal], 1), len(self.layers[0]) - 1
        for i in range(last):
            h = torch.relu(torch.addmm(p[f"b{i}"], h, p[f"W{i}"].T))
        out = torch.addmm(p[f"b{last}"], h, p[f"W{last}"].T)
        F = futures(out, len(self.moves), len(self.goal))
        worth = ((F * p["weights"][:, None]).sum(2) * p["goal"]).sum(2)
        return p["moves"][worth.argmax(1)]


def futures(out: Any, moves: int, goal: int) -> Any:
    """Returns F (..., A, J, K) of a network's outputs (..., (1 + A) J K), arrays or tensors."""
    parts = out.reshape(*out.shape[:-1], 1 + moves, -1, goal)
    action = parts[..., 1:, :, :]
    return parts[..., :1, :, :] + action - action.mean(-3)[..., None, :, :]
