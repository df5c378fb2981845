"""Inverse models: codes from which the actions can be told that led from one to the next, so that
they hold what is controlled, and not what moves by itself.

Agrawal, Nair, Abbeel, Malik and Levine, Learning to Poke by Poking (2016); with several steps, Lamb
et al., Guaranteed Discovery of Control-Endogenous Latent States with Multi-Step Inverse Models
(2022): the first action is told from the codes k steps apart, for k = 1 .. `steps`.
"""

from typing import Any

import numpy as np

from lqr import InputError

from ..networks.modules import MLP, Arrays, Tensors
from .colours import Colours
from .encoder import Batch, Clips


class Inverse:
    """The action is told by the codes before it and 1, or up to `steps`, after it."""

    def __init__(self, inputs: int, actions: int, steps: int = 1, hidden: int = 64):
        """Codes have so many numbers, and actions; `hidden` are the units of the head."""
        self.steps, self.frames = steps, steps + 1
        self.head = MLP((2 * inputs + 1, hidden, actions))

    def prepare(self, clips: Clips, colours: Colours) -> None:
        """Takes the units of the actions. Raises InputError where there are none, or others."""
        self.centre, self.unit = action_units(clips, self.head.sizes[-1])

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters of the head."""
        return self.head.start(rng)

    def loss(self, params: Tensors, codes: Any, batch: Batch) -> Any:
        """Returns the mean squared error of the first action, in units of its spread."""
        import torch

        u = (batch.u[:, 0] - torch.as_tensor(self.centre)) / torch.as_tensor(self.unit)
        loss = codes.new_zeros(())
        for k in range(1, self.steps + 1):
            apart = codes.new_full((len(codes), 1), k / self.steps)
            told = self.head(params, torch.cat([codes[:, 0], codes[:, k], apart], 1))
            loss = loss + ((told - u) ** 2).mean() / self.steps
        return loss


def action_units(clips: Clips, size: int | None = None) -> tuple[Any, Any]:
    """Returns mean and spread of the actions of clips, (du,) float32. Raises InputError where there
    are none, or not `size` of them.
    """
    shape = None if clips.u is None else clips.u.shape
    if clips.u is None or size not in (None, clips.u.shape[-1]):
        raise InputError(f"got actions of shape {shape}; expected (N, T, {size or 'du'})")
    u = clips.u.reshape(-1, clips.u.shape[-1])
    return u.mean(0).astype(np.float32), np.maximum(u.std(0), 1e-6).astype(np.float32)
