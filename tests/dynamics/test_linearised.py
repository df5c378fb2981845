"""Global models as priors by their tangents."""

import numpy as np
import pytest

from dynamics import Ensemble, GaussianProcess, Linearised, Network, Tangent, fit_linear_gaussian
from dynamics.storage.tree import load_tree, save_tree
from lqr import Gaussian

G = np.array([[0.1, 0.5, -0.2], [0.0, -0.3, 0.4]])  # change of state (2) per [x; u] (2 + 1)


class Known:
    """A user's own model, which knows everything and need not learn: x' = x + G [x; u] + bend."""

    def fit(self, x, u, xnext, rng):
        self.seen, self.drawn = len(x), rng.random()

    def predict(self, x, u):
        mean, _, noise = self.linearise(x, u)
        return Gaussian(mean, noise)

    def sample(self, x, u, rng):
        return self.predict(x, u).mean

    def linearise(self, x, u):
        z = np.concatenate([x, u], -1)
        J = np.broadcast_to(G, (*x.shape, 3)).copy()
        J[..., 1, 0] += np.cos(x[..., 0])
        mean = x + z @ G.T
        mean[..., 1] += np.sin(x[..., 0])
        J[..., range(2), range(2)] += 1.0
        return Tangent(mean, J, np.broadcast_to(0.01 * np.eye(2), (*x.shape, 2)))

    def state(self):
        return {}

    def load_state(self, state):
        pass


class Divided(Known):
    """Its five members disagree, by more the larger x is."""

    def tangents(self, x, u):
        scatter = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])[:, None, None, None, None]
        return self.linearise(x, u).jacobian + scatter * np.exp(x[..., :1])[..., None]


def transitions(rng, M):
    x, u = rng.normal(size=(M, 2)), rng.normal(size=(M, 1))
    return x, u, Known().linearise(x, u).mean + 0.01 * rng.normal(size=(M, 2))


def coefficients(guess):
    cov = guess.Phi / guess.n0[..., None, None]
    return np.swapaxes(np.linalg.solve(cov[..., :3, :3], cov[..., :3, 3:]), -1, -2)


def test_the_prior_has_the_models_tangent_mean_and_noise_even_where_the_samples_coincide():
    rng = np.random.default_rng(0)
    prior = Linearised(Known())
    prior.update(*(data := transitions(rng, 200)))
    x = np.repeat(rng.normal(size=(2, 4, 1, 2)), 3, 2)
    u = np.repeat(rng.normal(size=(2, 4, 1, 1)), 3, 2)
    guess = prior.at(x, u, x)
    mean, J, noise = Known().linearise(x[:, :, 0], u[:, :, 0])
    np.testing.assert_allclose(coefficients(guess), J - np.eye(2, 3), atol=1e-10)
    np.testing.assert_allclose(guess.mean[..., :3], np.concatenate([x, u], -1)[:, :, 0], atol=1e-12)
    np.testing.assert_allclose(guess.mean[..., 3:], mean - x[:, :, 0], atol=1e-12)
    cov = guess.Phi / guess.n0[..., None, None]
    np.testing.assert_allclose(
        cov[..., :3, :3][0, 0], np.cov(np.hstack(data[:2]).T, bias=True), rtol=1e-4
    )
    explained = coefficients(guess) @ cov[..., :3, 3:]
    np.testing.assert_allclose(cov[..., 3:, 3:] - explained, noise, atol=1e-10)
    assert (guess.n0 == 1).all()


def test_two_samples_and_a_known_model_give_the_right_local_model():
    rng = np.random.default_rng(1)
    prior = Linearised(Known())
    prior.update(*transitions(rng, 200))
    x = rng.normal(size=(3, 1, 6, 2)) + 0.01 * rng.normal(size=(3, 2, 6, 2))
    u = rng.normal(size=(3, 2, 5, 1))
    for t in range(5):
        x[:, :, t + 1] = Known().linearise(x[:, :, t], u[:, :, t]).mean
    fit = fit_linear_gaussian(x, u, prior).dynamics
    wanted = Known().linearise(x[:, :, :-1].mean(1), u.mean(1)).jacobian
    np.testing.assert_allclose(fit.F, wanted, atol=0.1)


def test_where_the_members_agree_the_prior_is_stronger():
    prior = Linearised(Divided())
    prior.update(*transitions(np.random.default_rng(2), 50))
    x = np.linspace(-1, 1, 8).reshape(1, 8, 1, 1) * np.ones(2)
    strength = prior.at(x, np.zeros((1, 8, 1, 1)), x).n0[0]
    assert (np.diff(strength) < 0).all()
    np.testing.assert_allclose(np.log(strength).mean(), 0.0, atol=1e-10)
    # the disagreement's variance grows as exp(2 x), and the strength falls as one over it
    np.testing.assert_allclose(strength[:-1] / strength[1:], np.exp(4 / 7), rtol=1e-6)


def test_the_relative_strength_is_bounded():
    prior = Linearised(Divided(), max_strength=10.0)
    prior.update(*transitions(np.random.default_rng(3), 50))
    x = np.linspace(-20, 20, 9).reshape(1, 9, 1, 1) * np.ones(2)
    strength = prior.at(x, np.zeros((1, 9, 1, 1)), x).n0
    assert strength.min() >= 0.1 - 1e-12
    assert strength.max() <= 10 + 1e-12


def test_units_do_not_change_the_strength():
    x = np.linspace(-1, 1, 4).reshape(1, 4, 1, 1) * np.ones(2)
    strengths = []
    for k in (1.0, 1000.0):

        class Scaled(Divided):
            def linearise(self, x, u, k=k):
                mean, J, noise = super().linearise(x / k, u)
                J[..., :, 2:] *= k
                return Tangent(mean * k, J, noise * k**2)

            def tangents(self, x, u, k=k):
                both = np.array([1 / k, 1 / k, 1.0])
                return Divided().tangents(x / k, u) * k * both

        prior = Linearised(Scaled())
        data = transitions(np.random.default_rng(4), 50)
        prior.update(data[0] * k, data[1], data[2] * k)
        strengths.append(prior.at(x * k, np.zeros((1, 4, 1, 1)), x * k).n0)
    np.testing.assert_allclose(*strengths, rtol=1e-6)


def test_the_model_learns_from_everything_so_far_with_numbers_of_its_own():
    rng = np.random.default_rng(5)
    prior = Linearised(Known(), seed=3)
    prior.update(*transitions(rng, 20))
    first = prior.model.drawn
    prior.update(*transitions(rng, 7))
    assert prior.model.seen == 27
    assert prior.model.drawn != first


@pytest.mark.parametrize(
    "model",
    [
        Network(hidden=(8,), steps=40),
        Ensemble(hidden=(8,), steps=40),
        GaussianProcess(subset=30, inducing=40),
    ],
    ids=lambda model: model.word,
)
def test_a_resumed_prior_is_an_uninterrupted_one(model, tmp_path):
    from copy import deepcopy

    rng = np.random.default_rng(6)
    parts = [transitions(rng, 60) for _ in range(3)]
    through, again = Linearised(deepcopy(model)), Linearised(deepcopy(model))
    for i, part in enumerate(parts):
        through.update(*part)
        if i == 1:
            save_tree(tmp_path / "prior", through.state())
    again.load_state(load_tree(tmp_path / "prior")[0])
    again.update(*parts[2])
    x, u = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(2, 3, 4, 1))
    for a, b in zip(through.at(x, u, x), again.at(x, u, x), strict=True):
        assert np.array_equal(a, b)
