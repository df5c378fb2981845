"""Seeing: colours, points, painting and what codes are judged by, against algebra done otherwise."""

import numpy as np
import pytest
from drawn_pictures import disks, two_disks

from dynamics.networks.adam import CosineAdam
from dynamics.networks.modules import to_tensors
from dynamics.vision.colours import colours_of, rarity_of, raw_colours
from dynamics.vision.encoder import Batch, Clips
from dynamics.vision.encoders import ENCODERS, make_encoder
from dynamics.vision.inverse import Inverse
from dynamics.vision.judgement import (
    explained,
    memory_share,
    neighbours_error,
    principal,
    r_squared,
    read_out,
    spread,
    untrained,
)
from dynamics.vision.networks import Blobs, Keypoints, soft_argmax
from dynamics.vision.position_velocity import PositionVelocity
from dynamics.vision.priors import Priors
from lqr import CheckpointError, InputError


def test_white_colours_have_the_identity_as_their_covariance():
    rng = np.random.default_rng(0)
    mix = np.array([[40, 30, 30], [0, 12, -9], [10, 10, 15.0]])
    pictures = np.clip(128 + rng.normal(size=(50, 8, 8, 3)) @ mix, 0, 255).astype(np.uint8)
    white = colours_of(pictures).white(pictures).reshape(-1, 3).astype(float)
    gap = white - white.mean(0)
    np.testing.assert_allclose(gap.T @ gap / len(gap), np.eye(3), atol=0.03)


def test_raw_colours_are_in_units_of_a_quarter():
    picture = np.full((1, 8, 8, 3), 255, np.uint8)
    np.testing.assert_allclose(raw_colours((8, 8, 3)).white(picture), 2.0, rtol=1e-6)


def test_the_weights_of_colours_are_one_over_their_frequency():
    white = np.zeros((1, 10, 10, 2))
    white[0, 0, :5] = 40.0  # 5 of 100 pixels
    rarity = rarity_of(white, bounds=None)
    weights = rarity.weights(white)
    np.testing.assert_allclose(weights[0, 0, 0], 1 / (0.05 * 2))
    np.testing.assert_allclose(weights[0, 5, 5], 1 / (0.95 * 2))
    np.testing.assert_allclose(weights.mean(), 1.0, rtol=1e-5)
    assert rarity_of(white).weights(white).max() <= 30


def test_a_point_is_where_its_map_is_bright():
    import torch

    maps = torch.zeros(1, 2, 5, 9)
    maps[0, 0, 1, 6] = maps[0, 1, 4, 0] = 100.0
    expected = [[[6 / 4 - 1, 1 / 2 - 1], [-1.0, 1.0]]]
    np.testing.assert_allclose(soft_argmax(maps), expected, atol=1e-6)


def test_points_move_with_what_they_see():
    import torch

    network = Keypoints((24, 24, 1), points=1, channels=1, temperature=0.02)
    params = {name: 0 * a for name, a in network.start(np.random.default_rng(0)).items()}
    params["temperature"] = np.log([0.02])
    params["W0"][0, 0, 1:4, 1:4] = params["W1"][0, 0, 2, 2] = params["W2"][0, 0, 1, 1] = 1 / 3
    places = np.array([[[-0.2, 0.1]], [[-0.2 + 4 / 23, 0.1 - 8 / 23]]])  # 2 and 4 pixels
    pictures = disks(places, [(1.0, 1.0, 1.0)], [0.25], 24, (0.0, 0.0, 0.0))[..., :1] / 255
    with torch.no_grad():
        found = network(to_tensors(params), torch.as_tensor(pictures, dtype=torch.float32)).numpy()
    moved = (found[1] - found[0]) * 11 / 2  # pixels of the maps, two of the picture's each
    np.testing.assert_allclose(moved, [1.0, -2.0], atol=0.1)


