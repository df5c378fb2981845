"""A policy that sees points in a picture, in white colours, and acts on where they are.

Levine, Finn, Darrell and Abbeel, End-to-End Training of Deep Visuomotor Policies (2016), with
colours and filters of `dynamics.vision`: the picture's colours are whitened, three convolutions and
a softmax over the places of each map give points, a linear reading of these, such as the places of
the hand and of the target, and the rest of the observation (proprioception) go through tanh layers.
Filters and reading may come from an encoder (`see_with`), and be fixed.

An observation is one vector, as that of `agents.policies.convolutional`.
"""

from typing import Any

import numpy as np

from dynamics.networks.modules import to_tensors
from dynamics.storage.tree import check_tree
from dynamics.vision.colours import Colours, colours_of, raw_colours
from dynamics.vision.judgement import Readout
from dynamics.vision.networks import KERNELS, SMALLEST, Keypoints
from lqr import InputError, NumericalError

from ..interfaces import Array, State
from ..tasks.action_limits import action_unit
from .base import Memoryless
from .checks import sizes
from .layers import scaled_outputs, torch_forward, torch_named
from .mlp import NeuralPolicy
from .torch_training import minimise, used

CHUNK = 256  # pictures that are looked at at once
MOVED = 0.1  # how far points will at least vary, in half sides of the picture


