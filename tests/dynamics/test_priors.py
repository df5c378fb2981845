"""The prior global models: one contract for every word, then the mixture's and the flat prior's own
promises.
"""

from copy import deepcopy

import numpy as np
import pytest

from dynamics import (
    PRIORS,
    Ensemble,
    FlatPrior,
    GaussianMixturePrior,
    Linearised,
    Network,
    fit_linear_gaussian,
    make_prior,
)
from dynamics.storage.tree import load_tree, save_tree
from lqr import InputError

DX, DU = 2, 1


@pytest.fixture(autouse=True)
def _brief_training(monkeypatch):
    monkeypatch.setitem(PRIORS, "nn", lambda: Linearised(Network(hidden=(16,), steps=60)))
    monkeypatch.setitem(PRIORS, "ensemble", lambda: Linearised(Ensemble(hidden=(16,), steps=60)))


D = 2 * DX + DU


def transitions(rng, M):
    """A pendulum-like map, so that one Gaussian is not enough."""
    x, u = rng.uniform(-3, 3, size=(M, DX)), rng.normal(size=(M, DU))
    change = 0.1 * np.column_stack([x[:, 1], np.sin(2 * x[:, 0]) + u[:, 0]]) + 0.01 * rng.normal(
        size=(M, DX)
    )
    return x, u, x + change


class World:
    """The map's own law, for the priors that ask the task for a simulator."""

    name, parameters = "world", ("stiffness",)

    def __init__(self):
        self.simulator = self

    def __call__(self, x, u, factors):
        return x + 0.1 * np.column_stack([x[:, 1], factors[:, 0] * np.sin(2 * x[:, 0]) + u[:, 0]])


def at(prior, x, u, xnext, C=2, T=3):
    return prior.at(*(a[: C * T * 4].reshape(C, T, 4, -1) for a in (x, u, xnext)))


@pytest.mark.parametrize("word", PRIORS)
def test_every_prior_gives_a_gaussian_for_every_step(word):
    data = transitions(np.random.default_rng(0), 300)
    prior = make_prior(word, World())
    prior.update(*data)
    guess = at(prior, *data)
    assert guess.mean.shape == (2, 3, D)
    assert guess.Phi.shape == (2, 3, D, D)
    assert guess.m.shape == guess.n0.shape == (2, 3)
    np.testing.assert_allclose(guess.Phi, guess.Phi.swapaxes(-1, -2), atol=1e-12)
    assert np.linalg.eigvalsh(guess.Phi).min() > 0
    assert (guess.n0 > 0).all()
    assert (guess.m > 0).all()


@pytest.mark.parametrize("word", PRIORS)
def test_a_restored_prior_says_and_learns_exactly_the_same(word, tmp_path):
    rng = np.random.default_rng(1)
    first, second = transitions(rng, 200), transitions(rng, 50)
    prior = make_prior(word, World())
    prior.update(*first)
    save_tree(tmp_path / "prior", prior.state())
    again = make_prior(word, World())
    again.load_state(load_tree(tmp_path / "prior")[0])
    for _ in range(2):  # as it is, and after learning more
        for a, b in zip(at(prior, *first), at(again, *first), strict=True):
            assert np.array_equal(a, b)
        prior.update(*second)
        again.update(*second)