def test_the_gradient_through_the_points_is_that_of_differences():
    import torch

    network, rng = Keypoints((8, 8, 2), points=2, channels=3), np.random.default_rng(1)
    start, white = network.start(rng), torch.as_tensor(rng.normal(size=(2, 8, 8, 2)))
    aim = torch.as_tensor(rng.normal(size=(2, 4)))

    def value(arrays):
        return ((network(to_tensors(arrays, dtype="float64"), white) - aim) ** 2).sum()

    params = to_tensors(start, grad=True, dtype="float64")
    ((network(params, white) - aim) ** 2).sum().backward()
    for name in ("temperature", "W0", "b1", "W2"):
        at, h = tuple(0 for _ in start[name].shape), 1e-6
        up, down = ({**start, name: start[name].copy()} for _ in range(2))
        up[name][at] += h
        down[name][at] -= h
        slope = float(value(up) - value(down)) / (2 * h)
        assert float(params[name].grad[at]) == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_a_bump_is_painted_where_its_point_is():
    import torch

    blobs, places = Blobs((20, 30, 3), points=2), torch.tensor([[0.2, -0.3, -0.5, 0.4]])
    bumps = blobs.bumps(places)
    share = (bumps / bumps.sum((2, 3), keepdim=True)).double()
    x = (share.sum(2) * torch.linspace(-1, 1, 30)).sum(-1)
    y = (share.sum(3) * torch.linspace(-1, 1, 20)).sum(-1)
    np.testing.assert_allclose(x, [[0.2, -0.5]], atol=1e-3)
    np.testing.assert_allclose(y, [[-0.3, 0.4]], atol=1e-3)
    np.testing.assert_allclose(bumps.amax((2, 3)), 1.0, atol=0.12)


def test_the_read_out_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    codes, labels = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(50, 2))
    ones = np.concatenate([codes, np.ones((50, 1))], 1)
    expected = ones @ np.linalg.lstsq(ones, labels, rcond=None)[0]
    np.testing.assert_allclose(read_out(codes, labels, 0.0)(codes), expected, atol=1e-9)
    r2 = 1 - ((expected - labels) ** 2).sum(0) / ((labels - labels.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(r_squared(expected, labels), r2, rtol=1e-9)


def test_a_code_of_places_alone_is_not_markov_and_one_with_speeds_is():
    rng = np.random.default_rng(0)
    u, x, v = rng.normal(size=(40, 20, 1)), [rng.normal(size=(40, 1))], [rng.normal(size=(40, 1))]
    for t in range(20):
        v.append(v[-1] + u[:, t])
        x.append(x[-1] + v[-1])
    place, speed = np.stack(x, 1), np.stack(v, 1)
    assert memory_share(place, u) > 0.99
    noisy = np.concatenate([place, speed], -1) + 0.01 * rng.normal(size=(40, 21, 2))
    assert memory_share(noisy, u) < 0.9  # noise of what is seen is averaged over two pictures


def test_neighbours_in_a_good_code_are_near_and_in_none_are_not():
    rng = np.random.default_rng(0)
    places = rng.uniform(size=(400, 2))
    assert neighbours_error(places @ np.array([[2.0, 1.0], [0.0, 3.0]]), places) < 0.05
    assert neighbours_error(rng.normal(size=(400, 2)), places) == pytest.approx(2.0, abs=0.2)


def test_the_effective_dimension_of_a_code_counts_what_varies():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(5000, 2))
    flat = np.concatenate([z, np.zeros((5000, 3))], 1)
    std, size = spread(flat)
    np.testing.assert_allclose(std, [1, 1, 0, 0, 0], atol=0.05)
    assert size == pytest.approx(2.0, abs=0.01)


def test_principal_components_are_those_of_the_singular_values():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 6)) + 5.0
    told = principal(codes)(codes)
    assert told.shape == (300, 3)
    values = np.linalg.svd(codes - codes.mean(0), compute_uv=False)[:3]
    np.testing.assert_allclose(np.cov(told.T), np.diag(values**2 / 299), atol=1e-9)
    np.testing.assert_allclose(told.mean(0), 0.0, atol=1e-9)
    assert principal(codes, count=2)(codes).shape == (300, 2)


def clips(word, count=60, seed=0):
    rng = np.random.default_rng(seed)
    pictures, places = two_disks(count, rng)
    frames = 5
    shape = count // frames, frames
    return Clips(
        pictures.reshape(*shape, *pictures.shape[1:]),
        rng.normal(size=(shape[0], frames - 1, 2)),
        places.reshape(*shape, 4),
        rng.normal(size=(shape[0], frames - 1)),
    )


