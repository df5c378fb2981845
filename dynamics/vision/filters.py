"""What makes a state of what is seen: an encoder alone, or one with the speed of its codes."""

from typing import Any, Protocol

import numpy as np

from .judgement import Readout

Array = np.ndarray


class Filter(Protocol):
    """Makes states of pictures, as they come."""

    d: int  # numbers of a state

    def start(self, pictures: Array) -> Array:
        """Returns the states (B, d) at the first pictures (B, h, w, c) of episodes."""
        ...

    def follow(self, x: Array, u: Array, pictures: Array) -> Array:
        """Returns the states (B, d) at pictures, after states x (B, d) and actions u (B, du)."""
        ...


class Reduced:
    """An encoder and a linear map of its codes, such as their principal components."""

    def __init__(self, encoder: Any, readout: Readout):
        self.encoder, self.readout = encoder, readout
        self.d = len(readout.offset)

    def __call__(self, pictures: Array) -> Array:
        """Returns codes (..., d) of pictures (..., h, w, c) of bytes."""
        return self.readout(self.encoder(pictures))


class Still:
    """The state is the code: there is no memory."""

    def __init__(self, encoder: Any):
        self.encoder, self.d = encoder, int(encoder.d)

    def start(self, pictures: Array) -> Array:
        """Returns the codes (B, d)."""
        return self.encoder(pictures)

    def follow(self, x: Array, u: Array, pictures: Array) -> Array:
        """Returns the codes (B, d)."""
        return self.encoder(pictures)


class Moving:
    """The state is [z, rate * (z - z of the picture before)]: the code, and how fast it changes."""

    def __init__(self, encoder: Any, rate: float = 1.0):
        self.encoder, self.rate, self.d = encoder, rate, 2 * int(encoder.d)

    def start(self, pictures: Array) -> Array:
        """Returns codes that stand still, (B, d)."""
        z = self.encoder(pictures)
        return np.concatenate([z, np.zeros_like(z)], 1)

    def follow(self, x: Array, u: Array, pictures: Array) -> Array:
        """Returns codes and their changes, (B, d)."""
        z = self.encoder(pictures)
        return np.concatenate([z, self.rate * (z - x[:, : z.shape[1]])], 1)


FILTERS = {"still": Still, "moving": Moving}
"""The word -> the filter of an encoder; add your own."""
