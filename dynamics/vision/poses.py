"""Pose regression: codes of which places that are known can be read linearly (Levine, Finn, Darrell
and Abbeel 2016, section 5.3).
"""

from typing import Any

import numpy as np

from lqr import InputError

from ..networks.modules import MLP, Arrays, Tensors
from .colours import Colours
from .encoder import Batch, Clips


class Poses:
    """A linear head tells the labels of a picture, each in its own unit."""

    frames = 1

    def __init__(self, inputs: int, labels: int):
        """Codes have so many numbers, and labels."""
        self.head = MLP((inputs, labels))

    def prepare(self, clips: Clips, colours: Colours) -> None:
        """Takes the units of the labels. Raises InputError where there are none, or others."""
        size = None if clips.labels is None else clips.labels.shape[-1]
        if clips.labels is None or size != self.head.sizes[-1]:
            raise InputError(
                f"got {size} labels of a picture; expected {self.head.sizes[-1]}: where nothing is known, learn points"
            )
        flat = clips.labels.reshape(-1, clips.labels.shape[-1])
        self.centre, self.unit = flat.mean(0), np.maximum(flat.std(0), 1e-9)

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters of the head."""
        return self.head.start(rng)

    def loss(self, params: Tensors, codes: Any, batch: Batch) -> Any:
        """Returns the mean squared error of the labels, in their units."""
        import torch

        centre, unit = (torch.as_tensor(a, dtype=torch.float32) for a in (self.centre, self.unit))
        gap = self.head(params, codes) - (batch.labels - centre) / unit
        return (gap**2).mean()