def losses_by_hand():
    """Codes, actions and rewards of four steps, and the losses of the priors, pair by pair."""
    z = np.array([[[0.0, 0], [1, 0]], [[1, 1], [1, 3]], [[0, 2], [0, 2]], [[2, 2], [1, 2.0]]])
    u = np.array([0.0, 0, 1, 0])[:, None, None]
    reward = np.array([0.0, 5, 5, 0])[:, None]
    change, s = z[:, 1] - z[:, 0], z[:, 0]
    size, near = np.linalg.norm(change, axis=1), lambda i, j: np.exp(-((s[i] - s[j]) ** 2).sum())
    pairs = [(i, j) for i in (0, 1, 3) for j in (0, 1, 3) if i != j]
    other = [(i, j) for i, j in pairs if reward[i] != reward[j]]
    expected = (size**2).mean() + np.mean([near(i, j) for i, j in other])
    expected += 5 * np.mean([(size[i] - size[j]) ** 2 for i, j in pairs])
    gaps = [((change[i] - change[j]) ** 2).sum() for i, j in pairs]
    expected += 5 * np.mean([near(*pair) * gap for pair, gap in zip(pairs, gaps, strict=True)])
    return z, u, reward, expected


def test_the_priors_are_those_of_all_pairs_by_hand():
    import torch

    z, u, reward, expected = losses_by_hand()
    batch = Batch(None, *(torch.as_tensor(a) for a in (u, u, reward)))
    assert float(Priors().loss({}, torch.as_tensor(z), batch)) == pytest.approx(expected, rel=1e-5)


def test_positions_and_velocities_are_judged_as_by_hand():
    import torch

    p = np.array([[0.0, 1, 3], [2, 2, 1], [1, 0, 0]])[:, :, None]
    u = np.array([[0.0, 1], [0, -1], [0, 0]])[:, :, None]
    made = PositionVelocity(2.0, 0.1, 0.2, 0.3, 0.4)
    made.prepare(Clips(np.zeros((1, 2, 8, 8, 3), np.uint8), np.array([[[-1.0], [1.0]]])), None)
    v = 2.0 * np.diff(p[..., 0], axis=1)
    a = v[:, 1] - v[:, 0]
    cov = (u[:, 1, 0] * (a - a.mean())).mean()
    expected = np.exp(-np.abs(np.diff(p[:, 1, 0]))).mean() + 0.1 * np.abs(v).mean()
    expected += 0.2 * (a**2).mean() + 0.3 * ((np.abs(v[:, 1]) - np.abs(v[:, 0])) ** 2).mean()
    expected += 0.4 * np.exp(-cov)
    batch = Batch(None, torch.as_tensor(u), None, None)
    told = float(made.loss({}, torch.as_tensor(p), batch))
    assert told == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("steps", [1, 3])
def test_an_inverse_model_of_linear_codes_tells_the_action_to_the_noise(steps):
    """The code after k steps less that before is B u of the first of them, and no more is told."""
    import torch

    rng = np.random.default_rng(0)
    made, z = Inverse(2, 2, steps, hidden=16), rng.normal(size=(400, steps + 1, 2))
    u = rng.normal(size=(400, steps, 2))
    z[:, 1:] = z[:, :1] + u[:, :1]
    made.prepare(Clips(np.zeros((1, 2, 8, 8, 3), np.uint8), u), None)
    params = to_tensors(made.start(rng), grad=True)
    batch = Batch(None, torch.as_tensor(u, dtype=torch.float32), None, None)
    codes, adam = torch.as_tensor(z, dtype=torch.float32), CosineAdam(params.values(), 0.02, 150)
    first = float(made.loss(params, codes, batch).detach())
    for _ in range(150):
        adam.zero_grad()
        loss = made.loss(params, codes, batch)
        loss.backward()
        adam.step()
    assert first > 0.5
    assert float(loss.detach()) < 0.02