@pytest.mark.parametrize("word", PRIORS)
def test_the_state_of_a_prior_that_has_seen_nothing_restores_too(word):
    data = transitions(np.random.default_rng(2), 60)
    prior, again = make_prior(word, World()), make_prior(word, World())
    again.load_state(prior.state())
    for p in (prior, again):
        p.update(*data)
    for a, b in zip(at(prior, *data), at(again, *data), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("word", PRIORS)
def test_a_state_does_not_change_when_the_prior_learns_on(word):
    rng = np.random.default_rng(3)
    prior = make_prior(word, World())
    prior.update(*transitions(rng, 100))
    state = prior.state()
    kept = deepcopy(state)
    prior.update(*transitions(rng, 100))
    np.testing.assert_equal(state, kept)


@pytest.mark.parametrize("word", PRIORS)
@pytest.mark.parametrize("M", [1, 2, 7])
def test_a_handful_of_transitions_is_enough_to_begin(word, M):
    data = transitions(np.random.default_rng(4), M)
    prior = make_prior(word, World())
    prior.update(*data)
    guess = prior.at(*(a.reshape(1, M, 1, -1) for a in data))
    assert np.isfinite(guess.Phi).all()


def test_an_unknown_word_is_refused_with_the_choices():
    with pytest.raises(InputError, match=r"prior is 'gnn'; expected one of flat, gmm"):
        make_prior("gnn")


def test_a_prior_object_is_copied_so_that_two_trainings_do_not_share_what_they_learn():
    prior = FlatPrior()
    mine = make_prior(prior)
    mine.update(np.ones((3, 2)), np.ones((3, 1)), np.ones((3, 2)))
    assert isinstance(mine, FlatPrior)
    assert (mine.count, prior.count) == (3, 0)


@pytest.mark.parametrize("word", PRIORS)
def test_transitions_of_another_size_are_refused(word):
    data = transitions(np.random.default_rng(16), 60)
    prior = make_prior(word, World())
    prior.update(*data)
    with pytest.raises(InputError, match="expected 5, as those before"):
        prior.update(np.zeros((3, 3)), np.zeros((3, 1)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="expected 5, as those it has seen"):
        prior.at(np.zeros((1, 1, 3, 3)), np.zeros((1, 1, 3, 1)), np.zeros((1, 1, 3, 3)))


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (3, "without update, at"),
        (FlatPrior, "a class"),
        (Network(), r"Linearised\(model\) makes a prior of a model"),
    ],
)
def test_an_object_that_is_no_prior_is_refused(thing, said):
    with pytest.raises(InputError, match=said):
        make_prior(thing)


def test_every_word_makes_a_new_prior_each_time():
    for word in PRIORS:
        assert make_prior(word, World()) is not make_prior(word, World())


def planted(rng, M, centres):
    """Well-separated clusters of [x; u; x' - x], as transitions, and which cluster each belongs
    to.
    """
    which = rng.integers(len(centres), size=M)
    z = centres[which] + 0.3 * rng.normal(size=(M, D))
    return (z[:, :DX], z[:, DX : DX + DU], z[:, :DX] + z[:, DX + DU :]), which


CENTRES = 8.0 * np.array(
    [[1, 0, 0, 0, 1], [-1, 1, 0, 0, 0], [0, 0, 1, -1, 0], [0, -1, -1, 0, -1], [1, 1, -1, 1, 0]]
)


def test_planted_clusters_are_found_again():
    data, which = planted(np.random.default_rng(5), 2000, CENTRES)
    prior = GaussianMixturePrior(em_steps=50)
    prior.update(*data)
    assert len(prior.weights) == 5
    means = prior.centre + prior.scale * prior.means
    nearest = np.argmin(((means[:, None] - CENTRES) ** 2).sum(-1), 0)
    assert sorted(nearest) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(means[nearest], CENTRES, atol=0.06)
    covs = prior.covs[nearest] * prior.scale[:, None] * prior.scale
    np.testing.assert_allclose(covs, np.broadcast_to(0.09 * np.eye(D), covs.shape), atol=0.02)
    np.testing.assert_allclose(prior.weights[nearest], np.bincount(which) / 2000, atol=1e-6)


