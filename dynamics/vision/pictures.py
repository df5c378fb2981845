"""Pictures as bytes: how observations that begin with a picture are kept, and saved.

An observation is a vector of float32: n / 255 for each byte n of the picture, row by row, pixel by
pixel, then the rest. `pack` keeps it in a quarter of the memory, and `unpack` makes the same bits
of it; `to_tree` saves it compressed, which makes a twelfth of that of an arm before a plain ground.
"""

import zlib
from typing import Any, NamedTuple

import numpy as np

from lqr import CheckpointError, InputError

from ..storage.tree import Bytes, check_tree

Array = np.ndarray
LEVEL = 1  # of compression, the fastest


class Packed(NamedTuple):
    """Observations that begin with a picture."""

    pixels: Array  # (..., pixels * colours), uint8
    rest: Array  # (..., rest), float64


def observed(pictures: Array, rest: Array) -> Array:
    """Returns observations (B, .), float32, of pictures (B, h, w, c) of bytes and what is seen
    beside them (B, rest).
    """
    seen = pictures.reshape(len(pictures), -1).astype(np.float32) / np.float32(255)
    return np.concatenate([seen, rest.astype(np.float32)], 1)


def pack(o: Array, pixels: int) -> Packed:
    """Returns observations (..., do), of which the first `pixels` numbers are a picture's.

    Raises InputError where a number of the picture is no byte's.
    """
    seen = np.asarray(o[..., :pixels], dtype=np.float32)
    scaled = np.rint(seen * np.float32(255))
    if not np.isfinite(scaled).all() or scaled.min(initial=0) < 0 or scaled.max(initial=0) > 255:
        raise InputError(
            f"got a picture with numbers from {seen.min()} to {seen.max()}; expected n / 255 of bytes n"
        )
    if not np.array_equal(scaled / np.float32(255), seen):
        gap = np.abs(scaled / np.float32(255) - seen).max()
        raise InputError(
            f"got a picture with numbers that lie {gap:.2g} from those of bytes; expected n / 255: "
            "a task shows pictures by `dynamics.vision.pictures.observed`"
        )
    return Packed(scaled.astype(np.uint8), np.asarray(o[..., pixels:], dtype=float))


def unpack(packed: Packed) -> Array:
    """Returns the observations (..., do), float32."""
    seen = packed.pixels.astype(np.float32)
    seen /= np.float32(255)
    return np.concatenate([seen, packed.rest.astype(np.float32)], -1)


def to_tree(packed: Packed) -> dict[str, Array]:
    """Returns what a checkpoint holds of them."""
    squeezed = zlib.compress(np.ascontiguousarray(packed.pixels).tobytes(), LEVEL)
    return {"squeezed": np.frombuffer(squeezed, np.uint8), "rest": packed.rest}


def tree_form(lead: tuple[Any, ...], rest: int) -> dict[str, Any]:
    """Returns the form of `to_tree`, as `check_tree` takes it, of observations (*lead, do)."""
    return {"squeezed": Bytes((f"squeezed {lead}",)), "rest": (*lead, rest)}


def from_tree(tree: Any, pixels: int, where: str = "pictures") -> Packed:
    """Returns what `to_tree` was made of. Raises CheckpointError for anything else."""
    shape = getattr(tree.get("rest"), "shape", ()) if isinstance(tree, dict) else ()
    lead = shape[:-1]
    check_tree(tree, tree_form(lead, shape[-1] if shape else 0), where)
    expected = int(np.prod(lead)) * pixels
    try:
        content = zlib.decompressobj().decompress(tree["squeezed"].tobytes(), expected + 1)
    except zlib.error as error:
        raise CheckpointError(
            f"{where}: got pictures that cannot be read ({error}); take another copy"
        ) from None
    if len(content) != expected:
        raise CheckpointError(
            f"{where}: got {len(content)} bytes of pictures or more, expected {expected}; take another copy"
        )
    return Packed(np.frombuffer(content, np.uint8).reshape(*lead, pixels), tree["rest"])
