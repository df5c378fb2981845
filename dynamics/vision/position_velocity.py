"""Position-velocity encoders: codes are positions, whose differences behave as velocities do.

Jonschkowski, Hafner, Scholz and Riedmiller, PVEs: Position-Velocity Encoders for Unsupervised
Learning of Structured State Representations (2017). With p the code, v its change, and a the change
of v,

    variation        exp(-|p_i - p_j|)       positions of other times differ
    slowness         |v|                     they change little
    inertia          |a|^2                   velocities change little
    conservation     (|v'| - |v|)^2          so does their size
    controllability  exp(-cov(u_i, a_i))     each action accelerates a position of its own

The state is [p, v], as the filter `moving` has it.
"""

from typing import Any

import numpy as np

from ..networks.modules import Arrays, Tensors
from .colours import Colours
from .encoder import Batch, Clips
from .inverse import action_units


class PositionVelocity:
    """The losses of a position-velocity encoder, with their weights."""

    frames = 3

    def __init__(
        self,
        rate: float = 10.0,
        slowness: float = 0.1,
        inertia: float = 0.1,
        conservation: float = 0.1,
        controllability: float = 1.0,
    ):
        """`rate` is one over a step's length, in the unit of time in which v is told."""
        self.rate, self.slowness, self.inertia = rate, slowness, inertia
        self.conservation, self.controllability = conservation, controllability

    def prepare(self, clips: Clips, colours: Colours) -> None:
        """Takes the units of the actions. Raises InputError where there are none."""
        self.centre, self.unit = action_units(clips)

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns no parameters: there is no head."""
        return {}

    def loss(self, params: Tensors, codes: Any, batch: Batch) -> Any:
        """Returns the weighted sum of the losses."""
        import torch

        p = codes[:, 1]
        v = self.rate * (codes[:, 1:] - codes[:, :-1])
        a = v[:, 1] - v[:, 0]
        far = norm(p[1:] - p[:-1])  # the rows of a batch are drawn at random
        speed = norm(v)
        u = (batch.u[:, 1] - torch.as_tensor(self.centre)) / torch.as_tensor(self.unit)
        n = min(u.shape[1], a.shape[1])
        cov = ((u - u.mean(0))[:, :n] * (a - a.mean(0))[:, :n]).mean(0)
        return (
            (-far).exp().mean()
            + self.slowness * speed.mean()
            + self.inertia * (a**2).sum(-1).mean()
            + self.conservation * ((speed[:, 1] - speed[:, 0]) ** 2).mean()
            + self.controllability * (-cov).exp().mean()
        )


def norm(a: Any) -> Any:
    """Returns the length of vectors (..., d), with a derivative at 0."""
    return ((a**2).sum(-1) + 1e-8).sqrt()
