"""What round objects do next, from pictures about each of them (Fragkiadaki, Agrawal, Levine &
Malik 2016).

One network looks at a small part of the last pictures, a glimpse, with one object in its middle,
and tells by how much that one will have moved in each of the next frames. So it may be asked about
any number of objects. To look further ahead the objects are painted where they are predicted, and
the network looks at that. Where an object was in the last pictures is known: the glimpses are cut
there.

Places are in widths of the picture, x to the right and y down; what lies outside of it is -1, an
object 1, the ground 0.
"""

from typing import Any

import numpy as np

from lqr import InputError

from ..base import Array
from ..networks.adam import CosineAdam
from ..networks.modules import MLP, Arrays, joined, part, to_arrays, to_tensors
from ..numbers import above, count
from ..threads import one_thread

FRAMES = 4  # pictures that are looked at
CHANNELS = (16, 32)


def paint(places: Array, side: int, radius: float) -> Array:
    """Returns pictures (..., side, side) of disks with smooth edges at places (..., n, 2)."""
    line = (np.arange(side) + 0.5) / side
    x, y = (places[..., i, None, None] for i in (0, 1))
    far = np.sqrt((line[None, :] - x) ** 2 + (line[:, None] - y) ** 2)
    cover = np.clip((radius - far) * side + 0.5, 0.0, 1.0).max(-3)
    return np.asarray(cover, dtype=np.float32)


def cut(pictures: Any, places: Any, size: int) -> Any:
    """Returns glimpses (M, F, size, size) about places (M, 2) of pictures (M, F, side, side),
    tensors of float32, between pixels by bilinear interpolation.
    """
    import torch
    from torch.nn.functional import grid_sample

    step = (torch.arange(size) - 0.5 * (size - 1)) * (2.0 / pictures.shape[-1])
    y, x = torch.meshgrid(step, step, indexing="ij")
    grid = torch.stack([x, y], -1) + (2 * places - 1)[:, None, None]
    return grid_sample(pictures + 1, grid, align_corners=False) - 1  # 0 outside becomes -1


