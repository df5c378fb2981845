"""The probabilistic ensemble: noise that depends on the place, intervals of one and many steps,
bounded variances.
"""

import numpy as np
import pytest
import torch

from dynamics import Ensemble, propagate

QUIET, LOUD = 0.05, 0.3


def noise(x):
    """Standard deviation: small on the left, six times as large on the right."""
    return QUIET + (LOUD - QUIET) / (1 + np.exp(-6 * x[..., :1]))


def system(x, u, rng):
    """A bent map that stays within about 2 of 0."""
    mean = 0.9 * x + 0.2 * np.sin(2 * x[..., ::-1]) + 0.3 * u
    return mean + noise(x) * rng.standard_normal(x.shape)


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-2.5, 2.5, size=(3000, 2)), rng.uniform(-1, 1, size=(3000, 2))
    model = Ensemble(hidden=(32,), steps=2000, batch=128)  # trained less, errors of the mean add up
    model.fit(x, u, system(x, u, rng), rng)
    return model


def test_each_member_tells_how_loud_it_is_where(trained):
    x = np.column_stack([np.array([-2.0, -1.0, 1.0, 2.0]), np.zeros(4)])
    _, var = trained.members(x, np.zeros((4, 2)))
    found, wanted = np.sqrt(var).mean((0, 2)), noise(x)[:, 0]
    np.testing.assert_allclose(found[2:], wanted[2:], rtol=0.15)
    np.testing.assert_allclose(
        found[:2], wanted[:2], rtol=0.4
    )  # what it has not learned of the mean is in there, too


@pytest.mark.parametrize(("part", "side"), [("quiet", -1), ("loud", 1)])
def test_intervals_cover_unseen_transitions_as_often_as_they_say_on_either_side(
    part, side, trained
):
    rng = np.random.default_rng(1)
    x, u = rng.uniform(-2, 2, size=(4000, 2)), rng.uniform(-1, 1, size=(4000, 2))
    x[:, 0] = side * rng.uniform(0.8, 2.0, size=4000)
    mean, cov = trained.predict(x, u)
    gap = np.abs(system(x, u, rng) - mean) / np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    for wanted, width in ((0.5, 0.6745), (0.9, 1.645), (0.99, 2.576)):
        assert (gap < width).mean() == pytest.approx(wanted, abs=0.06)


@pytest.mark.parametrize("way", ["ts1", "tsinf"])
def test_trajectories_that_are_drawn_cover_unseen_episodes_over_the_horizon(way, trained):
    rng = np.random.default_rng(2)
    H, inside = 8, []
    for _ in range(60):
        x, U = rng.uniform(-1.5, 1.5, size=2), rng.uniform(-1, 1, size=(1, H, 2))
        drawn = propagate(trained, x, U, rng, way, 1000)[0]
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        real = np.tile(x, (20, 1))
        for t in range(H):
            real = system(real, U[0, t], rng)
            inside.append([t, ((low[t + 1] <= real) & (real <= high[t + 1])).mean()])
    inside = np.array(inside)
    for t in range(H):
        assert inside[inside[:, 0] == t, 1].mean() == pytest.approx(0.9, abs=0.08)


def test_log_variances_stay_between_their_bounds_however_far_from_the_data(trained):
    for scale in (1.0, 1e2, 1e4):
        z = scale * np.random.default_rng(0).normal(size=(500, 4))
        _, log = trained.heads_of(
            trained.params, torch.as_tensor(z, dtype=torch.float32).expand(5, -1, -1)
        )
        low, high = trained.params["low"], trained.params["high"]
        assert bool((log >= low).all())
        assert bool((log <= high + torch.nn.functional.softplus(low - high) + 1e-5).all())  # softly
    assert bool((trained.params["high"] < 0.5).all())  # they are drawn together as it learns
    assert bool((trained.params["low"] > -10.0).all())


def test_the_bootstrap_is_drawn_once_for_each_growth_of_the_data():
    """A second fit to the same data draws nothing; members differ in the data that they see, and
    keep to it.
    """
    rng = np.random.default_rng(3)
    x, u = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    after = system(x, u, rng)
    model = Ensemble(hidden=(8,), steps=30)
    model.fit(x[:200], u[:200], after[:200], rng)
    first = model.rows.copy()
    model.fit(x[:200], u[:200], after[:200], rng)
    np.testing.assert_array_equal(model.rows, first)
    model.fit(x, u, after, rng)
    np.testing.assert_array_equal(model.rows[:, : first.shape[1]], first)
    assert set(model.rows[:, first.shape[1] :].ravel()) <= set(range(200, 300))
    counts = np.array([np.bincount(row, minlength=300) for row in model.rows])
    assert np.corrcoef(counts)[np.triu_indices(5, 1)].max() < 0.5  # no two members see the same
