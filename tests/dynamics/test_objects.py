"""Objects in pictures: painting, glimpses, and what one network learns of each."""

import numpy as np
import pytest
import torch

from dynamics.graphs.objects import FRAMES, ObjectGlimpses, cut, paint
from lqr import InputError


def test_a_painted_disk_has_its_area_and_its_middle():
    places = np.array([[[0.31, 0.62]]])
    picture = paint(places, 48, 0.08)[0].astype(float)
    assert picture.sum() / 48**2 == pytest.approx(np.pi * 0.08**2, rel=0.02)
    line = (np.arange(48) + 0.5) / 48
    middle = [(picture.sum(axis) @ line) / picture.sum() for axis in (0, 1)]
    np.testing.assert_allclose(middle, places[0, 0], atol=1e-3)


def test_a_glimpse_is_the_part_of_the_picture_about_the_object():
    rng = np.random.default_rng(0)
    pictures = rng.random((2, 3, 20, 20)).astype(np.float32)
    places = torch.tensor([[(8 + 0.5) / 20, (11 + 0.5) / 20], [(0 + 0.5) / 20, (19 + 0.5) / 20]])
    seen = cut(torch.as_tensor(pictures), places, 5).numpy()
    np.testing.assert_allclose(seen[0], pictures[0, :, 9:14, 6:11], atol=1e-5)
    np.testing.assert_allclose(seen[1, :, :3, 2:], pictures[1, :, 17:, :3], atol=1e-5)
    np.testing.assert_allclose(seen[1, :, 3:], -1.0, atol=1e-5)  # outside
    np.testing.assert_allclose(seen[1, :, :, :2], -1.0, atol=1e-5)
    between = cut(torch.as_tensor(pictures[:1]), places[:1] + 0.5 / 20, 1).numpy()[0, :, 0, 0]
    np.testing.assert_allclose(between, pictures[0, :, 11:13, 8:10].mean((1, 2)), atol=1e-5)


def films(count, steps, rng):
    """Disks that turn round at the picture's edge, on their own."""
    at, v = rng.uniform(0.2, 0.8, (count, 1, 2)), rng.uniform(-0.03, 0.03, (count, 1, 2))
    places = []
    for _ in range(steps + 1):
        places.append(at)
        v = np.where((at + v < 0.1) | (at + v > 0.9), -v, v)
        at = at + v
    return np.stack(places, 1)


def test_walls_are_seen_in_glimpses():
    """Straight on, which is all that is known at first, objects leave the picture."""
    rng = np.random.default_rng(1)
    P = films(80, 30, rng)
    V, F = paint(P, 24, 0.1), np.zeros((80, 30, 1, 2))
    model = ObjectGlimpses(side=24, radius=0.1, size=9, ahead=2, steps=400, batch=96)
    model.fit(V, P, F, rng)
    test = films(40, 18, np.random.default_rng(2))
    told = model.imagine(
        paint(test[:, :FRAMES], 24, 0.1), test[:, :FRAMES], np.zeros((40, 15, 1, 2))
    )
    true = test[:, FRAMES - 1 :]
    straight = true[:, :1] + np.arange(16)[:, None, None] * (
        true[:, :1] - test[:, FRAMES - 2, None]
    )
    error, base = (np.linalg.norm(a - true, axis=-1).mean() for a in (told, straight))
    assert error < 0.5 * base


def test_films_that_are_too_short_are_refused():
    P = films(2, 5, np.random.default_rng(3))
    with pytest.raises(InputError, match="9 frames or more"):
        ObjectGlimpses(side=24).fit(
            paint(P, 24, 0.1), P, np.zeros((2, 5, 1, 2)), np.random.default_rng(0)
        )