def test_the_prior_of_a_step_has_the_moments_of_the_mixture_weighed_by_its_samples():
    rng = np.random.default_rng(6)
    data, _ = planted(rng, 1500, CENTRES * 0.15)  # overlapping
    prior = GaussianMixturePrior()
    prior.update(*data)
    K = len(prior.weights)
    assert K > 1
    guess = at(prior, *data)
    means = prior.centre + prior.scale * prior.means
    covs = prior.covs * prior.scale[:, None] * prior.scale
    z = np.concatenate([data[0], data[1], data[2] - data[0]], -1)[:24].reshape(2, 3, 4, D)
    from scipy.stats import multivariate_normal

    density = np.stack(
        [
            w * multivariate_normal(m, S).pdf(z)
            for w, m, S in zip(prior.weights, means, covs, strict=True)
        ],
        -1,
    )
    weight = (density / density.sum(-1, keepdims=True)).mean(2)
    for c in range(2):
        for t in range(3):
            counts = rng.multinomial(400_000, weight[c, t])
            draws = np.concatenate(
                [
                    rng.multivariate_normal(m, S, size=n)
                    for m, S, n in zip(means, covs, counts, strict=True)
                ]
            )
            np.testing.assert_allclose(guess.mean[c, t], draws.mean(0), atol=0.02)
            np.testing.assert_allclose(guess.Phi[c, t] / guess.n0[c, t], np.cov(draws.T), atol=0.03)


def test_the_log_likelihood_is_that_of_the_mixture_in_the_units_given():
    from scipy.stats import multivariate_normal

    data, _ = planted(np.random.default_rng(7), 600, CENTRES)
    prior = GaussianMixturePrior()
    prior.update(*data)
    z = np.concatenate([data[0], data[1], data[2] - data[0]], -1)
    means = prior.centre + prior.scale * prior.means
    covs = prior.covs * prior.scale[:, None] * prior.scale
    density = sum(
        w * multivariate_normal(m, S).pdf(z)
        for w, m, S in zip(prior.weights, means, covs, strict=True)
    )
    assert prior.log_likelihood(*data) == pytest.approx(np.log(density).mean())


def test_one_gaussian_is_not_split():
    rng = np.random.default_rng(8)
    z = rng.normal(size=(1500, D)) @ rng.normal(size=(D, D))
    prior = GaussianMixturePrior()
    prior.update(z[:, :DX], z[:, DX : DX + DU], z[:, :DX] + z[:, DX + DU :])
    assert len(prior.weights) <= 2


@pytest.mark.parametrize("M", [150, 1000])
def test_what_was_not_seen_is_nearly_as_probable_as_what_was(M):
    rng = np.random.default_rng(9)
    prior = GaussianMixturePrior()
    prior.update(*(seen := transitions(rng, M)))
    gap = prior.log_likelihood(*seen) - prior.log_likelihood(*transitions(rng, 3000))
    assert (
        gap < 1.5
    )  # nats, of five coordinates; twenty clusters of 150 points would exceed it many times


def test_the_mixture_explains_more_than_one_gaussian_where_the_world_bends():
    rng = np.random.default_rng(10)
    prior, test = GaussianMixturePrior(), transitions(rng, 2000)
    prior.update(*transitions(rng, 2000))
    z = np.concatenate([test[0], test[1], test[2] - test[0]], -1)
    single = -0.5 * (D * np.log(2 * np.pi) + np.linalg.slogdet(np.cov(z.T))[1] + D)
    assert prior.log_likelihood(*test) > single + 1.0


def test_the_window_forgets_the_oldest_transitions():
    rng = np.random.default_rng(11)
    prior = GaussianMixturePrior(window=300)
    prior.update(*planted(rng, 300, CENTRES[:1])[0])
    prior.update(*planted(rng, 300, CENTRES[1:2])[0])
    assert len(prior.z) == 300
    np.testing.assert_allclose(prior.z.mean(0), CENTRES[1], atol=0.1)


def test_an_update_keeps_the_mixture_in_the_units_of_the_world():
    rng = np.random.default_rng(12)
    prior = GaussianMixturePrior(em_steps=1)
    prior.update(*planted(rng, 1000, CENTRES + 50.0)[0])
    K = len(prior.weights)
    prior.update(
        *planted(rng, 400, CENTRES[:1] + 150.0)[0]
    )  # a warm start, with another centre and scale
    assert len(prior.weights) == K
    means = prior.centre + prior.scale * prior.means
    kept = [np.abs(means - centre).max(1).min() < 0.5 for centre in CENTRES + 50.0]
    assert sum(kept) == 4  # one component is drawn to the newcomers