@pytest.mark.parametrize(
    ("word", "lacks", "message"),
    [
        ("inverse", {"u": None}, "got actions of shape None"),
        ("inverse", {"u": np.zeros((12, 4, 3))}, "expected"),
        ("priors", {"reward": None}, "no rewards that differ"),
        ("priors", {"reward": np.ones((12, 4))}, "no rewards that differ"),
        ("pve", {"u": None}, "got actions of shape None"),
        ("poses", {"labels": None}, "labels of a picture"),
    ],
)
def test_what_an_objective_lacks_is_told(word, lacks, message):
    made = make_encoder(word, (16, 16, 3), steps=1)
    with pytest.raises(InputError, match=message):
        made.fit(clips(word)._replace(**lacks), np.random.default_rng(0))


@pytest.mark.slow
def test_an_inverse_encoder_keeps_what_is_driven_and_not_what_wanders():
    rng = np.random.default_rng(0)
    u = rng.uniform(-1, 1, (150, 8, 2))
    start, wandering = rng.uniform(-0.5, 0.5, (150, 1, 2)), rng.uniform(-0.7, 0.7, (150, 9, 2))
    driven = start + np.concatenate([np.zeros((150, 1, 2)), 0.15 * np.cumsum(u, 1)], 1)
    places = np.stack([np.clip(driven, -0.8, 0.8), wandering], 2)
    colours = [(0.2, 0.5, 0.9), (0.9, 0.8, 0.2)]
    pictures = disks(places.reshape(-1, 2, 2), colours, [0.25, 0.25])
    data = Clips(pictures.reshape(150, 9, 16, 16, 3), u)
    made = make_encoder("inverse", (16, 16, 3), steps=250)
    made.fit(data, rng)
    codes, told = made(pictures), places.reshape(-1, 4)
    r2 = r_squared(read_out(codes[:900], told[:900])(codes[900:]), told[900:])
    assert r2[:2].min() > 0.9
    assert r2[2:].max() < 0.2


SMALL = {"poses": {"labels": 4, "points": 3}}


@pytest.mark.parametrize("word", ENCODERS)
def test_an_encoder_learns_the_same_from_the_same_numbers_and_is_restored(word):
    data, settings = clips(word), SMALL.get(word, {})
    made = make_encoder(word, (16, 16, 3), steps=6, batch=4, **settings)
    loss = made.fit(data, np.random.default_rng(1))
    assert np.isfinite(loss)
    codes = made(data.pictures)
    assert codes.shape == (12, 5, made.d)
    assert codes.dtype == float
    again = make_encoder(word, (16, 16, 3), steps=6, batch=4, **settings)
    again.fit(data, np.random.default_rng(1))
    assert np.array_equal(again(data.pictures), codes)
    other = make_encoder(word, (16, 16, 3), **settings)
    other.load_state(made.state())
    assert np.array_equal(other(data.pictures), codes)
    assert not np.array_equal(untrained(made, data, np.random.default_rng(1))(data.pictures), codes)
    broken = made.state()
    broken["params"].popitem()
    with pytest.raises(CheckpointError):
        other.load_state(broken)


@pytest.mark.parametrize("word", ENCODERS)
def test_an_encoder_refuses_what_it_cannot_see(word):
    made = make_encoder(word, (16, 16, 3), **SMALL.get(word, {}))
    with pytest.raises(InputError, match="learned nothing"):
        made(np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(InputError, match="expected"):
        made.fit(Clips(np.zeros((2, 16, 16, 3))), np.random.default_rng(0))


def test_an_unknown_encoder_is_told_the_words():
    with pytest.raises(InputError, match="points, autoencoder"):
        make_encoder("eyes", (16, 16, 3))


@pytest.mark.slow
def test_points_find_a_small_dull_disk_and_without_the_two_lines_they_lose_it():
    rng = np.random.default_rng(0)
    pictures, places = two_disks(900, rng)
    data, told = Clips(pictures[:700, None]), {}
    for cured in (True, False):
        made = make_encoder("points", (16, 16, 3), points=8, steps=300, rare=cured, whiten=cured)
        made.fit(data, np.random.default_rng(1))
        codes = made(pictures)
        reading = read_out(codes[:700], places[:700])
        told[cured] = r_squared(reading(codes[700:]), places[700:]), explained(made, pictures[700:])
    assert told[True][0].min() > 0.9
    assert told[False][0][2:].min() < 0.5
    assert told[True][1].weighted > 0.6
    assert told[False][1].weighted < told[True][1].weighted - 0.2
