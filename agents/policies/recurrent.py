"""A recurrent policy, for tasks that do not show their whole state: it remembers the episode so
far.

A gated recurrent unit (Cho et al. 2014, in the form of torch.nn.GRU) over the observations of an
episode, and tanh layers on top of its memory and the present observation.
"""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError

from ..interfaces import Array, State
from ..tasks.action_limits import action_unit, resting
from .base import GaussianPolicy
from .checks import limits, sizes, spread
from .layers import (
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
from .torch_training import minimise

GRU = (
    "Wi",
    "Wh",
    "bi",
    "bh",
)  # torch's weight_ih (3H, do), weight_hh (3H, H), bias_ih (3H,), bias_hh (3H,)


class RecurrentPolicy(GaussianPolicy):
    """u ~ N(net(memory, o), cov); the memory (H,) starts at 0 in each episode, and takes in each
    observation in turn.

    `sample` and `act` keep the memory of the running episodes in the policy: `sample` forgets at t
    = 0, `act` when `reset` is called. `predict` is handed it, as by Stable-Baselines3.
    """

    def __init__(
        self,
        gru: dict[str, Array],
        weights: list[Array],
        biases: list[Array],
        centre: Array,
        scale: Array,
        cov: Array,
        low: Any,
        high: Any,
    ):
        self.gru, self.weights, self.biases = gru, weights, biases
        self.centre, self.scale, self.cov = centre, scale, cov  # (do,), (do,), (du, du)
        self.low, self.high = limits(low, high, len(biases[-1]))
        self.do, self.size = len(centre), gru["Wh"].shape[1]
        self.memory: Array | None = None  # (B, H), of the running episodes

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
    ) -> "RecurrentPolicy":
        """Returns a network with random weights: hidden[0] units of memory, then tanh layers; the
        mean is near 0, or within the limits.
        """
        do, du, hidden = sizes(do, du, hidden)
        if not hidden:
            raise InputError("hidden is (); expected one layer or more: the first is the memory")
        H = hidden[0]
        shapes = {"Wi": (3 * H, do), "Wh": (3 * H, H), "bi": (3 * H,), "bh": (3 * H,)}
        gru = {name: rng.uniform(-1, 1, size=shape) / np.sqrt(H) for name, shape in shapes.items()}
        ends = limits(low, high, du)
        widths = (H + do, *hidden[1:], du)
        layers = random_layers(widths, rng, resting(*ends), action_unit(*ends))
        return cls(
            gru, *layers, np.zeros(do), np.ones(do), np.diag(spread(std, du) ** 2), low, high
        )

    def mean(self, o: Array) -> Array:
        """Returns the mean actions (..., T, du) in whole episodes (..., T, do)."""
        o = np.asarray(o, dtype=float)
        h = np.zeros((*o.shape[:-2], self.size))
        out = np.empty((*o.shape[:-1], len(self.biases[-1])))
        for t in range(o.shape[-2]):
            out[..., t, :], h = self.step(o[..., t, :], h)
        return out

    def step(self, o: Array, h: Array) -> tuple[Array, Array]:
        """Returns the mean actions (..., du) for the next observations (..., do), and the memory
        after h (..., H).
        """
        H, x = self.size, (o - self.centre) / self.scale
        a, b = x @ self.gru["Wi"].T + self.gru["bi"], h @ self.gru["Wh"].T + self.gru["bh"]
        gate = 1 / (1 + np.exp(-np.clip(a[..., : 2 * H] + b[..., : 2 * H], -500, 500)))
        new = np.tanh(a[..., 2 * H :] + gate[..., :H] * b[..., 2 * H :])
        h = new + gate[..., H:] * (h - new)
        return forward(self.weights, self.biases, np.concatenate([h, x], -1)), h

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (B, du) for step t of episodes side by side; at t = 0 it forgets. Means
        where rng is None.

        Raises InputError where the episodes are not those of the step before.
        """
        o = np.asarray(o, dtype=float)
        mean = self._next(o, start=t == 0)
        return mean if rng is None else mean + self.deviations(o, rng)

    def act(self, observation: Array) -> Array:
        """Returns the mean action (du,) or (B, du), within the limits, in the episodes that `reset`
        began last.
        """
        o = self.checked(observation)
        mean = self._next(np.atleast_2d(o), start=self.memory is None)
        return self.handed_out(np.clip(mean.reshape(*o.shape[:-1], -1), self.low, self.high))

    def reset(self) -> None:
        """Begins an episode, for `act`: forgets."""
        self.memory = None

    def predict(
        self,
        observation: Array,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Array, Any]:
        """Returns (action, state) in the form of Stable-Baselines3's recurrent policies.

        `state` is what it returned before, a tuple of one array (1, B, H), or None at first; where
        `episode_start` (B,) is true it begins anew.
        """
        o = self.checked(observation)
        many = np.atleast_2d(o)
        h = (
            np.zeros((len(many), self.size))
            if state is None
            else np.asarray(state[0], dtype=float)[0]
        )
        if h.shape != (len(many), self.size):
            raise InputError(
                f"got a memory of shape {h.shape}; expected {(len(many), self.size)}, as the observations"
            )
        if episode_start is not None:
            h = np.where(np.reshape(episode_start, (-1, 1)), 0.0, h)
        mean, h = self.step(many, h)
        if not deterministic:
            mean = mean + self.deviations(many, np.random.default_rng())
        action = np.clip(mean.reshape(*o.shape[:-1], -1), self.low, self.high)
        return self.handed_out(action, np.float32), (h[None],)

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        return {
            "centre": self.centre,
            "scale": self.scale,
            **self.gru,
            **named(self.weights, self.biases),
        }

    def program(self) -> Any:
        """Returns a torch module that maps (observations (B, do), memory (B, H)) to (what `act`
        hands out, memory).
        """
        import torch

        from .export import program

        def act(p: dict[str, Any], o: Any, h: Any) -> Any:
            x = (o - p["centre"]) / p["scale"]
            a, b = x @ p["Wi"].T + p["bi"], h @ p["Wh"].T + p["bh"]
            (ar, az, an), (br, bz, bn) = (torch.split(part, self.size, 1) for part in (a, b))
            new = torch.tanh(an + torch.sigmoid(ar + br) * bn)
            after = new + torch.sigmoid(az + bz) * (h - new)
            mean = torch_named(p, len(self.weights), torch.cat([after, x], 1))
            return torch.clamp(mean, p["low"], p["high"]), after

        return program(act, self.parameters() | {"low": self.low, "high": self.high})

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
        """Trains on episodes o (N, T, do) towards targets (N, T, du), precisions (N, T, du, du);
        returns the loss.

        The loss is that of `NeuralPolicy.fit`, the mean over the steps by `weight` (N, T);
        gradients go back to the first step. `batch` counts steps. Raises NumericalError, and keeps
        the old weights, where it is not finite, and InputError where there are no episodes.
        """
        if o.ndim != 3:
            raise InputError(
                f"got observations of shape {o.shape} to remember; expected whole episodes, (N, T, do)"
            )
        weight = np.ones(o.shape[:2]) if weight is None else np.asarray(weight, dtype=float)
        seen = np.any(weight > 0, axis=1)
        if not seen.any():
            raise InputError(f"got {len(seen)} episodes of weight 0; expected some that count")
        o, target, precision, weight = (a[seen] for a in (o, target, precision, weight))
        new = units(o[weight > 0])
        old = (self.centre, self.scale)
        Wi, bi = in_units(self.gru["Wi"], self.gru["bi"], old, new)
        above, b0 = in_units(self.weights[0][:, self.size :], self.biases[0], old, new)
        W0 = np.concatenate([self.weights[0][:, : self.size], above], 1)
        unit = action_unit(self.low, self.high, target)
        weights, biases = [W0, *self.weights[1:]], [b0, *self.biases[1:]]
        weights, biases = scaled_outputs(weights, biases, 1 / unit)
        start = [Wi, self.gru["Wh"], bi, self.gru["bh"], *weights, *biases]
        target, precision = target / unit, precision * unit * unit[:, None]
        loss = self._loss((o - new[0]) / new[1], target, weight[..., None, None] * precision)
        many = max(4, batch // o.shape[1])
        found, final = minimise(loss, start, len(o), rng, steps, many, rate, decay)
        layers = found[4:]
        self.gru = dict(zip(GRU, found[:4], strict=True))
        half = len(layers) // 2
        self.weights, self.biases = scaled_outputs(layers[:half], layers[half:], unit)
        self.centre, self.scale = new
        return final

    def _loss(self, X: Array, target: Array, precision: Array) -> Any:
        import torch

        precision = precision / np.trace(precision, axis1=-2, axis2=-1).mean() * precision.shape[-1]
        x, y, P = (torch.as_tensor(a) for a in (X, target, precision))
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        unit = torch.nn.GRU(self.do, self.size, batch_first=True, dtype=torch.float64)

        def loss_of(parameters: Any, rows: Any) -> Any:
            h, _ = torch.func.functional_call(
                unit, dict(zip(names, parameters[:4], strict=True)), (x[rows],)
            )
            layers, both = parameters[4:], torch.cat([h, x[rows]], -1)
            half = len(layers) // 2
            out = torch_forward(layers[:half], layers[half:], both.reshape(-1, both.shape[-1]))
            gap = out.reshape(*both.shape[:-1], -1) - y[rows]
            return 0.5 * torch.einsum("nti,ntij,ntj->nt", gap, P[rows], gap).mean()

        return loss_of

    def state(self) -> State:
        """Returns what `from_state` needs; no memory of episodes."""
        numbers = {name: getattr(self, name) for name in ("centre", "scale", "cov", "low", "high")}
        return {
            "gru": self.gru,
            "layers": layers_tree(self.weights, self.biases),
            **numbers,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "RecurrentPolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        gru = state["gru"] if isinstance(state.get("gru"), dict) else {}
        H, do = np.shape(gru.get("Wh", 0.0))[-1], len(state.get("centre", ()))
        layers = layers_form(state, H + do, "du")
        form: dict[str, Any] = {
            "layers": layers,
            "centre": (do,),
            "scale": (do,),
            "cov": ("du", "du"),
        }
        form["gru"] = {"Wi": (3 * H, do), "Wh": (3 * H, H), "bi": (3 * H,), "bh": (3 * H,)}
        check_tree(state, form | {"low": ("du",), "high": ("du",)}, "recurrent policy")
        if not layers or not (state["scale"] > 0).all():
            raise CheckpointError(
                f"got a policy of {len(layers)} layers, scale {state['scale']}; expected more than 0"
            )
        numbers = (state[name] for name in ("centre", "scale", "cov", "low", "high"))
        return cls({name: gru[name] for name in GRU}, *layers_of(state), *numbers)

    def _next(self, o: Array, start: bool) -> Array:
        if start:
            self.memory = np.zeros((len(o), self.size))
        if self.memory is None or len(self.memory) != len(o):
            had = 0 if self.memory is None else len(self.memory)
            raise InputError(
                f"got {len(o)} episodes after {had}; expected the same ones, or step 0 of others"
            )
        mean, self.memory = self.step(o, self.memory)
        return mean
