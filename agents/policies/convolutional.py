"""A convolutional policy for images: it finds points in the picture, and acts on where they are.

Levine, Finn, Darrell and Abbeel, End-to-End Training of Deep Visuomotor Policies (2016), section
5.2: convolutions, a softmax over the places of each of the last maps, and the expected place under
it, the feature points. Tanh layers over the points and the rest of the observation (proprioception)
give the action.

An observation is one vector: first the picture's numbers in [0, 1], row by row, in a row pixel by
pixel, in a pixel channel by channel (`picture.reshape(-1)` of an array (height, width, channels)),
then the rest.
"""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from dynamics.vision.networks import soft_argmax
from lqr import CheckpointError, InputError

from ..interfaces import Array, State
from ..tasks.action_limits import action_unit, resting
from .base import Memoryless
from .checks import limits, sizes, spread
from .layers import (
    in_units,
    layers_form,
    layers_of,
    layers_tree,
    named,
    random_layers,
    scaled_outputs,
    torch_forward,
    units,
)
from .torch_training import minimise, used

KERNELS, STRIDES = (5, 3), (2, 1)  # of the two convolutions
MIDDLE, SPREAD = 0.5, 0.25  # the units of the pixels
SMALLEST = 9  # pixels of a picture's side, so that a map is 1 pixel at least


