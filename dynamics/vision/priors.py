"""Robotic priors: codes that change as states of the physical world do.

Jonschkowski and Brock, Learning State Representations with Robotic Priors (2015). With ds the change
of the code s in a step,

    temporal coherence   |ds|^2
    proportionality      (|ds_i| - |ds_j|)^2                        after the same action
    causality            exp(-|s_i - s_j|^2)                        same action, other reward
    repeatability        exp(-|s_i - s_j|^2) |ds_i - ds_j|^2        after the same action

over all pairs i, j of a batch. Actions are of a small table, so that pairs with the same one are
there; without causality all codes would be one.
"""

from typing import Any

import numpy as np

from lqr import InputError

from ..networks.modules import Arrays, Tensors
from .colours import Colours
from .encoder import Batch, Clips
from .inverse import action_units

SAME = 1e-6  # largest difference of actions that are the same


class Priors:
    """The four priors, with the paper's weights."""

    frames = 2

    def __init__(self, proportionality: float = 5.0, repeatability: float = 5.0):
        self.proportionality, self.repeatability = proportionality, repeatability

    def prepare(self, clips: Clips, colours: Colours) -> None:
        """Raises InputError where there are no actions, or no rewards that differ."""
        action_units(clips)
        if clips.reward is None or np.ptp(clips.reward) == 0:
            raise InputError(
                "got no rewards that differ; expected some: without them all codes are the same"
            )

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns no parameters: there is no head."""
        return {}

    def loss(self, params: Tensors, codes: Any, batch: Batch) -> Any:
        """Returns the sum of the priors' losses."""
        s, change = codes[:, 0], codes[:, 1] - codes[:, 0]
        far = squares(s)
        same = (squares(batch.u[:, 0]) < SAME**2).float()
        same = same - same.diag().diag()  # of itself nothing is learned
        pairs = same.sum().clamp(min=1.0)
        other = same * (squares(batch.reward[:, :1]) > 0).float()
        size = (change**2).sum(1).clamp(min=1e-12).sqrt()
        near = (-far).exp()
        temporal = (change**2).sum(1).mean()
        causal = (other * near).sum() / other.sum().clamp(min=1.0)
        proportional = (same * (size[:, None] - size) ** 2).sum() / pairs
        repeatable = (same * near * squares(change)).sum() / pairs
        return (
            temporal
            + causal
            + self.proportionality * proportional
            + self.repeatability * repeatable
        )


def squares(a: Any) -> Any:
    """Returns the squared distances of all pairs of rows (B, d), (B, B)."""
    return ((a[:, None] - a[None]) ** 2).sum(-1)
