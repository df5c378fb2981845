"""The prior of the last fits: it helps where the world stays, and is never its own evidence."""

import numpy as np
import pytest

from dynamics import FlatPrior, PreviousPrior, fit_linear_gaussian, one_step_error

DX, DU, T, C = 4, 2, 20, 2


def episodes(rng, A, B, N):
    x, u = np.zeros((C, N, T + 1, DX)), rng.normal(size=(C, N, T, DU))
    x[:, :, 0] = rng.normal(size=(C, N, DX))
    for t in range(T):
        x[:, :, t + 1] = x[:, :, t] @ A.T + u[:, :, t] @ B.T + 0.01 * rng.normal(size=(C, N, DX))
    return x, u


def transitions(x, u):
    return x[:, :, :-1].reshape(-1, DX), u.reshape(-1, DU), x[:, :, 1:].reshape(-1, DX)


def steps(x, u):
    return tuple(np.swapaxes(a, 1, 2) for a in (x[:, :, :-1], u, x[:, :, 1:]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_on_a_system_that_stays_it_is_better_than_no_prior(seed):
    rng, errors = np.random.default_rng(seed), {}
    A = 0.9 * np.eye(DX) + 0.1 * rng.normal(size=(DX, DX))
    B, rounds = rng.normal(size=(DX, DU)), []
    rounds = [episodes(rng, A, B, 3) for _ in range(5)]
    test = episodes(rng, A, B, 50)
    for prior in (PreviousPrior(), FlatPrior()):
        for x, u in rounds:
            prior.update(*transitions(x, u))
            fit = fit_linear_gaussian(x, u, prior)
        errors[type(prior)] = one_step_error(fit.dynamics, *test).model
    assert errors[PreviousPrior] < 0.02
    assert errors[PreviousPrior] < 0.1 * errors[FlatPrior]


def test_samples_are_no_prior_for_themselves():
    rng = np.random.default_rng(3)
    A, B = np.eye(DX), rng.normal(size=(DX, DU))
    first, second = episodes(rng, A, B, 3), episodes(rng, A, B, 3)
    prior = PreviousPrior()
    prior.update(*transitions(*first))
    alone = prior.at(*steps(*first))
    np.testing.assert_array_equal(alone.Phi, prior.at(*steps(*first)).Phi)
    informed = prior.at(*steps(*second))
    assert np.abs(informed.Phi - alone.Phi).max() > 0.1


def test_a_single_iteration_at_its_own_step_has_the_moments_of_its_samples():
    rng = np.random.default_rng(4)
    A, B = np.eye(DX), rng.normal(size=(DX, DU))
    (x, u), other = episodes(rng, A, B, 6), episodes(rng, A, B, 6)
    prior = PreviousPrior(discount=0.5, width=1e-3)  # no neighbours
    prior.update(*transitions(x, u))
    prior.at(*steps(x, u))
    guess = prior.at(*steps(*other))
    z = np.concatenate([x[:, :, :-1], u, np.diff(x, axis=2)], -1)
    everything = z.reshape(-1, z.shape[-1])
    np.testing.assert_allclose(guess.mean, z.mean(1), atol=1e-12)
    here = z[1, :, 5]
    scatter = (here - here.mean(0)).T @ (here - here.mean(0))
    expected = (np.cov(everything.T, bias=True) + 0.5 * scatter) / (1 + 0.5 * 6)
    np.testing.assert_allclose(guess.Phi[1, 5], expected, atol=1e-9)
