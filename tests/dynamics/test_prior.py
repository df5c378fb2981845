"""The normal-inverse-Wishart posterior against sequential updates and sampling."""

import numpy as np
import pytest

from dynamics import NormalInverseWishart, posterior


def random_prior(rng, d, m=0.7, n0=2.5):
    A = rng.normal(size=(d, d))
    return NormalInverseWishart(rng.normal(size=d), A @ A.T + np.eye(d), np.array(m), np.array(n0))


def updated(prior, z):
    gap = z - z.mean(0)
    return posterior(prior, z.mean(0), gap.T @ gap, np.array(float(len(z))))


def test_the_posterior_is_the_closed_form_written_out():
    rng = np.random.default_rng(0)
    prior, z = random_prior(rng, 3), rng.normal(size=(5, 3))
    post = updated(prior, z)
    np.testing.assert_allclose(post.mean, (0.7 * prior.mean + z.sum(0)) / 5.7)
    # all pseudo-samples and samples as one quadratic form: Phi + sum z z' + m mu mu' = Phi_n + m_n
    # mu_n mu_n'
    total = (
        prior.Phi
        + z.T @ z
        + 0.7 * np.outer(prior.mean, prior.mean)
        - 5.7 * np.outer(post.mean, post.mean)
    )
    np.testing.assert_allclose(post.Phi, total, atol=1e-12)
    assert (post.m, post.n0) == (pytest.approx(5.7), pytest.approx(7.5))


def test_updating_sample_by_sample_equals_updating_at_once():
    rng = np.random.default_rng(1)
    prior, z = random_prior(rng, 4), rng.normal(size=(6, 4))
    step = prior
    for one in z:
        step = updated(step, one[None])
    for a, b in zip(step, updated(prior, z), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_the_expected_covariance_is_phi_over_n0():
    rng = np.random.default_rng(5)
    from scipy.stats import invwishart

    prior = random_prior(rng, 2, n0=6.0)
    draws = invwishart(df=float(prior.n0) + 2 + 1, scale=prior.Phi).rvs(200_000, random_state=rng)
    np.testing.assert_allclose(draws.mean(0), prior.Phi / prior.n0, rtol=0.03, atol=0.02)


def test_leading_axes_are_independent_problems_with_their_own_numbers_of_samples():
    rng = np.random.default_rng(6)
    priors = [random_prior(rng, 3) for _ in range(2)]
    samples = [rng.normal(size=(N, 3)) for N in (2, 5)]
    both = NormalInverseWishart(*(np.stack(a) for a in zip(*priors, strict=True)))
    means = np.array([z.mean(0) for z in samples])
    scatters = np.array([(z - z.mean(0)).T @ (z - z.mean(0)) for z in samples])
    post = posterior(both, means, scatters, np.array([2.0, 5.0]))
    for i in range(2):
        alone = updated(priors[i], samples[i])
        for a, b in zip(post, alone, strict=True):
            np.testing.assert_allclose(a[i], b, atol=1e-12)


def test_no_samples_leave_the_prior_as_it_is():
    prior = random_prior(np.random.default_rng(7), 3)
    post = posterior(prior, np.zeros(3), np.zeros((3, 3)), np.array(0.0))
    for a, b in zip(prior, post, strict=True):
        np.testing.assert_allclose(a, b)
