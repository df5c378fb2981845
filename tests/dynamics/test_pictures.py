"""Pictures as bytes: what is kept is what was seen, to the bit, and what is damaged is refused."""

import numpy as np
import pytest

from dynamics.storage.tree import load_tree, save_tree
from dynamics.vision.pictures import from_tree, observed, pack, to_tree, unpack
from lqr import CheckpointError, InputError

PIXELS = 6 * 5 * 3


def seen(count=7, seed=0):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    return pictures, observed(pictures, rng.normal(size=(count, 4)))


def test_every_byte_is_seen_as_its_share_of_255_and_comes_back_to_the_bit():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    o = observed(every, np.zeros((1, 0)))
    np.testing.assert_allclose(o[0], np.arange(256) / 255, rtol=1e-7)
    assert np.array_equal(pack(o, 256).pixels, every.reshape(1, -1))
    pictures, o = seen()
    packed = pack(o.reshape(7, 1, -1), PIXELS)
    assert packed.pixels.dtype == np.uint8
    assert np.array_equal(packed.pixels.reshape(pictures.shape), pictures)
    assert np.array_equal(unpack(packed)[:, 0], o)
    assert unpack(packed).dtype == o.dtype == np.float32


@pytest.mark.parametrize("number", [0.5, -0.1, 1.2, np.nan])
def test_what_is_no_picture_of_bytes_is_refused(number):
    _, o = seen()
    o[2, 3] = number
    with pytest.raises(InputError, match="expected n / 255"):
        pack(o, PIXELS)


def test_a_saved_picture_is_the_same_and_a_plain_one_is_small(tmp_path):
    _, o = seen()
    o[3:, :PIXELS] = 1.0  # as a plain ground
    save_tree(tmp_path / "kept", to_tree(pack(o, PIXELS)))
    tree, _ = load_tree(tmp_path / "kept")
    assert np.array_equal(unpack(from_tree(tree, PIXELS)), o)
    assert len(tree["squeezed"]) < 0.7 * 7 * PIXELS


@pytest.mark.parametrize("fault", ["short", "long", "flipped", "none", "floats", "rest"])
def test_damaged_pictures_are_refused(fault):
    _, o = seen()
    tree = to_tree(pack(o, PIXELS))
    squeezed = tree["squeezed"].copy()
    if fault == "flipped":
        squeezed[0] ^= 255
    tree["squeezed"] = squeezed[:-20] if fault == "short" else squeezed
    if fault == "long":
        tree = to_tree(pack(np.concatenate([o, o]), PIXELS)) | {"rest": tree["rest"]}
    tree = [] if fault == "none" else tree
    if fault == "floats":
        tree["squeezed"] = squeezed.astype(float)
    if fault == "rest":
        tree["rest"] = tree["rest"].astype(np.float32)
    with pytest.raises(CheckpointError):
        from_tree(tree, PIXELS)
