"""Colours in which small things count: whitened, and rare ones weigh more.

Where a picture is mostly one thing, an arm before a plain ground, nearly all variance lies in one
direction of colour, and a small target of another is lost in any squared error. Two lines cure it,
without labels: differences from the mean picture are whitened over the colours, and in an error
each pixel weighs by how rare its colour is.
"""

from typing import NamedTuple

import numpy as np

from lqr import InputError

Array = np.ndarray
LEAST = 1e-5  # variance of a colour direction below which it is not blown up further
BINS, WIDTH = 13, 2.0  # of a colour direction, and how wide one is, in standard deviations
MOST = 3000  # pictures of which the colours are taken
BOUNDS = 0.3, 30.0  # of a pixel's weight


class Colours(NamedTuple):
    """White colours are whiten @ (colour / 255 - mean) at each pixel."""

    mean: Array  # (h, w, c), of pictures in [0, 1]
    whiten: Array  # (c, c)

    def white(self, pictures: Array) -> Array:
        """Returns white pictures (..., h, w, c), float32, of pictures of bytes, or in [0, 1]."""
        gap = shares_of(pictures) - self.mean.astype(np.float32)
        return gap @ self.whiten.T.astype(np.float32)


def colours_of(pictures: Array) -> Colours:
    """Returns the colours of pictures (M, h, w, c) of bytes, or in [0, 1], in which the covariance
    over the pixels is the identity, but for directions that hardly vary.
    """
    flat = shares_of(pictures[:: max(1, len(pictures) // MOST)])
    mean = flat.mean(0, dtype=float)
    gap = (flat - mean.astype(np.float32)).reshape(-1, flat.shape[-1])
    cov = (gap.T @ gap).astype(float) / len(gap)
    values, vectors = np.linalg.eigh(cov)
    return Colours(mean, vectors @ np.diag((np.maximum(values, 0) + LEAST) ** -0.5) @ vectors.T)


def shares_of(pictures: Array) -> Array:
    """Returns pictures (..., h, w, c) of bytes, or in [0, 1], as the latter, float32."""
    pictures = np.asarray(pictures)
    if pictures.dtype == np.uint8:
        return pictures.astype(np.float32) / np.float32(255)
    return pictures.astype(np.float32)


def raw_colours(shape: tuple[int, int, int]) -> Colours:
    """Returns colours as they are, but for their unit: (colour / 255 - 1/2) / (1/4)."""
    return Colours(np.full(shape, 0.5), np.eye(shape[2]) / 0.25)


class Rarity(NamedTuple):
    """How rare white colours are: a histogram."""

    unit: Array  # (c,), the width of a bin
    weight: Array  # (BINS,) * c, of the colours in each, 1 / (frequency * occupied bins)

    def weights(self, white: Array) -> Array:
        """Returns how much each pixel (..., h, w) of white pictures counts in an error."""
        return self.weight[bins_of(white, self.unit)].astype(np.float32)


def rarity_of(white: Array, bounds: tuple[float, float] | None = BOUNDS) -> Rarity:
    """Returns the rarity of the colours of white pictures (..., h, w, c)."""
    flat = white.reshape(-1, white.shape[-1])
    unit = WIDTH * np.maximum(flat.std(0, dtype=float), 1e-6)
    counts = np.zeros((BINS,) * flat.shape[1])
    np.add.at(counts, bins_of(flat, unit), 1)
    occupied = counts > 0
    weight = np.zeros_like(counts)
    weight[occupied] = counts.sum() / (counts[occupied] * occupied.sum())
    if bounds is not None:
        weight = np.clip(weight, *bounds)  # a colour that was never seen weighs least
    return Rarity(unit, weight)


def bins_of(white: Array, unit: Array) -> tuple[Array, ...]:
    """Returns the bin of each white colour (..., c), an index (...) for each direction."""
    half = BINS // 2
    found = np.clip(np.rint(white / unit), -half, half).astype(int) + half
    return tuple(np.moveaxis(found, -1, 0))


def checked_pictures(pictures: Array) -> Array:
    """Returns pictures (..., h, w, c) of bytes as (M, h, w, c). Raises InputError for others."""
    pictures = np.asarray(pictures)
    if pictures.ndim < 4 or pictures.dtype != np.uint8 or not pictures.size:
        raise InputError(
            f"got pictures of shape {pictures.shape} and type {pictures.dtype}; expected (..., h, w, c) of uint8"
        )
    if pictures.shape[-1] > 3:
        raise InputError(f"got pictures of {pictures.shape[-1]} colours; expected 3 at most")
    return pictures.reshape(-1, *pictures.shape[-3:])
