"""A multi-layer perceptron that tells its mean actions and, for each observation, how sure it is of
them.
"""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError

from ..interfaces import Array, State
from ..tasks.action_limits import action_unit, resting
from .base import Memoryless
from .checks import limits, sizes, spread
from .layers import (
    derivatives,
    forward,
    in_units,
    layers_form,
    layers_of,
    layers_tree,
    named,
    random_layers,
    scaled_outputs,
    torch_forward,
    torch_named,
    units,
)
from .torch_training import minimise, used

RANGE = np.log(100.0)  # the standard deviation stays within this factor of that at the start


class StdPolicy(Memoryless):
    """u ~ N(m(o), diag s(o)^2): tanh layers over normalised observations, with one output for m and
    one for log s.

    log s = log s0 + log(100) tanh(output): bounded, so that neither sureness nor exploration runs
    away. Trained by the whole divergence KL(N(m, s^2) || N(m*, P^-1)) from the teachers' Gaussians;
    where these say one thing, its optimum is m = m*, s_i^2 = 1 / P_ii.
    """

    def __init__(
        self,
        weights: list[Array],
        biases: list[Array],
        centre: Array,
        scale: Array,
        std: Array,
        low: Any,
        high: Any,
    ):
        self.weights, self.biases = (
            weights,
            biases,
        )  # layer i: (out, in), (out,); the last one has 2 du outputs
        self.centre, self.scale, self.std = centre, scale, std  # (do,), (do,), (du,)
        self.low, self.high = limits(low, high, len(std))
        self.do, self.du = len(centre), len(std)

    @classmethod
    def create(
        cls,
        do: int,
        du: int,
        hidden: tuple[int, ...],
        std: Array,
        rng: np.random.Generator,
        low: Array | float = -np.inf,
        high: Array | float = np.inf,
    ) -> "StdPolicy":
        """Returns a network with random weights whose mean is near 0, or within the limits, and its standard deviation
        near std (du,).
        """
        do, du, hidden = sizes(do, du, hidden)
        std = spread(std, du)
        ends = limits(low, high, du)
        layers = random_layers((do, *hidden, 2 * du), rng, resting(*ends), action_unit(*ends))
        return cls(*layers, np.zeros(do), np.ones(do), std, low, high)

    def mean(self, o: Array) -> Array:
        """Returns the mean actions (..., du) for observations (..., do)."""
        return self._outputs(o)[..., : self.du]

    def log_std(self, o: Array) -> Array:
        """Returns the logarithms of the standard deviations (..., du)."""
        return np.log(self.std) + RANGE * np.tanh(self._outputs(o)[..., self.du :])

    def covariance(self, o: Array) -> Array:
        """Returns the covariances of the actions (..., du, du)."""
        return np.exp(2 * self.log_std(o))[..., None] * np.eye(self.du)

    def deviations(self, o: Array, rng: np.random.Generator) -> Array:
        """Returns deviations from the mean action (B, du), drawn for observations (B, do)."""
        return np.exp(self.log_std(o)) * rng.standard_normal((*o.shape[:-1], self.du))

    def jacobian(self, o: Array) -> Array:
        """Returns the exact derivatives of the mean actions, (..., du, do)."""
        W, b = ([*a[:-1], a[-1][: self.du]] for a in (self.weights, self.biases))
        return derivatives(W, b, (o - self.centre) / self.scale, np.diag(1 / self.scale))

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        return {"centre": self.centre, "scale": self.scale, **named(self.weights, self.biases)}

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the mean actions (B, du) of raw observations (B, do), as tensors."""
        return torch_named(p, len(self.weights), (o - p["centre"]) / p["scale"])[:, : self.du]

    def fit(
        self,
        o: Array,
        target: Array,
        precision: Array,
        rng: np.random.Generator,
        steps: int = 1000,
        batch: int = 256,
        rate: float = 3e-3,
        decay: float = 1e-6,
        weight: Array | None = None,
    ) -> float:
        """Trains towards Gaussians with means (..., du) and precisions (..., du, du); returns the
        divergence, nats.

        `weight` (...) counts the samples. Raises NumericalError, and keeps the old weights, where
        it is not finite.
        """
        o, target, precision, weight = used(weight, o, target, precision)
        if not (np.linalg.slogdet(precision)[0] > 0).all():
            raise InputError(
                "got a precision that is not positive definite; expected the inverse of a covariance"
            )
        new = units(o)
        first = in_units(self.weights[0], self.biases[0], (self.centre, self.scale), new)
        unit = action_unit(self.low, self.high, target)
        weights, biases = [first[0], *self.weights[1:]], [first[1], *self.biases[1:]]
        weights, biases = scaled_outputs(weights, biases, 1 / unit)
        start = [*weights, *biases]
        target, precision = target / unit, precision * unit * unit[:, None]
        std, weight = self.std / unit, weight / weight.mean()
        loss = self._loss((o - new[0]) / new[1], target, precision, weight, std)
        found, final = minimise(loss, start, len(o), rng, steps, batch, rate, decay)
        half = len(found) // 2
        self.weights, self.biases = scaled_outputs(found[:half], found[half:], unit)
        self.centre, self.scale = new
        return final

    def _loss(self, X: Array, target: Array, precision: Array, weight: Array, std: Array) -> Any:
        import torch

        x, y, P, w = (torch.as_tensor(a) for a in (X, target, precision, weight))
        log_s0, log_det = torch.as_tensor(np.log(std)), torch.logdet(P)

        def loss_of(parameters: Any, rows: Any) -> Any:
            half = len(parameters) // 2
            out = torch_forward(parameters[:half], parameters[half:], x[rows])
            log_s = log_s0 + RANGE * torch.tanh(out[:, self.du :])
            return (
                w[rows] * divergence(out[:, : self.du], log_s, y[rows], P[rows], log_det[rows])
            ).mean()

        return loss_of

    def state(self) -> State:
        """Returns what `from_state` needs."""
        numbers = {name: getattr(self, name) for name in ("centre", "scale", "std", "low", "high")}
        return {"layers": layers_tree(self.weights, self.biases), **numbers}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "StdPolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        du = len(state.get("std", ()))
        layers = layers_form(state, "do", 2 * du)
        form = {"layers": layers, "centre": ("do",), "scale": ("do",)}
        check_tree(state, form | {name: (du,) for name in ("std", "low", "high")}, "std policy")
        if not layers or not (state["scale"] > 0).all() or not (state["std"] > 0).all():
            raise CheckpointError(
                f"got a policy of {len(layers)} layers, std {state['std']}; expected more than 0"
            )
        return cls(
            *layers_of(state), *(state[name] for name in ("centre", "scale", "std", "low", "high"))
        )

    def _outputs(self, o: Array) -> Array:
        return forward(self.weights, self.biases, (o - self.centre) / self.scale)


def divergence(mean: Any, log_std: Any, target: Any, precision: Any, log_det: Any) -> Any:
    """Returns KL(N(mean, diag std^2) || N(target, precision^-1)) of each row, in nats, as a tensor
    (M,).
    """
    import torch

    gap, diagonal = mean - target, torch.diagonal(precision, dim1=-2, dim2=-1)
    trace = (diagonal * torch.exp(2 * log_std)).sum(-1)
    square = torch.einsum("mi,mij,mj->m", gap, precision, gap)
    return 0.5 * (trace + square - mean.shape[-1] - log_det) - log_std.sum(-1)
