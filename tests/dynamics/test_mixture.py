"""Expectation-maximisation against scikit-learn, component by component."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from dynamics.priors.em import (
    Mixture,
    features,
    fit_mixture,
    log_densities,
    maximise,
    responsibilities,
    start,
)


def points(rng, M=400, d=4, K=3):
    return 3 * rng.normal(size=(K, d))[rng.integers(K, size=M)] + rng.normal(
        size=(M, d)
    ) @ rng.normal(size=(d, d))


def begun(z, K, floor=1e-6):
    return start(z, features(z), K, floor, np.random.default_rng(0))


def test_log_densities_are_those_of_scikit_learn():
    z = points(np.random.default_rng(0))
    mixture = begun(z, 3)
    peer = GaussianMixture(3)
    peer.weights_, peer.means_, peer.covariances_ = mixture
    peer.precisions_cholesky_ = np.swapaxes(np.linalg.inv(np.linalg.cholesky(mixture.covs)), -1, -2)
    share, log_density = responsibilities(log_densities(features(z), mixture))
    np.testing.assert_allclose(log_density, peer.score_samples(z), atol=1e-9)
    np.testing.assert_allclose(share, peer.predict_proba(z), atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("steps", [1, 5])
def test_steps_are_those_of_scikit_learn(steps):
    z = points(np.random.default_rng(1))
    first = begun(z, 3)
    precisions = np.linalg.inv(first.covs)
    peer = GaussianMixture(
        3, max_iter=steps, tol=0.0, reg_covar=1e-6,
        weights_init=first.weights, means_init=first.means, precisions_init=precisions,
    ).fit(z)  # fmt: skip
    mine = fit_mixture(features(z), first, steps, 1e-6, tolerance=-1.0)
    np.testing.assert_allclose(mine.weights, peer.weights_, atol=1e-9)
    np.testing.assert_allclose(mine.means, peer.means_, atol=1e-8)
    np.testing.assert_allclose(mine.covs, peer.covariances_, atol=1e-8)


def test_every_step_makes_the_points_more_probable():
    z = points(np.random.default_rng(2))
    phi, mixture, scores = features(z), begun(z, 3, 1e-9), []
    for _ in range(15):
        scores.append(responsibilities(log_densities(phi, mixture))[1].mean())
        mixture = fit_mixture(phi, mixture, 1, 1e-9)
    assert np.all(np.diff(scores) > -1e-6)
    assert scores[-1] > scores[0]


def test_a_component_without_points_is_dropped():
    z = points(np.random.default_rng(3))
    share = np.zeros((len(z), 3))
    share[:, 0] = share[:, 2] = 0.5
    mixture = maximise(features(z), share, 1e-6)
    np.testing.assert_allclose(mixture.weights, [0.5, 0.5])
    np.testing.assert_allclose(mixture.means, np.tile(z.mean(0), (2, 1)))


def test_fewer_different_points_than_components_give_fewer_components():
    z = np.repeat(np.eye(3), 5, axis=0)
    mixture = begun(z, 8)
    assert isinstance(mixture, Mixture)
    assert len(mixture.weights) == 3
