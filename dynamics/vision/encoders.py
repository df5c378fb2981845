"""The table of encoders: one word each."""

from collections.abc import Callable
from typing import Any

from lqr import InputError

from .encoder import Trained
from .inverse import Inverse
from .networks import Blobs, Compressed, Keypoints, Linear
from .painting import Painting
from .poses import Poses
from .position_velocity import PositionVelocity
from .priors import Priors

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


def inverse(
    shape: Shape, d: int = 4, actions: int = 2, points: int = 6, ahead: int = 1, **training: Any
) -> Trained:
    """Returns d numbers that tell which action led from one picture to the next: what is
    controlled.
    """
    network = Compressed(Keypoints(shape, points), d)
    return Trained(network, Inverse(d, actions, ahead), **({"batch": 64} | training))


def inverse_k(shape: Shape, ahead: int = 4, **settings: Any) -> Trained:
    """Returns the same, of pictures up to `ahead` steps apart."""
    return inverse(shape, ahead=ahead, **settings)


def priors(shape: Shape, d: int = 2, points: int = 6, **training: Any) -> Trained:
    """Returns d numbers that change as states of the physical world do."""
    network = Compressed(Keypoints(shape, points), d)
    return Trained(network, Priors(), **({"batch": 128} | training))


def pve(
    shape: Shape, d: int = 2, points: int = 6, velocity: float = 10.0, **training: Any
) -> Trained:
    """Returns d positions, whose differences, times `velocity`, behave as velocities do."""
    network = Compressed(Keypoints(shape, points), d)
    return Trained(network, PositionVelocity(velocity), **({"batch": 64} | training))


ENCODERS: dict[str, Callable[..., Trained]] = {
    "points": points,
    "autoencoder": autoencoder,
    "poses": poses,
    "inverse": inverse,
    "inverse_k": inverse_k,
    "priors": priors,
    "pve": pve,
}
"""The word -> what makes an encoder of pictures of a shape; add your own."""


def make_encoder(word: str, shape: Shape, **settings: Any) -> Any:
    """Returns an encoder of that word for pictures (height, width, colours). Raises InputError for
    an unknown word.
    """
    if word not in ENCODERS:
        raise InputError(f"encoder is {word!r}; expected one of {', '.join(ENCODERS)}")
    return ENCODERS[word](shape, **settings)
