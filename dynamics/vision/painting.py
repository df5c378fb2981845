"""Autoencoders: codes from which the picture can be painted again.

The loss is the squared error of what is painted, in white colours, of half the picture's side,
where each pixel weighs by how rare its colour is, and `slow` times the squared acceleration of the
codes, which real things do not have (Finn, Tan, Duan, Darrell, Levine and Abbeel, Deep Spatial
Autoencoders for Visuomotor Learning, 2016).
"""

from typing import Any

import numpy as np

from ..networks.modules import Arrays, Tensors
from .colours import Colours, Rarity, rarity_of
from .encoder import Batch, Clips

Array = np.ndarray
MOST = 1000  # pictures of which the rarity is counted


class Painting:
    """What a decoder, such as `Blobs` or `Linear`, paints is like what was seen."""

    def __init__(self, decoder: Any, rare: bool = True, slow: float = 0.0):
        """Without `rare` all pixels weigh the same. With `slow` above 0 clips have three frames."""
        self.decoder, self.rare, self.slow = decoder, rare, slow
        self.frames = 3 if slow else 1
        self.rarity: Rarity | None = None

    def prepare(self, clips: Clips, colours: Colours) -> None:
        """Counts how rare colours are."""
        flat = clips.pictures.reshape(-1, *clips.pictures.shape[-3:])
        some = flat[:: max(1, len(flat) // MOST)]
        self.rarity = rarity_of(halved(colours.white(some))) if self.rare else None

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters of the decoder."""
        return self.decoder.start(rng)

    def loss(self, params: Tensors, codes: Any, batch: Batch) -> Any:
        """Returns the mean weighted squared error, and what acceleration costs."""
        import torch

        z = codes.flatten(0, 1)
        seen = halved(batch.white.flatten(0, 1).numpy())
        gap = (self.decoder(params, z) - torch.as_tensor(seen)) ** 2
        if self.rarity is not None:
            gap = gap * torch.as_tensor(self.rarity.weights(seen))[..., None]
        loss = gap.mean()
        if self.slow:
            loss = loss + self.slow * ((codes[:, 2] - 2 * codes[:, 1] + codes[:, 0]) ** 2).mean()
        return loss


def halved(white: Array) -> Array:
    """Returns pictures (..., h, w, c) of half the sides, each pixel the mean of four."""
    h, w = white.shape[-3] // 2 * 2, white.shape[-2] // 2 * 2
    p = white[..., :h, :w, :]
    rows = p[..., ::2, :, :] + p[..., 1::2, :, :]
    return (rows[..., ::2, :] + rows[..., 1::2, :]) / 4
