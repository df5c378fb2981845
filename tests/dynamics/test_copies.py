"""Rows that come several times tell no more than once: nothing is held out whose copy was seen."""

import numpy as np
import pytest

from dynamics import Ensemble, GaussianProcess, Network
from dynamics.copies import first_of_copies
from dynamics.gp.gaussian_process import BOUNDS
from dynamics.priors.density import Density

NOISE = 0.1


def noisy(rng, M):
    """Returns x, u, x' of a system with a sine, and noise of 0.1."""
    x, u = rng.uniform(-2, 2, size=(M, 2)), rng.uniform(-1, 1, size=(M, 1))
    change = np.column_stack([np.sin(2 * x[:, 1]), 0.3 * x[:, 0] + u[:, 0]])
    return x, u, x + change + NOISE * rng.standard_normal((M, 2))


def repeated(data, times):
    return [np.tile(a, (times, 1)) for a in data]


def test_copies_are_found_as_a_plain_search_finds_them():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (200, 3)).astype(float), rng.integers(0, 2, (200, 1)) * -0.0
    both = np.concatenate([a, b], 1)
    plain = [next(j for j in range(200) if (both[j] == both[i]).all()) for i in range(200)]
    assert first_of_copies(a, b).tolist() == plain
    assert first_of_copies(rng.standard_normal((50, 2))).tolist() == list(range(50))


@pytest.mark.parametrize("order", ["one after the other", "episode by episode", "two fits"])
def test_z_scores_of_a_network_off_rows_repeated_ten_times_have_spread_near_one(order):
    rng = np.random.default_rng(1)
    once = noisy(rng, 60)
    model = Network(steps=600)
    if order == "two fits":
        model.fit(*once, np.random.default_rng(0))
    data = (
        [np.repeat(a, 10, axis=0) for a in once]
        if order == "one after the other"
        else repeated(once, 10)
    )
    model.fit(*data, np.random.default_rng(0))
    x, u, xnext = noisy(rng, 1000)
    told = model.predict(x, u)
    score = (xnext - told.mean) / np.sqrt(np.diagonal(told.cov, axis1=1, axis2=2))
    assert (score.std(0) > 0.4).all()
    assert (score.std(0) < 2.5).all()


@pytest.mark.parametrize("unroll", [1, 4])
@pytest.mark.parametrize("kind", [Network, Ensemble])
def test_no_copy_of_a_row_to_train_on_is_held_out(kind, unroll):
    rng = np.random.default_rng(2)
    model, once = kind(hidden=(8,), steps=2, unroll=unroll), noisy(rng, 90)
    for data in (once, repeated(once, 3), [np.tile(a, (4, 1))[:300] for a in once]):
        model.fit(*data, np.random.default_rng(0))
        held = model.held.reshape(-1, 90) if len(model.held) % 90 == 0 else model.held[None]
        assert (held == held[0]).all()
        assert not model.held[model.rows].any()
    assert 5 < held[0][:90].sum() < 30


def test_data_without_copies_are_drawn_as_they_were():
    """The draws as they stand in numpy's own terms, for two rounds of 150 and 100 rows."""
    rng, data = np.random.default_rng(3), noisy(np.random.default_rng(4), 250)
    model = Network(hidden=(8,), steps=1)
    wanted = np.zeros(250, bool)
    wanted[rng.permutation(150)[:30]] = True
    model._draw(np.arange(150), np.random.default_rng(3))
    assert np.array_equal(model.held, wanted[:150])
    wanted[150 + rng.permutation(100)[:10]] = True
    draws = np.random.default_rng(3)
    model = Network(hidden=(8,), steps=1)
    model._draw(first_of_copies(data[0][:150]), draws)
    model._draw(first_of_copies(data[0]), draws)
    assert np.array_equal(model.held, wanted)
    assert np.array_equal(model.rows, np.flatnonzero(~wanted)[None])


def test_copies_do_not_tell_a_gaussian_process_that_there_is_no_noise():
    once = noisy(np.random.default_rng(5), 100)
    models = [GaussianProcess(subset=200), GaussianProcess(subset=200)]
    for model, times in zip(models, (1, 10), strict=True):
        model.fit(*repeated(once, times), np.random.default_rng(0))
    noise = np.exp(0.5 * models[1].theta[:, -1]) * models[1].normaliser.change_std
    assert (noise > 0.5 * NOISE).all()
    assert (noise < 2 * NOISE).all()
    assert (np.exp(models[1].theta[:, -1]) > 10 * BOUNDS["noise"][0]).all()
    x, u, _ = noisy(np.random.default_rng(6), 50)
    gap = models[0].mean(x, u) - models[1].mean(x, u)
    assert np.abs(gap).max() < 1e-3  # copies say no more than the rows themselves


def test_copies_do_not_give_a_mixture_more_components():
    z = np.random.default_rng(7).standard_normal((60, 4))
    once, tenfold, alike = Density(), Density(), Density()
    once.add(z)
    tenfold.add(np.tile(z, (10, 1)))
    assert len(tenfold.weights) <= len(once.weights)
    alike.add(np.ones((40, 4)))  # a robot that rests
    assert len(alike.weights) == 1
