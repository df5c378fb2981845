"""Networks that see: points in a picture, and pictures painted from points.

They are descriptions, as those of `dynamics.networks.modules`: `start(rng)` draws parameters, and
calling them with parameters and inputs gives outputs. Pictures are white ones (M, h, w, c).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lqr import InputError

from ..networks.modules import MLP, Arrays, Tensors, joined, part

KERNELS, STRIDES = (5, 5, 3), (2, 1, 1)  # of the convolutions
SMALLEST = 8  # pixels of a side


def soft_argmax(maps: Any) -> Any:
    """Returns the expected places (M, F, 2) under a softmax over each map (M, F, height, width), as
    a tensor.

    x grows to the right, y down; -1 and 1 are the middles of the first and the last pixel.
    """
    return places(shares(maps))


def shares(maps: Any) -> Any:
    """Returns a softmax over each map (M, F, height, width)."""
    import torch

    return torch.softmax(maps.flatten(2), -1).unflatten(2, maps.shape[2:])


def places(share: Any) -> Any:
    """Returns the expected places (M, F, 2) under shares (M, F, height, width)."""
    import torch

    x, y = (line(int(n), share.dtype) for n in (share.shape[3], share.shape[2]))
    return torch.stack([share.sum(2) @ x, share.sum(3) @ y], -1)


def line(n: int, dtype: Any) -> Any:
    """Returns the places of n pixels on a side, from -1 to 1."""
    import torch

    return torch.linspace(-1, 1, n, dtype=dtype) if n > 1 else torch.zeros(1, dtype=dtype)


@dataclass(frozen=True)
class Keypoints:
    """Points of pictures (Finn et al. 2016): three convolutions, and a softmax over the places of
    each of the last maps, of a temperature that is learned.
    """

    shape: tuple[int, int, int]  # height, width, colours
    points: int = 16
    channels: int = 16
    temperature: float = 0.1  # at the start

    @property
    def outputs(self) -> int:
        """Numbers of a code."""
        return 2 * self.points

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters, small ones, so that at first points see all of the picture. Raises
        InputError for pictures that are too small."""
        if min(self.shape[:2]) < SMALLEST or self.points < 1:
            raise InputError(
                f"got pictures of {self.shape} and {self.points} points; expected sides of {SMALLEST} or "
                "more, and a point"
            )
        sizes = (self.shape[2], self.channels, self.channels, self.points)
        params: Arrays = {"temperature": np.log([self.temperature])}
        for i, k in enumerate(KERNELS):
            a, b = sizes[i : i + 2]
            params[f"W{i}"] = rng.standard_normal((b, a, k, k)) * np.sqrt(1 / (3 * a * k * k))
            params[f"b{i}"] = np.zeros(b)
        return params

    def shares(self, params: Tensors, white: Any) -> Any:
        """Returns where each point may be, (M, points, h/2, w/2), which sum to 1 over the places."""
        import torch

        h = white.permute(0, 3, 1, 2)
        for i, (k, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
            h = torch.nn.functional.conv2d(
                h, params[f"W{i}"], params[f"b{i}"], stride=stride, padding=k // 2
            )
            h = torch.relu(h) if i + 1 < len(KERNELS) else h
        return shares(h / params["temperature"].exp())

    def __call__(self, params: Tensors, white: Any) -> Any:
        """Returns the points of white pictures (M, h, w, c), (M, 2 points): x and y of each, in
        [-1, 1].
        """
        return places(self.shares(params, white)).flatten(1)


@dataclass(frozen=True)
class Compressed:
    """Points, and a linear map of them to a code of fewer numbers."""

    points: Keypoints
    outputs: int

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters."""
        head = MLP((self.points.outputs, self.outputs))
        return joined(points=self.points.start(rng), head=head.start(rng))

    def __call__(self, params: Tensors, white: Any) -> Any:
        """Returns codes (M, outputs) of white pictures (M, h, w, c)."""
        head = MLP((self.points.outputs, self.outputs))
        return head(part(params, "head"), self.points(part(params, "points"), white))


@dataclass(frozen=True)
class Blobs:
    """Paints pictures from points: a bump of this width at each, and two convolutions."""

    shape: tuple[int, int, int]  # of what is painted
    points: int = 16
    channels: int = 16
    width: float = 0.12  # of a bump, in half sides of the picture

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters."""
        wide = rng.standard_normal((self.channels, self.points, 5, 5)) * np.sqrt(
            2 / (25 * self.points)
        )
        last = rng.standard_normal((self.shape[2], self.channels, 5, 5)) / np.sqrt(
            25 * self.channels
        )
        return {
            "W0": wide,
            "b0": np.zeros(self.channels),
            "W1": last,
            "b1": np.zeros(self.shape[2]),
        }

    def bumps(self, points: Any) -> Any:
        """Returns the bumps (M, points, h, w) at points (M, 2 points)."""
        import torch

        places = points.unflatten(1, (self.points, 2))
        x, y = (line(n, points.dtype) for n in (self.shape[1], self.shape[0]))
        right, down = (
            torch.exp(-((side - places[..., i, None]) ** 2) / (2 * self.width**2))
            for i, side in enumerate((x, y))
        )
        return down[..., None] * right[..., None, :]

    def __call__(self, params: Tensors, points: Any) -> Any:
        """Returns white pictures (M, h, w, c) of points (M, 2 points)."""
        import torch

        conv = torch.nn.functional.conv2d
        bumps = self.bumps(points).contiguous(memory_format=torch.channels_last)  # sooner done
        h = torch.relu(conv(bumps, params["W0"], params["b0"], padding=2))
        return conv(h, params["W1"], params["b1"], padding=2).permute(0, 2, 3, 1)


@dataclass(frozen=True)
class Linear:
    """Paints pictures from any code by a linear map, as the deep spatial autoencoder does."""

    shape: tuple[int, int, int]
    inputs: int

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters."""
        return MLP((self.inputs, int(np.prod(self.shape)))).start(rng)

    def __call__(self, params: Tensors, code: Any) -> Any:
        """Returns white pictures (M, h, w, c) of codes (M, inputs)."""
        size = (self.inputs, int(np.prod(self.shape)))
        return MLP(size)(params, code).unflatten(1, self.shape)
