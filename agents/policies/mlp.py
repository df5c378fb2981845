"""A multi-layer perceptron with Gaussian actions: the global policy that the local controllers are
distilled into.
"""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import CheckpointError, NumericalError

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
    torch_named,
    units,
)
from .numpy_training import adam, loss_and_gradient, views
from .torch_training import used


class NeuralPolicy(Memoryless):
    """u ~ N(net(o), cov): tanh layers over normalised observations; the covariance does not depend
    on o.

    The weights live in NumPy arrays, in which actions are computed; `backpropagation` trains it.
    """

    def __init__(
        self,
        weights: list[Array],
        biases: list[Array],
        centre: Array,
        scale: Array,
        cov: Array,
        low: Array | float = -np.inf,
        high: Array | float = np.inf,
    ):
        self.weights, self.biases = weights, biases  # layer i: (out, in), (out,)
        self.centre, self.scale = centre, scale  # (do,), of the observations
        self.cov, self.do = cov, len(centre)  # (du, du)
        self.low, self.high = limits(low, high, len(biases[-1]))  # (du,)

    @classmethod
    def create(
        cls,
        do: int,
        du: int,
        hidden: tuple[int, ...],
        std: Array | float,
        rng: np.random.Generator,
        low: Array | float = -np.inf,
        high: Array | float = np.inf,
    ) -> "NeuralPolicy":
        """Returns a network with random weights (LeCun) whose last layer is near 0.

        `std` (du,) is its exploration; `low` and `high` (du,) are the limits of the actions that it
        hands out. The mean begins near 0, or within them; see `resting`.
        """
        do, du, hidden = sizes(do, du, hidden)
        ends = limits(low, high, du)
        return cls(
            *random_layers((do, *hidden, du), rng, resting(*ends), action_unit(*ends)),
            np.zeros(do),
            np.ones(do),
            np.diag(spread(std, du) ** 2),
            low,
            high,
        )

    def mean(self, o: Array) -> Array:
        """Returns the mean actions (..., du) for observations (..., do)."""
        return forward(self.weights, self.biases, (o - self.centre) / self.scale)

    def jacobian(self, o: Array) -> Array:
        """Returns the exact derivatives of the mean actions, (..., du, do)."""
        return derivatives(
            self.weights, self.biases, (o - self.centre) / self.scale, np.diag(1 / self.scale)
        )

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        return {"centre": self.centre, "scale": self.scale, **named(self.weights, self.biases)}

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the mean actions (B, du) of raw observations (B, do), as tensors."""
        return torch_named(p, len(self.weights), (o - p["centre"]) / p["scale"])

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
        """Trains towards targets (..., du), weighed by precisions (..., du, du); returns the final
        loss per sample.

        `weight` (...) multiplies these; what weighs 0 is not looked at. The loss is
        1/2 (net(o) - target)' precision (net(o) - target), the Gaussian KL divergence in the mean,
        in units of half the actions' range, with precisions scaled to a mean trace of du. Adam,
        from the present weights, with a rate that falls to 0 along a cosine. Raises NumericalError,
        and keeps the old weights, where the loss is not finite.
        """
        o, target, precision, weight = used(weight, o, target, precision)
        precision = weight[:, None, None] * precision
        before = self.weights, self.biases, self.centre, self.scale
        self.renormalise(o)
        unit = action_unit(self.low, self.high, target)
        target, precision = target / unit, precision * unit * unit[:, None]
        precision = precision / np.trace(precision, axis1=1, axis2=2).mean() * precision.shape[-1]
        x, L = (o - self.centre) / self.scale, len(self.weights)
        weights, biases = scaled_outputs(self.weights, self.biases, 1 / unit)
        shapes = [a.shape for a in (*weights, *biases)]
        parameters = np.concatenate([a.ravel() for a in (*weights, *biases)])
        slope = np.empty_like(parameters)
        now, into = views(parameters, shapes), views(slope, shapes)

        def gradient() -> Array:
            some = rng.integers(len(o), size=min(batch, len(o)))
            loss_and_gradient(now[:L], now[L:], x[some], target[some], precision[some], into)
            return slope

        with np.errstate(all="ignore"):  # a loss that is no number is refused below
            adam(parameters, gradient, steps, rate, decay)
            final = loss_and_gradient(now[:L], now[L:], x, target, precision, into)
        if not np.isfinite(final):
            self.weights, self.biases, self.centre, self.scale = before
            raise NumericalError(
                f"the policy's loss became {final} in training; lower the learning rate"
            )
        self.weights, self.biases = scaled_outputs(now[:L], now[L:], unit)
        return final

    def state(self) -> State:
        """Returns what `from_state` needs."""
        numbers = {name: getattr(self, name) for name in ("centre", "scale", "cov", "low", "high")}
        return {"layers": layers_tree(self.weights, self.biases), **numbers}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "NeuralPolicy":
        """Builds the policy out of `state()`; raises CheckpointError where the layers do not fit
        together.
        """
        layers = layers_form(state, "do", "du")
        form = {
            "layers": layers,
            "centre": ("do",),
            "scale": ("do",),
            "cov": ("du", "du"),
        }
        check_tree(state, form | {"low": ("du",), "high": ("du",)}, "neural policy")
        if not layers or not (state["scale"] > 0).all():
            raise CheckpointError(
                f"got a neural policy of {len(layers)} layers, scale {state['scale']}; expected more than 0"
            )
        return cls(
            *layers_of(state), *(state[name] for name in ("centre", "scale", "cov", "low", "high"))
        )

    def renormalise(self, o: Array, least: Array | float = 0.0) -> None:
        """Takes over the mean and spread, or more, `least`, of these observations, without changing
        the function.
        """
        (centre, scale), old = units(o), (self.centre, self.scale)
        new = centre, np.maximum(scale, least)
        if not (
            (self.scale == 1.0).all() and (self.centre == 0.0).all()
        ):  # as `create` made it, but for its weights
            first, moved = in_units(self.weights[0], self.biases[0], old, new)
            self.weights, self.biases = [first, *self.weights[1:]], [moved, *self.biases[1:]]
        self.centre, self.scale = new
