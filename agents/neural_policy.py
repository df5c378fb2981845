"""A multi-layer perceptron with Gaussian actions: the global policy that the local controllers are distilled into."""

from itertools import pairwise
from typing import Any

import numpy as np

from dynamics.storage import check_tree
from lqr import CheckpointError, InputError, NumericalError

from .backpropagation import adam, loss_and_gradient, views
from .interfaces import Array, State


class NeuralPolicy:
    """u ~ N(net(o), cov): tanh layers over normalised observations; the covariance does not depend on o.

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
        self.cov = cov  # (du, du)
        self.low, self.high = (np.broadcast_to(np.nan_to_num(a), biases[-1].shape) for a in (low, high))  # (du,)

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
    ) -> "NeuralPolicy":
        """Returns a network with random weights (LeCun) whose last layer is near 0.

        `std` (du,) is its exploration; `low` and `high` (du,) are the limits of the actions that it hands out.
        """
        sizes = (do, *hidden, du)
        weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
        weights[-1] *= 0.01
        biases = [np.zeros(b) for b in sizes[1:]]
        return cls(weights, biases, np.zeros(do), np.ones(do), np.diag(std**2), low, high)

    def mean(self, o: Array) -> Array:
        """Returns the mean actions (..., du) for observations (..., do)."""
        h = (o - self.centre) / self.scale
        for W, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = np.tanh(h @ W.T + b)
        return h @ self.weights[-1].T + self.biases[-1]

    def covariance(self, o: Array) -> Array:
        """Returns the covariances of the actions (..., du, du) for observations (..., do): everywhere the same."""
        return np.broadcast_to(self.cov, (*np.shape(o)[:-1], *self.cov.shape))

    def jacobian(self, o: Array) -> Array:
        """Returns the exact derivatives of the mean actions, (..., du, do)."""
        h, J = (o - self.centre) / self.scale, np.eye(len(self.centre)) / self.scale
        for W, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = np.tanh(h @ W.T + b)
            J = (1 - h**2)[..., None] * (W @ J)
        J = self.weights[-1] @ J
        return np.broadcast_to(J, (*o.shape[:-1], *J.shape[-2:]))

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (B, du); the mean actions where rng is None."""
        mean = self.mean(o)
        return mean if rng is None else mean + rng.standard_normal(mean.shape) @ np.linalg.cholesky(self.cov).T

    def act(self, observation: Array) -> Array:
        """Returns the mean action (du,), within the limits, for one observation (do,), or (B, du) for (B, do)."""
        return np.clip(self._mean_at(observation), self.low, self.high)

    def predict(
        self, observation: Array, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Returns (action, state) in the form of Stable-Baselines3; without `deterministic` it draws an action."""
        action = self._mean_at(observation)
        if not deterministic:
            action = action + np.random.default_rng().standard_normal(action.shape) @ np.linalg.cholesky(self.cov).T
        return np.clip(action, self.low, self.high).astype(np.float32), state

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
        """Trains towards targets (..., du), weighed by precisions (..., du, du); returns the final loss per sample.

        `weight` (...) multiplies these; what weighs 0 is not looked at. The loss is
        1/2 (net(o) - target)' precision (net(o) - target), the Gaussian KL divergence in the mean, with precisions
        scaled to a mean trace of du. Adam, from the present weights, with a rate that falls to 0 along a cosine.
        Raises NumericalError, and keeps the old weights, where the loss is not finite.
        """
        rows = np.ones(target.shape[:-1], bool) if weight is None else weight > 0
        o, target, precision = o[rows], target[rows], precision[rows]
        if weight is not None:
            precision = weight[rows][:, None, None] * precision
        before = self.weights, self.biases, self.centre, self.scale
        self._renormalise(o)
        precision = precision / np.trace(precision, axis1=1, axis2=2).mean() * precision.shape[-1]
        x, L = (o - self.centre) / self.scale, len(self.weights)
        shapes = [a.shape for a in (*self.weights, *self.biases)]
        parameters = np.concatenate([a.ravel() for a in (*self.weights, *self.biases)])
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
            raise NumericalError(f"the policy's loss became {final} in training; lower the learning rate")
        self.weights, self.biases = now[:L], now[L:]
        return final

    def state(self) -> State:
        """Returns what `from_state` needs."""
        layers = {f"layer{i}": {"W": W, "b": b} for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True))}
        numbers = {name: getattr(self, name) for name in ("centre", "scale", "cov", "low", "high")}
        return {"kind": "neural", "layers": layers, **numbers}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "NeuralPolicy":
        """Builds the policy out of `state()`; raises CheckpointError where the layers do not fit together."""
        layers = state["layers"] if isinstance(state.get("layers"), dict) else {}
        count = len(layers)
        sizes = [*(f"h{i}" for i in range(count)), "du"]
        shapes = {f"layer{i}": {"W": (b, a), "b": (b,)} for i, (a, b) in enumerate(pairwise(sizes))}
        form = {"kind": str, "layers": shapes, "centre": ("h0",), "scale": ("h0",), "cov": ("du", "du")}
        check_tree(state, form | {"low": ("du",), "high": ("du",)}, "neural policy")
        if not count or not (state["scale"] > 0).all():
            raise CheckpointError(
                f"got a neural policy of {count} layers, scale {state['scale']}; expected more than 0"
            )
        weights, biases = ([layers[f"layer{i}"][name] for i in range(count)] for name in ("W", "b"))
        return cls(weights, biases, *(state[name] for name in ("centre", "scale", "cov", "low", "high")))

    def _mean_at(self, observation: Array) -> Array:
        o = np.asarray(observation, dtype=float)
        if o.shape[-1:] != self.centre.shape:
            raise InputError(f"the observation has shape {o.shape}; expected ({len(self.centre)},)")
        return self.mean(o)

    def _renormalise(self, o: Array) -> None:
        """Takes over the mean and spread of these observations, without changing the function."""
        centre, scale = o.mean(0), np.maximum(o.std(0), 1e-3)
        W = self.weights[0]
        if not ((self.scale == 1.0).all() and (self.centre == 0.0).all()):  # as `create` made it, but for its weights
            moved = self.biases[0] + W @ ((centre - self.centre) / self.scale)
            self.biases = [moved, *self.biases[1:]]
            self.weights = [W * (scale / self.scale), *self.weights[1:]]
        self.centre, self.scale = centre, scale