class KeypointPolicy(Memoryless):
    """u ~ N(net(reading of the points of the picture, rest of o), cov). Convolutions are in
    float32.
    """

    needs_image = True  # `create` takes the task's `image`

    def __init__(
        self,
        filters: dict[str, Array],
        reading: Readout,
        layers: NeuralPolicy,
        image: tuple[int, int, int],
        colours: Colours | None = None,
        fixed: bool = False,
    ):
        """Where there are no `colours`, pictures are seen as they are until the first that it learns
        from, whose colours it takes.
        """
        points, channels = (len(filters[f"b{i}"]) for i in (2, 0))
        self.network = Keypoints(image, points, channels)
        self.filters, self.reading, self.layers = filters, reading, layers
        self.image, self.colours, self.fixed = image, colours, fixed
        self.pixels = int(np.prod(image))
        self.do = self.pixels + layers.do - len(reading.offset)
        self.low, self.high = layers.low, layers.high

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
        image: tuple[int, int, int] | None = None,
        points: int = 16,
    ) -> "KeypointPolicy":
        """Returns a network with random filters (He) and layers whose mean is near 0, or within the
        limits; its reading are the points themselves.

        Raises InputError without a picture, or for one that is too small or larger than the
        observation.
        """
        do, du, hidden = sizes(do, du, hidden)
        if (
            image is None
            or len(image) != 3
            or min(image[:2]) < SMALLEST
            or int(np.prod(image)) > do
            or image[2] > 3
        ):
            raise InputError(
                f"got observations of {do} numbers and a picture of shape {image}; expected a task whose `image` is "
                f"(height, width, colours), of {SMALLEST} pixels or more and 3 colours at most, and which sees that "
                "picture first"
            )
        shape = int(image[0]), int(image[1]), int(image[2])
        network = Keypoints(shape, points)
        d, rest = network.outputs, do - int(np.prod(shape))
        filters = network.start(rng)
        layers = NeuralPolicy.create(d + rest, du, hidden, std, rng, low, high)
        return cls(filters, Readout(np.eye(d), np.zeros(d)), layers, shape)

    def see_with(
        self, filters: dict[str, Array], colours: Colours, reading: Readout, fixed: bool
    ) -> "KeypointPolicy":
        """Returns a policy with these filters, colours and reading, and new layers of the same
        sizes.
        """
        first, *others = self.layers.weights
        gap = len(reading.offset) - len(self.reading.offset)
        inputs = first.shape[1] + gap
        start = self.layers.weights[0][:, :1] * 0 + np.sqrt(1 / inputs)
        signs = np.resize(first / np.abs(first).mean(), (len(first), inputs))
        layers = NeuralPolicy(
            [start * signs, *others],
            self.layers.biases,
            np.zeros(inputs),
            np.ones(inputs),
            self.layers.cov,
            self.low,
            self.high,
        )
        return KeypointPolicy(filters, reading, layers, self.image, colours, fixed)

    @property
    def cov(self) -> Array:  # type: ignore[override]
        """The covariance of the actions (du, du)."""
        return self.layers.cov

    @cov.setter
    def cov(self, value: Array) -> None:
        self.layers.cov = value

    @property
    def centre(self) -> Array:
        """The units of what the layers see: their middle."""
        return self.layers.centre

    @property
    def scale(self) -> Array:
        """The units of what the layers see: their spread."""
        return self.layers.scale

    def mean(self, o: Array) -> Array:
        """Returns the mean actions (..., du) for observations (..., do)."""
        return self.layers.mean(self.features(o))

    def features(self, o: Array) -> Array:
        """Returns what the layers see (..., d + rest) of observations (..., do)."""
        o = np.asarray(o)
        flat = o.reshape(-1, self.do)
        read = self.reading(self.points(flat).reshape(len(flat), -1))
        found = np.concatenate([read, flat[:, self.pixels :]], 1)
        return found.reshape(*o.shape[:-1], -1)

    def points(self, o: Array) -> Array:
        """Returns the points (M, points, 2) of observations (M, do): x to the right and y down, in
        [-1, 1].
        """
        import torch

        params, found = to_tensors(self.filters), []
        with torch.inference_mode():
            for part in np.array_split(o, max(1, len(o) // CHUNK)):
                white = torch.as_tensor(self.white(part))
                found.append(self.network(params, white).double().numpy())
        return np.concatenate(found).reshape(len(o), -1, 2)

    def sights(self, o: Array) -> tuple[Array, Array]:
        """Returns the pictures (M, h, w, c) in observations (M, do), in [0, 1], and what is found in
        each (M, points, 3): x, y, and the peak of the share of the places, from 0 to 1.
        """
        import torch

        params = to_tensors(self.filters)
        with torch.inference_mode():
            share = self.network.shares(params, torch.as_tensor(self.white(o)))
            peaks = share.amax((2, 3)).double().numpy()
        pictures = np.asarray(o[:, : self.pixels], dtype=float).reshape(-1, *self.image)
        return pictures, np.concatenate([self.points(o), peaks[..., None]], 2)

    def white(self, o: Array) -> Array:
        """Returns the pictures (M, h, w, c) of observations in white colours, float32."""
        pictures = o[:, : self.pixels].reshape(-1, *self.image)
        return self._colours().white(pictures)

    def _colours(self) -> Colours:
        """Returns the colours that pictures are seen in: of one picture as of many."""
        return self.colours or raw_colours(self.image)

    def fit(
        self,
        o: Array,
        target: Array,
        precision: Array,
        rng: np.random.Generator,
        steps: int = 1000,
        batch: int = 64,
        rate: float = 3e-3,
        decay: float = 1e-6,
        weight: Array | None = None,
    ) -> float:
        """Trains towards targets (..., du), weighed by precisions (..., du, du) and `weight` (...);
        returns the loss, that of `NeuralPolicy.fit`. Filters that are fixed stay.

        Raises NumericalError, and keeps the weights, where the loss is not finite.
        """
        o, target, precision, weight = used(weight, o, target, precision)
        if self.colours is None:
            self.colours = colours_of(o[:, : self.pixels].reshape(-1, *self.image))
        seen = self.features(o)
        if self.fixed:
            return self.layers.fit(
                seen, target, precision, rng, steps, rate=rate, decay=decay, weight=weight
            )
        precision = weight[:, None, None] * precision
        before = self.layers.state()
        try:
            return self._fit_all(o, seen, target, precision, rng, steps, batch, rate, decay)
        except NumericalError:
            self.layers = NeuralPolicy.from_state(before)
            raise

    def _fit_all(
        self,
        o: Array,
        seen: Array,
        target: Array,
        precision: Array,
        rng: np.random.Generator,
        steps: int,
        batch: int,
        rate: float,
        decay: float,
    ) -> float:
        """Trains filters, reading and layers."""
        import torch

        layers, names = self.layers, list(self.filters)
        moved = MOVED * np.linalg.norm(self.reading.matrix, axis=0)  # points begin nearly still
        layers.renormalise(seen, np.pad(moved, (0, seen.shape[1] - len(moved))))
        unit = action_unit(self.low, self.high, target)
        target, precision = target / unit, precision * unit * unit[:, None]
        precision = precision / np.trace(precision, axis1=1, axis2=2).mean() * precision.shape[-1]
        weights, biases = scaled_outputs(layers.weights, layers.biases, 1 / unit)
        start = [*self.filters.values(), *self.reading]
        sizes = self.sizes()
        y, P, rest, centre, scale = (
            torch.as_tensor(a, dtype=torch.float32)
            for a in (target, precision, o[:, self.pixels :], layers.centre, layers.scale)
        )
        first = [torch.as_tensor(a, dtype=torch.float32) for a in start]
        E, L = len(start), len(weights)

        def loss_of(parameters: Any, rows: Any) -> Any:
            moved = [a + s * p for a, s, p in zip(first, sizes, parameters[:E], strict=True)]
            white = torch.as_tensor(self.white(o[rows]))
            points = self.network(dict(zip(names, moved, strict=False)), white)
            h = torch.cat([points @ moved[-2] + moved[-1], rest[rows]], 1)
            told = torch_forward(parameters[E : E + L], parameters[E + L :], (h - centre) / scale)
            gap = told - y[rows]
            return 0.5 * torch.einsum("mi,mij,mj->m", gap, P[rows], gap).mean()

        parameters = [*(np.zeros_like(a) for a in start), *weights, *biases]
        found, final = minimise(
            loss_of, parameters, len(o), rng, steps, batch, rate, decay, CHUNK, "float32"
        )
        ended = [a + s * p for a, s, p in zip(start, sizes, found[:E], strict=True)]
        self.filters = dict(zip(names, ended, strict=False))
        self.reading = Readout(*ended[-2:])
        layers.weights, layers.biases = scaled_outputs(found[E : E + L], found[E + L :], unit)
        return final

    def sizes(self) -> list[float]:
        """Returns in which units filters and reading are learned: the size of the weights of each,
        so that none moves by more than it can bear.
        """
        size = {name: float(np.sqrt((a**2).mean())) for name, a in self.filters.items()}
        of = [1.0 if name == "temperature" else size[f"W{name[1:]}"] for name in self.filters]
        unit = float(np.sqrt((self.reading.matrix**2).mean()))
        return [*of, unit, unit]

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        mean, whiten = self._colours()
        return {
            "mean": mean,
            "whiten": whiten,
            "matrix": self.reading.matrix,
            "offset": self.reading.offset,
            **{f"filter_{name}": a for name, a in self.filters.items()},
            **self.layers.parameters(),
        }

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the mean actions (B, du) of raw observations (B, do), as tensors."""
        import torch

        pictures = o[:, : self.pixels].reshape(-1, *self.image)
        white = (pictures - p["mean"]) @ p["whiten"].T
        filters = {name: p[f"filter_{name}"] for name in self.filters}
        points = self.network(filters, white.to(filters["W0"].dtype)).to(o.dtype)
        h = torch.cat([points @ p["matrix"] + p["offset"], o[:, self.pixels :]], 1)
        return torch_named(p, len(self.layers.weights), (h - p["centre"]) / p["scale"])

    def state(self) -> State:
        """Returns what `from_state` needs."""
        return {
            "image": dict(zip(("height", "width", "colours"), self.image, strict=True)),
            "colours": None if self.colours is None else self.colours._asdict(),
            "filters": dict(self.filters),
            "reading": self.reading._asdict(),
            "fixed": self.fixed,
            **self.layers.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "KeypointPolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        form: dict[str, Any] = {
            "image": {"height": int, "width": int, "colours": int},
            "fixed": bool,
        }
        where = "keypoint policy"
        check_tree({key: state.get(key) for key in form}, form, where)
        image = tuple(state["image"][name] for name in ("height", "width", "colours"))
        own = ("layers", "centre", "scale", "cov", "low", "high")
        layers = NeuralPolicy.from_state({key: state.get(key) for key in own})
        filters = state["filters"] if isinstance(state.get("filters"), dict) else {}
        channels, points = (len(np.atleast_1d(filters.get(f"b{i}", ()))) for i in (0, 2))
        widths = (image[2], channels, channels, points)
        form["filters"] = {"temperature": (1,)}
        for i, k in enumerate(KERNELS):
            form["filters"] |= {
                f"W{i}": (widths[i + 1], widths[i], k, k),
                f"b{i}": (widths[i + 1],),
            }
        form["reading"] = {"matrix": (2 * points, "d"), "offset": ("d",)}
        known = {"mean": image, "whiten": (image[2], image[2])}
        form["colours"] = type(None) if state.get("colours") is None else known
        check_tree({key: state[key] for key in state if key not in own}, form, where)
        d = len(state["reading"]["offset"])
        if not points or not channels or min(image[:2]) < SMALLEST or not d <= layers.do:
            check_tree({"points": points}, {"points": (1,)}, where)
        colours = state["colours"] and Colours(**state["colours"])
        reading = Readout(**state["reading"])
        filters = {name: filters[name] for name in form["filters"]}
        return cls(filters, reading, layers, image, colours, state["fixed"])  # type: ignore[arg-type]
