"""A policy of squashed Gaussians: what soft actor-critic learns.

    u = middle + half range * tanh(mean(o) + exp(log_std(o)) e),   e ~ N(0, 1)

Haarnoja, Zhou, Abbeel & Levine, Soft Actor-Critic (2018), appendix C. Layers of rectified linear
units over observations in fixed units; the last has the means first, then the logarithms of the
standard deviations. Evaluation takes e = 0.
"""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import CheckpointError

from ..interfaces import Array, State
from .base import Memoryless
from .layers import layers_form, layers_of, layers_tree, named

LOG_STD = (-20.0, 2.0)  # the least and the largest, as in the authors' code


class SquashedPolicy(Memoryless):
    """Its weights may be views of what a learner goes on changing; `copy` is what stays."""

    def __init__(
        self,
        weights: list[Array],
        biases: list[Array],
        centre: Array,
        scale: Array,
        low: Array,
        high: Array,
    ):
        self.weights, self.biases = weights, biases  # layer i: (out, in), (out,); at last 2 du
        self.centre, self.scale = centre, scale  # (do,), of the observations
        self.low, self.high = low, high  # (du,)
        self.do, self.du = len(centre), len(low)
        self.middle, self.half = 0.5 * (low + high), 0.5 * (high - low)
        self.cov = np.zeros((self.du, self.du))

    def heads(self, o: Array) -> tuple[Array, Array]:
        """Returns mean and standard deviation of what is squashed, (..., du) each."""
        h = (o - self.centre) / self.scale
        for W, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = np.maximum(h @ W.T + b, 0.0)
        out = h @ self.weights[-1].T + self.biases[-1]
        return out[..., : self.du], np.exp(np.clip(out[..., self.du :], *LOG_STD))

    def mean(self, o: Array) -> Array:
        """Returns the actions (..., du) without noise for observations (..., do)."""
        return self.middle + self.half * np.tanh(self.heads(o)[0])

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (B, du), drawn; without noise where rng is None."""
        if rng is None:
            return self.mean(o)
        mean, std = self.heads(o)
        return self.middle + self.half * np.tanh(mean + std * rng.standard_normal(mean.shape))

    def deviations(self, o: Array, rng: np.random.Generator) -> Array:
        """Returns how far drawn actions are from those without noise, (B, du)."""
        return self.sample(o, 0, rng) - self.mean(o)

    def covariance(self, o: Array) -> Array:
        """Returns the covariances of the actions (..., du, du), to first order in the noise."""
        mean, std = self.heads(o)
        return ((self.half * (1 - np.tanh(mean) ** 2) * std) ** 2)[..., None] * np.eye(self.du)

    def copy(self) -> "SquashedPolicy":
        """Returns the policy as it is now, in double precision."""
        return SquashedPolicy.from_state(self.state())

    def state(self) -> State:
        """Returns what `from_state` needs."""
        parts = self.weights, self.biases
        W, b = ([np.array(a, dtype=float, order="C") for a in part] for part in parts)
        numbers = {name: getattr(self, name) for name in ("centre", "scale", "low", "high")}
        return {"layers": layers_tree(W, b), **numbers}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "SquashedPolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        form: dict[str, Any] = {"layers": layers_form(state, "do", "outputs"), "centre": ("do",)}
        form |= {"scale": ("do",), "low": ("du",), "high": ("du",)}
        check_tree(state, form, "squashed policy")
        weights, biases = layers_of(state)
        found = f"{len(biases)} layers, {len(biases[-1]) if biases else 0} outputs"
        if not biases or len(biases[-1]) != 2 * len(state["low"]) or not (state["scale"] > 0).all():
            raise CheckpointError(
                f"squashed policy: got {found}, scale {state['scale']}; expected two outputs for each of "
                f"{len(state['low'])} actions, and scales above 0"
            )
        return cls(weights, biases, *(state[k] for k in ("centre", "scale", "low", "high")))

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        layers = named(self.weights, self.biases)
        units = {"centre": self.centre, "scale": self.scale, "middle": self.middle}
        return (
            {name: np.array(a, dtype=float) for name, a in layers.items()}
            | units
            | {"half": self.half}
        )

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the actions (B, du) without noise of raw observations (B, do), as tensors."""
        import torch

        h, last = (o - p["centre"]) / p["scale"], len(self.weights) - 1
        for i in range(last):
            h = torch.relu(torch.addmm(p[f"b{i}"], h, p[f"W{i}"].T))
        out = torch.addmm(p[f"b{last}"], h, p[f"W{last}"].T)
        return p["middle"] + p["half"] * torch.tanh(out[:, : self.du])
