"""The drawn worlds that encoders are judged in: what is drawn is where the labels say, and only what
is driven follows the actions.
"""

import numpy as np
import pytest

from benchmarks.drawn import disks, driven, navigation, pendulum


def centres(pictures, weigh):
    """The centres, in [-1, 1], of what `weigh` (a function of colours) finds, in pictures."""
    w = np.clip(weigh(pictures / 255), 0, None)
    line = np.linspace(-1, 1, pictures.shape[-2])
    total = w.sum((-1, -2))
    return np.stack([(w.sum(-2) * line).sum(-1), (w.sum(-1) * line).sum(-1)], -1) / total[..., None]


def test_a_disk_covers_its_area_and_lies_at_its_place():
    places = np.array([[[0.3, -0.2]], [[-0.41, 0.37]]])
    white = disks(places, np.ones((1, 3)), np.array([0.4]), 32, ground=0.0)
    np.testing.assert_allclose(centres(white, lambda p: p[..., 0]), places[:, 0], atol=0.01)
    area = (white[..., 0] / 255).sum((1, 2)) * (2 / 31) ** 2
    np.testing.assert_allclose(area, np.pi * 0.4**2, rtol=0.03)


def test_what_is_driven_goes_where_it_is_sent_and_the_other_does_not():
    clips = driven(40, 10, np.random.default_rng(0))
    blue = centres(clips.pictures, lambda p: p[..., 2] - p[..., 0] - 0.1)
    alone = np.linalg.norm(clips.labels[..., :2] - clips.labels[..., 2:], axis=-1) > 0.5
    np.testing.assert_allclose(blue[alone], clips.labels[..., :2][alone], atol=0.03)
    moved = np.diff(clips.labels, axis=1)
    free = (np.abs(clips.labels[:, 1:, :2]) < 0.79).all(-1)
    np.testing.assert_allclose(moved[..., :2][free], 0.2 * clips.u[free], atol=1e-12)
    assert abs(np.corrcoef(moved[..., 2].ravel(), clips.u[..., 0].ravel())[0, 1]) < 0.15


def test_the_robot_is_paid_in_its_corner_and_pays_at_walls():
    clips = navigation(60, 12, np.random.default_rng(0))
    place = clips.labels[:, 1:]
    corner = (place > 0.45).all(-1)
    assert (clips.reward[corner] > 5).all()
    assert (clips.reward[~corner] <= 0).all()
    assert {tuple(u) for u in clips.u.reshape(-1, 2)} <= {
        (a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)
    }


def test_the_pendulum_keeps_its_energy_but_for_drag_and_torque():
    clips = pendulum(20, 40, np.random.default_rng(0))
    angle, rate = clips.labels[..., 0], clips.labels[..., 1]
    energy = 0.5 * rate**2 - 5.0 * np.cos(angle)
    power = (8.0 * clips.u[..., 0] - 0.3 * rate[:, :-1]) * (rate[:, :-1] + rate[:, 1:]) / 2
    gained = np.diff(energy, axis=1)
    assert np.corrcoef(gained.ravel(), 0.05 * power.ravel())[0, 1] > 0.97
    assert np.abs(gained - 0.05 * power).mean() == pytest.approx(0.0, abs=0.06)
