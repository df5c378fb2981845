"""The table of encoders: one word each."""

from collections.abc import Callable
from typing import Any

from lqr import InputError

from .encoder import Trained
from .networks import Blobs, Keypoints, Linear
from .painting import Painting
from .poses import Poses

Shape = tuple[int, int, int]


def points(shape: Shape, points: int = 16, rare: bool = True, **training: Any) -> Trained:
    """Returns points from which bumps paint the picture: small things are found, without labels."""
    decoder = Blobs((shape[0] // 2, shape[1] // 2, shape[2]), points)
    return Trained(Keypoints(shape, points), Painting(decoder, rare), **training)


def autoencoder(
    shape: Shape, points: int = 16, rare: bool = True, slow: float = 0.01, **training: Any
) -> Trained:
    """Returns the deep spatial autoencoder: points from which a linear map paints the picture."""
    decoder = Linear((shape[0] // 2, shape[1] // 2, shape[2]), 2 * points)
    return Trained(Keypoints(shape, points), Painting(decoder, rare, slow), **training)


def poses(shape: Shape, labels: int = 6, points: int = 16, **training: Any) -> Trained:
    """Returns points of which labels can be read linearly; clips have these."""
    network = Keypoints(shape, points)
    return Trained(network, Poses(network.outputs, labels), **training)


ENCODERS: dict[str, Callable[..., Trained]] = {
    "points": points,
    "autoencoder": autoencoder,
    "poses": poses,
}
"""The word -> what makes an encoder of pictures of a shape; add your own."""


def make_encoder(word: str, shape: Shape, **settings: Any) -> Any:
    """Returns an encoder of that word for pictures (height, width, colours). Raises InputError for
    an unknown word.
    """
    if word not in ENCODERS:
        raise InputError(f"encoder is {word!r}; expected one of {', '.join(ENCODERS)}")
    return ENCODERS[word](shape, **settings)