class ObjectGlimpses:
    """One convolutional network for all objects; `whole` shows it the whole pictures instead, and
    where in them the object is.
    """

    def __init__(
        self,
        side: int = 48,
        radius: float = 0.08,
        size: int = 15,
        ahead: int = 5,
        whole: bool = False,
        steps: int = 1500,
        batch: int = 128,
        learning_rate: float = 2e-3,
    ):
        """Pictures of `side` pixels of disks of this `radius`; glimpses of `size` pixels;
        displacements in the next `ahead` frames; `steps` minibatches.
        """
        self.side, self.size = count("side", side, 16), count("size", size, 7)
        self.radius = above("radius", radius)
        self.ahead, self.steps = count("ahead", ahead), count("steps", steps)
        self.batch, self.learning_rate = count("batch", batch), above("rate", learning_rate)
        self.whole = whole
        self.params: Arrays = {}
        self.unit = np.ones(ahead)  # of displacements beyond those of going straight on
        self.force_unit = 1.0

    def _kernels(self) -> tuple[tuple[int, int], ...]:
        return ((8, 4), (4, 2)) if self.whole else ((4, 2), (3, 1))  # width, stride

    def _start(self, rng: np.random.Generator) -> Arrays:
        width, params, inputs = self.side if self.whole else self.size, {}, FRAMES
        for i, ((kernel, stride), outputs) in enumerate(
            zip(self._kernels(), CHANNELS, strict=True)
        ):
            shape = (outputs, inputs, kernel, kernel)
            params[f"W{i}"] = rng.standard_normal(shape) / np.sqrt(inputs * kernel**2)
            params[f"b{i}"] = np.zeros(outputs)
            width, inputs = (width - kernel) // stride + 1, outputs
        return params | joined(head=self._head(width**2 * inputs).start(rng))

    def _head(self, seen: int) -> MLP:
        return MLP((seen + 2 * FRAMES + 2 * self.whole, 64, 64, 2 * self.ahead))

    def _bends(self, params: Any, pictures: Any, track: Any, force: Any) -> Any:
        """Returns by how much objects leave the straight line in the next frames, (M, ahead, 2), in
        `unit`, from the last pictures (M, F, h, w), places (M, F, 2) and the force (M, 2).
        """
        import torch
        from torch.nn.functional import conv2d, silu

        seen = pictures if self.whole else cut(pictures, track[:, -1], self.size)
        for i, (_, stride) in enumerate(self._kernels()):
            seen = silu(conv2d(seen, params[f"W{i}"], params[f"b{i}"], stride=stride))
        moved = (track[:, 1:] - track[:, :-1]).flatten(1) * self.side
        where = [track[:, -1]] if self.whole else []
        told = torch.cat([seen.flatten(1), moved, force / self.force_unit, *where], -1)
        out = self._head(told.shape[1] - 2 * FRAMES - 2 * self.whole)(part(params, "head"), told)
        return out.reshape(-1, self.ahead, 2)

    def fit(self, pictures: Array, places: Array, forces: Array, rng: np.random.Generator) -> None:
        """Learns from films (N, T+1, side, side), the objects' places in them (N, T+1, n, 2) and
        the forces on these (N, T, n, 2).

        Raises InputError for films that are too short or of another size.
        """
        import torch

        N, frames, n = places.shape[:3]
        if pictures.shape != (N, frames, self.side, self.side) or frames < FRAMES + self.ahead:
            raise InputError(
                f"pictures have shape {pictures.shape}; expected ({N}, {frames}, {self.side}, "
                f"{self.side}), {FRAMES + self.ahead} frames or more"
            )
        film, track, force = (
            torch.as_tensor(np.asarray(a, dtype=np.float32)) for a in (pictures, places, forces)
        )
        self.force_unit = float(np.abs(forces).max()) or 1.0
        k = np.arange(1, self.ahead + 1)
        known = np.arange(FRAMES - 1, frames - self.ahead)
        v = places[:, known] - places[:, known - 1]
        bends = [places[:, known + j] - places[:, known] - j * v for j in k]
        self.unit = np.array([max(b.std(), 1e-9) for b in bends])
        target = torch.as_tensor(np.stack(bends, -2), dtype=torch.float32)  # (N, K, n, ahead, 2)
        target = target / torch.as_tensor(self.unit, dtype=torch.float32)[:, None]
        with one_thread():
            params = to_tensors(self._start(rng), grad=True)
            optimiser = CosineAdam(params.values(), self.learning_rate, self.steps, foreach=True)
            for _ in range(self.steps):
                i, j, b = (rng.integers(m, size=self.batch) for m in (N, len(known), n))
                last = known[j][:, None] + np.arange(1 - FRAMES, 1)
                own = track[i[:, None], last, b[:, None]]
                told = self._bends(params, film[i[:, None], last], own, force[i, known[j], b])
                optimiser.zero_grad()
                ((told - target[i, j, b]) ** 2).mean().backward()
                optimiser.step()
            self.params = to_arrays(params)

    def imagine(self, pictures: Array, places: Array, forces: Array) -> Array:
        """Returns the objects' places (N, H+1, n, 2) after the last of the pictures (N, FRAMES,
        side, side), which they were at (N, FRAMES, n, 2), under forces (N, H, n, 2) on them.

        Each step goes by the first of the displacements that are predicted.
        """
        import torch

        film, track, n = (
            list(np.moveaxis(pictures, 1, 0)),
            list(np.moveaxis(places, 1, 0)),
            places.shape[2],
        )
        with one_thread(), torch.inference_mode():
            params = to_tensors(self.params)
            for t in range(forces.shape[1]):
                seen = torch.as_tensor(np.repeat(np.stack(film[-FRAMES:], 1), n, 0)).float()
                own = np.stack(track[-FRAMES:], 2).reshape(-1, FRAMES, 2)
                args = (torch.as_tensor(a).float() for a in (own, forces[:, t].reshape(-1, 2)))
                bend = self._bends(params, seen, *args)[:, 0].double().numpy() * self.unit[0]
                after = own[:, -1] + (own[:, -1] - own[:, -2]) + bend
                track.append(after.reshape(-1, n, 2))
                film.append(paint(track[-1], self.side, self.radius))
        return np.stack(track[FRAMES - 1 :], 1)
