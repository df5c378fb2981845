"""Pictures that are drawn: disks with smooth edges."""

import numpy as np


def disks(places, colours, radii, side=16, ground=(0.3, 0.3, 0.35)):
    """Returns pictures (M, side, side, 3) of bytes with disks at places (M, K, 2) in [-1, 1]; x to
    the right, y down.
    """
    line = np.linspace(-1, 1, side)
    picture = np.tile(np.array(ground), (len(places), side, side, 1))
    for k, (colour, radius) in enumerate(zip(colours, radii, strict=True)):
        x, y = places[:, k, 0, None, None], places[:, k, 1, None, None]
        far = np.sqrt((line[None, None, :] - x) ** 2 + (line[None, :, None] - y) ** 2)
        cover = np.clip((radius - far) * (side - 1) / 2 + 0.5, 0, 1)[..., None]
        picture = cover * np.array(colour) + (1 - cover) * picture
    return np.rint(255 * picture).astype(np.uint8)


def two_disks(count, rng, side=16):
    """Returns pictures of a large disk and a small dull one, and their places (count, 4)."""
    places = rng.uniform(-0.75, 0.75, (count, 2, 2))
    pictures = disks(places, [(0.9, 0.9, 0.8), (0.42, 0.28, 0.33)], [0.3, 0.14], side)
    return pictures, places.reshape(count, 4)