def test_a_mixture_is_not_refitted_to_death_by_one_far_transition():
    rng = np.random.default_rng(13)
    x, u, xnext = transitions(rng, 500)
    prior = GaussianMixturePrior()
    prior.update(
        np.vstack([x, [[1e4, 1e4]]]), np.vstack([u, [[0.0]]]), np.vstack([xnext, [[1e4, 1e4]]])
    )
    guess = at(prior, x, u, xnext)
    assert np.isfinite(guess.Phi).all()
    assert np.linalg.eigvalsh(guess.Phi).min() > 0


def test_the_flat_prior_is_the_running_mean_and_variance_without_correlations():
    rng = np.random.default_rng(14)
    parts, prior = [transitions(rng, M) for M in (1, 30, 7)], FlatPrior()
    for part in parts:
        prior.update(*part)
    x, u, xnext = (np.concatenate(a) for a in zip(*parts, strict=True))
    z = np.concatenate([x, u, xnext - x], -1)
    guess = at(prior, x, u, xnext)
    np.testing.assert_allclose(guess.mean, np.broadcast_to(z.mean(0), (2, 3, D)), atol=1e-12)
    np.testing.assert_allclose(
        guess.Phi, np.broadcast_to(np.diag(z.var(0)), (2, 3, D, D)), atol=1e-10
    )


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_flat_prior_knows_no_units_and_sees_a_small_spread_far_from_zero(unit):
    rng = np.random.default_rng(17)
    x, u, xnext = transitions(rng, 40)
    x, xnext = (1e7 + x) * unit, (1e7 + xnext) * unit
    prior = FlatPrior()
    for part in (slice(0, 15), slice(15, 40)):
        prior.update(x[part], u[part], xnext[part])
    z = np.concatenate([x, u, xnext - x], -1)
    guess = at(prior, x, u, xnext)
    np.testing.assert_allclose(np.diagonal(guess.Phi[0, 0]), z.var(0), rtol=1e-6)


def test_the_mixture_predicts_better_than_the_flat_prior_from_five_samples():
    """A linear system, dims (6, 2), T 50, noise 0.01, 20 trajectories of history: the reference
    reached 0.028.
    """
    rng = np.random.default_rng(15)
    dx, du, T, N = 6, 2, 50, 5
    A = np.eye(dx) + 0.1 * rng.normal(size=(dx, dx))
    A *= 0.98 / np.abs(np.linalg.eigvals(A)).max()
    B = 0.1 * rng.normal(size=(dx, du))

    def simulate(count):
        x, u = np.zeros((1, count, T + 1, dx)), rng.normal(size=(1, count, T, du))
        x[:, :, 0] = 0.1 * rng.normal(size=(1, count, dx))
        for t in range(T):
            x[:, :, t + 1] = (
                x[:, :, t] @ A.T + u[:, :, t] @ B.T + 0.01 * rng.normal(size=(1, count, dx))
            )
        return x, u

    history, (x, u), (x_test, u_test) = simulate(20), simulate(N), simulate(50)
    errors = {}
    for word in ("flat", "gmm"):
        prior = make_prior(word)
        for hx, hu in (history, (x, u)):
            prior.update(
                hx[:, :, :-1].reshape(-1, dx), hu.reshape(-1, du), hx[:, :, 1:].reshape(-1, dx)
            )
        fit = fit_linear_gaussian(x, u, prior).dynamics
        xu = np.concatenate([x_test[:, :, :-1], u_test], -1)
        guess = np.einsum("ctij,cntj->cnti", fit.F, xu) + fit.f[:, None]
        errors[word] = np.sqrt(((guess - x_test[:, :, 1:]) ** 2).mean())
    assert errors["gmm"] <= 0.022
    assert errors["gmm"] < 0.5 * errors["flat"]
