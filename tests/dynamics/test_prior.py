"""The normal-inverse-Wishart posterior and evidence against sequential updates and Student-t densities."""

import numpy as np
import pytest
from scipy.stats import multivariate_t

from dynamics import NormalInverseWishart, log_evidence, posterior


def random_prior(rng, d, m=0.7, n0=2.5):
    A = rng.normal(size=(d, d))
    return NormalInverseWishart(rng.normal(size=d), A @ A.T + np.eye(d), np.array(m), np.array(n0))


def updated(prior, z):
    gap = z - z.mean(0)
    return posterior(prior, z.mean(0), gap.T @ gap, np.array(float(len(z))))


def predictive(prior, z):
    """Returns log p(z) of one sample: with nu = n0 + d + 1 degrees of freedom of the inverse Wishart."""
    d = len(prior.mean)
    freedom = prior.n0 + d + 1 - d + 1
    shape = prior.Phi * (prior.m + 1) / (prior.m * freedom)
    return multivariate_t(prior.mean, shape, df=freedom).logpdf(z)


def test_the_posterior_is_the_closed_form_written_out():
    rng = np.random.default_rng(0)
    prior, z = random_prior(rng, 3), rng.normal(size=(5, 3))
    post = updated(prior, z)
    np.testing.assert_allclose(post.mean, (0.7 * prior.mean + z.sum(0)) / 5.7)
    # all pseudo-samples and samples as one quadratic form: Phi + sum z z' + m mu mu' = Phi_n + m_n mu_n mu_n'
    total = prior.Phi + z.T @ z + 0.7 * np.outer(prior.mean, prior.mean) - 5.7 * np.outer(post.mean, post.mean)
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


def test_the_evidence_is_the_product_of_one_step_predictive_densities():
    rng = np.random.default_rng(2)
    prior, z = random_prior(rng, 3), rng.normal(size=(7, 3))
    total, step = 0.0, prior
    for one in z:
        total += predictive(step, one)
        step = updated(step, one[None])
    assert log_evidence(prior, updated(prior, z)) == pytest.approx(total)


def test_the_conditional_evidence_is_the_joint_less_the_marginal_of_what_is_given():
    rng = np.random.default_rng(3)
    prior, z, g = random_prior(rng, 4), rng.normal(size=(6, 4)), 2
    total, step = 0.0, prior
    for one in z:
        d, freedom = 4, step.n0 + 2
        whole = multivariate_t(step.mean, step.Phi * (step.m + 1) / (step.m * freedom), df=freedom)
        # a marginal of a multivariate t has the same degrees of freedom, and the block of its shape
        part = multivariate_t(step.mean[:g], (step.Phi * (step.m + 1) / (step.m * freedom))[:g, :g], df=freedom)
        assert d == len(one)
        total += whole.logpdf(one) - part.logpdf(one[:g])
        step = updated(step, one[None])
    assert log_evidence(prior, updated(prior, z), given=g) == pytest.approx(total)


def test_a_one_dimensional_evidence_agrees_with_numerical_integration():
    prior = NormalInverseWishart(np.array([0.3]), np.array([[0.8]]), np.array(0.5), np.array(1.5))
    z = np.array([[0.1], [-0.4], [1.2]])
    rng = np.random.default_rng(4)
    # cov ~ inverse-Wishart(Phi, nu) in one dimension is Phi / chi2(nu), nu = n0 + d + 1
    cov = 0.8 / rng.chisquare(1.5 + 2, size=400_000)
    mean = 0.3 + np.sqrt(cov / 0.5) * rng.standard_normal(len(cov))
    density = np.prod([np.exp(-0.5 * (x - mean) ** 2 / cov) / np.sqrt(2 * np.pi * cov) for x in z[:, 0]], axis=0)
    assert log_evidence(prior, updated(prior, z)) == pytest.approx(np.log(density.mean()), abs=0.01)


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
    evidence, conditional = log_evidence(both, post), log_evidence(both, post, given=1)
    for i in range(2):
        alone = updated(priors[i], samples[i])
        for a, b in zip(post, alone, strict=True):
            np.testing.assert_allclose(a[i], b, atol=1e-12)
        assert evidence[i] == pytest.approx(log_evidence(priors[i], alone))
        assert conditional[i] == pytest.approx(log_evidence(priors[i], alone, given=1))


def test_no_samples_leave_the_prior_as_it_is():
    prior = random_prior(np.random.default_rng(7), 3)
    post = posterior(prior, np.zeros(3), np.zeros((3, 3)), np.array(0.0))
    for a, b in zip(prior, post, strict=True):
        np.testing.assert_allclose(a, b)
    assert log_evidence(prior, post) == pytest.approx(0.0, abs=1e-12)
