"""Angles as features, and the products of a Gaussian process that many points are asked by."""

import numpy as np
import pytest

from dynamics import GaussianProcess, Network
from dynamics.features import Featured
from dynamics.gp.gaussian_process import _kernel
from lqr import InputError


def turning(M, seed=0, turns=0.0):
    """x = [angle, speed]: a pendulum's change, the same after each turn."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.uniform(-3, 3, M), rng.uniform(-2, 2, M)])
    u = rng.uniform(-1, 1, (M, 1))
    change = np.column_stack([0.1 * x[:, 1], -0.5 * np.sin(x[:, 0]) + 0.2 * u[:, 0]])
    x = x + np.array([2 * np.pi * turns, 0.0])
    return x, u, x + change


def fitted(**more):
    model = Featured(GaussianProcess(reject_outliers=False, **more), (0,))
    model.fit(*turning(80), np.random.default_rng(0))
    return model


def test_a_model_of_features_knows_the_next_turn():
    model, (x, u, after) = fitted(), turning(30, seed=1, turns=3)
    np.testing.assert_allclose(model.predict(x, u).mean, after, atol=0.01)
    np.testing.assert_allclose(model.mean(x, u), model.predict(x, u).mean, atol=1e-9)


@pytest.mark.parametrize("angles", [(0,), (0, 1), ()])
@pytest.mark.parametrize("kind", [GaussianProcess, lambda: Network((8,), 50)])
def test_the_tangent_is_that_of_differences(kind, angles):
    model, (x, u, after) = Featured(kind(), angles), turning(40)
    model.fit(x, u, after, np.random.default_rng(0))
    x, u, h = x[:5], u[:5], 1e-4
    found = model.linearise(x, u).jacobian
    np.testing.assert_allclose(model.jacobian(x, u), found, atol=1e-6)
    for i, move in enumerate(h * np.eye(3)):
        up, down = (model.predict(x + s * move[:2], u + s * move[2:]).mean for s in (1, -1))
        np.testing.assert_allclose(found[..., i], (up - down) / (2 * h), atol=2e-3)


@pytest.mark.parametrize("slope", [True, False])
def test_the_variance_as_a_product_is_that_of_the_triangular_systems(slope):
    model, (x, u, _) = fitted(slope=slope, signal_to_noise=300.0), turning(2500, seed=2)
    mean, var = model.marginals(x, u)
    expected, cov = model.predict(x, u)
    np.testing.assert_allclose(mean, expected, atol=1e-9)
    np.testing.assert_allclose(var, np.diagonal(cov, axis1=1, axis2=2), atol=1e-9)


def test_the_variance_is_that_of_the_textbook_where_every_transition_is_an_inducing_point():
    """Rasmussen & Williams 2006, equation 2.26, by a dense solve."""
    rng = np.random.default_rng(3)
    x, u = rng.uniform(-2, 2, (25, 1)), rng.uniform(-1, 1, (25, 1))
    model = GaussianProcess(slope=False, signal_to_noise=20.0, reject_outliers=False)
    model.fit(x, u, x + np.sin(2 * x) + u + 0.1 * rng.normal(size=x.shape), rng)
    units, theta, points = model.normaliser, model.theta[0], model.points
    assert len(points) == 25
    at = rng.uniform(-2, 2, (7, 2))
    z = (at - units.mean) * units.inverse_std
    k, noise = _kernel(theta, z, points), np.exp(theta[-1])
    K = _kernel(theta, points, points) + noise * np.eye(25)
    expected = np.exp(theta[0]) - np.diag(k @ np.linalg.solve(K, k.T)) + noise
    found = model.marginals(at[:, :1], at[:, 1:])[1][:, 0] / units.change_std**2
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_signal_is_not_much_larger_than_the_bound_lets_it():
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-2, 2, (60, 1)), rng.uniform(-1, 1, (60, 1))
    ratio = {}
    for bound in (0.0, 100.0):
        model = GaussianProcess(slope=False, signal_to_noise=bound)
        model.fit(x, u, x + np.sin(2 * x) + u, rng)
        ratio[bound] = float(np.exp(0.5 * (model.theta[0, 0] - model.theta[0, -1])))
    assert ratio[0.0] > 1000  # exact data
    assert ratio[100.0] < 130


def test_what_is_saved_comes_back(tmp_path):
    model, (x, u, _) = fitted(slope=False, signal_to_noise=300.0), turning(9, seed=4)
    model.model.save(tmp_path / "gp")
    again = Featured(GaussianProcess.load(tmp_path / "gp"), (0,))
    for now, before in zip(again.marginals(x, u), model.marginals(x, u), strict=True):
        np.testing.assert_array_equal(now, before)
    assert not again.model.slope


def test_an_angle_that_is_no_coordinate_is_refused():
    with pytest.raises(InputError, match="coordinates of x, 0 to 1"):
        Featured(GaussianProcess(), (2,)).mean(np.zeros(2), np.zeros(1))