class ConvolutionalPolicy(Memoryless):
    """u ~ N(net(points of the picture, rest of o), cov). Convolutions are in float32."""

    needs_image = True  # `create` takes the task's `image`

    def __init__(
        self,
        filters: dict[str, Array],
        weights: list[Array],
        biases: list[Array],
        image: tuple[int, int, int],
        centre: Array,
        scale: Array,
        cov: Array,
        low: Any,
        high: Any,
    ):
        self.filters = filters
        self.weights = weights
        self.biases = biases
        self.image = image
        self.centre, self.scale, self.cov = centre, scale, cov  # (rest,), (rest,), (du, du)
        self.low, self.high = limits(low, high, len(biases[-1]))
        self.pixels = int(np.prod(image))
        self.do = self.pixels + len(centre)

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
        maps: int = 16,
    ) -> "ConvolutionalPolicy":
        """Returns a network with random filters (He) and layers whose mean is near 0, or within the limits.

        `image` (height, width, channels) is the picture's shape; each convolution has `maps`
        filters. Raises InputError without a picture, or for one that is too small or larger than
        the observation.
        """
        do, du, hidden = sizes(do, du, hidden)
        if (
            image is None
            or len(image) != 3
            or min(image[:2]) < SMALLEST
            or int(np.prod(image)) > do
        ):
            raise InputError(
                f"got observations of {do} numbers and a picture of shape {image}; expected a task whose `image` is "
                f"(height, width, channels), of {SMALLEST} pixels or more, and which sees that picture first"
            )
        filters, channels = dict[str, Array](), image[2]
        for i, size in enumerate(KERNELS):
            width = np.sqrt(2 / (channels * size**2))
            filters |= {
                f"W{i}": width * rng.normal(size=(maps, channels, size, size)),
                f"b{i}": np.zeros(maps),
            }
            channels = maps
        rest = do - int(np.prod(image))
        ends = limits(low, high, du)
        widths = (2 * maps + rest, *hidden, du)
        layers = random_layers(widths, rng, resting(*ends), action_unit(*ends))
        cov = np.diag(spread(std, du) ** 2)
        shape = int(image[0]), int(image[1]), int(image[2])
        return cls(filters, *layers, shape, np.zeros(rest), np.ones(rest), cov, low, high)

    def mean(self, o: Array) -> Array:
        """Returns the mean actions (..., du) for observations (..., do)."""
        import torch

        o = np.asarray(o)
        flat, out = o.reshape(-1, self.do), []
        parameters = self._tensors()
        with torch.inference_mode():
            for part in np.array_split(flat, max(1, len(flat) // 256)):
                picture, rest = (torch.as_tensor(a) for a in self._parts(part))
                out.append(self._forward(parameters, picture, rest).numpy())
        return np.concatenate(out).reshape(*o.shape[:-1], -1)

    def points(self, o: Array) -> Array:
        """Returns the feature points (M, maps, 2) of observations (M, do): x to the right and y
        down, in [-1, 1].
        """
        import torch

        with torch.inference_mode():
            picture = torch.as_tensor(self._parts(o)[0])
            return self._points(self._tensors(), picture).double().numpy()

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        filters = {f"filter_{name}": a for name, a in self.filters.items()}
        return {
            "centre": self.centre,
            "scale": self.scale,
            **filters,
            **named(self.weights, self.biases),
        }

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the mean actions (B, du) of raw observations (B, do), as tensors."""
        picture = o[:, : self.pixels].reshape(-1, *self.image).permute(0, 3, 1, 2)
        rest = (o[:, self.pixels :] - p["centre"]) / p["scale"]
        parameters = [a for name, a in p.items() if name not in ("centre", "scale", "low", "high")]
        return self._forward(parameters, (picture - MIDDLE) / SPREAD, rest)

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
        returns the loss.

        The loss is that of `NeuralPolicy.fit`. Raises NumericalError, and keeps the weights, where
        it is not finite.
        """
        o, target, precision, weight = used(weight, o, target, precision)
        (picture, _), points = self._parts(o), self.weights[0].shape[1] - len(self.centre)
        beside = o[:, self.pixels :].astype(float)
        new = units(beside)
        W, b = in_units(self.weights[0][:, points:], self.biases[0], (self.centre, self.scale), new)
        first = np.concatenate([self.weights[0][:, :points], W], 1)
        unit = action_unit(self.low, self.high, target)
        weights, biases = [first, *self.weights[1:]], [b, *self.biases[1:]]
        weights, biases = scaled_outputs(weights, biases, 1 / unit)
        start = [*self.filters.values(), *weights, *biases]
        target, precision = target / unit, precision * unit * unit[:, None]
        rest = (beside - new[0]) / new[1]
        loss = self._loss(picture, rest, target, weight[:, None, None] * precision)
        found, final = minimise(
            loss, start, len(o), rng, steps, batch, rate, decay, chunk=256, dtype="float32"
        )
        layers = found[len(self.filters) :]
        self.filters = dict(zip(self.filters, found, strict=False))
        half = len(layers) // 2
        self.weights, self.biases = scaled_outputs(layers[:half], layers[half:], unit)
        self.centre, self.scale = new
        return final

    def _loss(self, picture: Array, rest: Array, target: Array, precision: Array) -> Any:
        import torch

        precision = precision / np.trace(precision, axis1=1, axis2=2).mean() * precision.shape[-1]
        p, r, y, P = (
            torch.as_tensor(a, dtype=torch.float32) for a in (picture, rest, target, precision)
        )

        def loss_of(parameters: Any, rows: Any) -> Any:
            gap = self._forward(parameters, p[rows], r[rows]) - y[rows]
            return 0.5 * torch.einsum("mi,mij,mj->m", gap, P[rows], gap).mean()

        return loss_of

    def _points(self, parameters: Any, picture: Any) -> Any:
        import torch

        conv, (W0, b0, W1, b1) = torch.nn.functional.conv2d, parameters[:4]
        h = torch.relu(conv(picture.to(W0.dtype), W0, b0, stride=STRIDES[0]))
        return soft_argmax(conv(h, W1, b1, stride=STRIDES[1]))

    def _forward(self, parameters: Any, picture: Any, rest: Any) -> Any:
        import torch

        points = self._points(parameters, picture).flatten(1)
        h = torch.cat([points.to(rest.dtype), rest], 1)
        layers = parameters[4:]
        return torch_forward(layers[: len(layers) // 2], layers[len(layers) // 2 :], h)

    def _tensors(self) -> list[Any]:
        """Returns the parameters as it acts: filters in float32, which is many times faster, layers
        in float64.
        """
        import torch

        filters = [torch.as_tensor(p, dtype=torch.float32) for p in self.filters.values()]
        return [*filters, *(torch.as_tensor(p) for p in (*self.weights, *self.biases))]

    def _parts(self, o: Array) -> tuple[Array, Array]:
        """Returns the pictures (M, channels, height, width), float32, and the rest (M, .), in the
        network's units.
        """
        picture = o[:, : self.pixels].astype(np.float32).reshape(-1, *self.image)
        picture -= np.float32(MIDDLE)
        picture /= np.float32(SPREAD)
        return picture.transpose(0, 3, 1, 2), (o[:, self.pixels :] - self.centre) / self.scale

    def state(self) -> State:
        """Returns what `from_state` needs."""
        numbers = {name: getattr(self, name) for name in ("centre", "scale", "cov", "low", "high")}
        image = dict(zip(("height", "width", "channels"), self.image, strict=True))
        layers = layers_tree(self.weights, self.biases)
        return {
            "image": image,
            "filters": dict(self.filters),
            "layers": layers,
            **numbers,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ConvolutionalPolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        form: dict[str, Any] = {
            "image": {"height": int, "width": int, "channels": int},
        }
        check_tree({key: state.get(key) for key in form}, form, "convolutional policy")
        image = tuple(state["image"][name] for name in ("height", "width", "channels"))
        filters = state["filters"] if isinstance(state.get("filters"), dict) else {}
        maps, rest = len(filters.get("b0", ())), len(state.get("centre", ()))
        form["filters"] = {"W0": (maps, image[2], *KERNELS[:1] * 2), "b0": (maps,)}
        form["filters"] |= {"W1": (maps, maps, *KERNELS[1:] * 2), "b1": (maps,)}
        form |= {
            "layers": layers_form(state, 2 * maps + rest, "du"),
            "centre": (rest,),
            "scale": (rest,),
        }
        check_tree(
            state,
            form | {"cov": ("du", "du"), "low": ("du",), "high": ("du",)},
            "convolutional policy",
        )
        if (
            not maps
            or not form["layers"]
            or not (state["scale"] > 0).all()
            or min(image[:2]) < SMALLEST
        ):
            raise CheckpointError(
                f"got a policy of {maps} maps, scale {state['scale']}; expected more than 0"
            )
        numbers = (state[name] for name in ("centre", "scale", "cov", "low", "high"))
        return cls(
            {name: filters[name] for name in form["filters"]}, *layers_of(state), image, *numbers
        )  # type: ignore[arg-type]
