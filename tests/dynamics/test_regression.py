"""The regression's posterior, evidence and predictive against sampling, Student-t densities and the
closed form.
"""

import numpy as np
import pytest
from scipy.stats import invwishart, kstest, multivariate_t, t

from dynamics import NormalInverseWishart, draw, log_evidence, posterior, predictive, regression
from dynamics.diagnostics import log_density
from dynamics.regression import StudentT, expected

DX, DU = 2, 1
N_XU = DX + DU
D = N_XU + DX


def joint(rng, m=0.7, n0=3.0):
    A = rng.normal(size=(D, D))
    return NormalInverseWishart(rng.normal(size=D), A @ A.T + np.eye(D), np.array(m), np.array(n0))


def updated(prior, z):
    gap = z - z.mean(0)
    return posterior(prior, z.mean(0), gap.T @ gap, np.array(float(len(z))))


def as_batch(post):
    """One condition, one time step."""
    return type(post)(*(np.asarray(a)[None, None] for a in post))


def one_step(post, z):
    """Returns the predictive of x' at the samples z (N, d) of one time step, leading axis N."""
    p = predictive(as_batch(post), z[None, :, None, :DX], z[None, :, None, DX:N_XU])
    return StudentT(*(a[0, :, 0] for a in p))


def test_the_posterior_is_ridge_regression_with_an_intercept():
    rng = np.random.default_rng(0)
    n0, m, X = 2.0, 0.5, rng.normal(size=(6, N_XU))
    cov, mean = np.eye(D), np.zeros(D)  # no correlation: the prior says that x stays
    z = np.concatenate([X, rng.normal(size=(6, DX))], 1)
    post = regression(
        updated(NormalInverseWishart(mean, n0 * cov, np.array(m), np.array(n0)), z), DX
    )
    phi, K = np.concatenate([X, np.ones((6, 1))], 1), np.diag([n0] * N_XU + [m])
    theta = np.linalg.solve(phi.T @ phi + K, phi.T @ z[:, N_XU:]).T
    np.testing.assert_allclose(post.F, theta[:, :N_XU] + np.eye(DX, N_XU), atol=1e-12)
    np.testing.assert_allclose(post.f, theta[:, N_XU], atol=1e-12)
    residual = z[:, N_XU:] - phi @ theta.T
    np.testing.assert_allclose(
        post.Psi, n0 * np.eye(DX) + residual.T @ residual + theta @ K @ theta.T, atol=1e-12
    )
    assert post.nu == n0 + 6 + DX + 1


def test_the_expected_covariance_is_the_conditional_one():
    rng = np.random.default_rng(1)
    p = joint(rng)
    cov = p.Phi / p.n0
    conditional = cov[N_XU:, N_XU:] - cov[N_XU:, :N_XU] @ np.linalg.solve(
        cov[:N_XU, :N_XU], cov[:N_XU, N_XU:]
    )
    np.testing.assert_allclose(expected(regression(p, DX)).cov, conditional, atol=1e-12)


def test_the_evidence_is_the_product_of_one_step_predictive_densities():
    rng = np.random.default_rng(2)
    prior, z = joint(rng), rng.normal(size=(7, D))
    total, step = 0.0, prior
    for one in z:
        p = one_step(regression(step, DX), one[None])
        total += multivariate_t(p.location[0], p.scale[0], df=p.df[0]).logpdf(one[:DX] + one[N_XU:])
        step = updated(step, one[None])
    assert log_evidence(regression(prior, DX), regression(step, DX)) == pytest.approx(total)


def test_the_predictive_is_the_distribution_of_draws():
    rng = np.random.default_rng(3)
    post, xu = regression(joint(rng, n0=6.0), DX), rng.normal(size=N_XU)
    many = type(post)(*(np.broadcast_to(a, (40_000, *np.shape(a))) for a in post))
    systems = draw(many, rng)
    noise = np.linalg.cholesky(systems.cov) @ rng.standard_normal((40_000, DX, 1))
    after = systems.F @ xu + systems.f + noise[..., 0]
    p = one_step(post, np.concatenate([xu, np.zeros(DX)])[None])
    for a in (np.array([1.0, 0.0]), np.array([0.6, -0.8])):
        width = np.sqrt(a @ p.scale[0] @ a)
        assert kstest((after @ a - p.location[0] @ a) / width, t(p.df[0]).cdf).pvalue > 1e-3


def test_draws_have_the_moments_of_the_distribution():
    rng = np.random.default_rng(4)
    post = regression(joint(rng, m=2.0, n0=12.0), DX)
    systems = draw(type(post)(*(np.broadcast_to(a, (100_000, *np.shape(a))) for a in post)), rng)
    mean = expected(post)
    np.testing.assert_allclose(systems.F.mean(0), mean.F, atol=0.02)
    np.testing.assert_allclose(systems.f.mean(0), mean.f, atol=0.02)
    np.testing.assert_allclose(systems.cov.mean(0), mean.cov, rtol=0.02, atol=0.01)
    peer = invwishart(df=float(post.nu), scale=post.Psi).rvs(100_000, random_state=rng)
    np.testing.assert_allclose(systems.cov.std(0), peer.std(0), rtol=0.1)
    spread = (systems.F - mean.F).reshape(-1, DX * N_XU)
    np.testing.assert_allclose(
        np.cov(spread.T), np.kron(mean.cov, np.linalg.inv(post.S)), atol=0.02
    )


def test_the_ranks_of_the_truth_among_posterior_draws_are_uniform():
    """Simulation-based calibration (Talts et al. 2018): a system from the prior, data from it,
    draws given the data.
    """
    rng, repeats, draws = np.random.default_rng(5), 600, 19
    prior = joint(rng, m=0.5, n0=4.0)
    weights = rng.normal(size=DX * N_XU), rng.normal(size=DX)
    ranks = []
    for _ in range(repeats):
        truth = draw(regression(prior, DX), rng)
        xu = rng.normal(size=(5, N_XU))
        noise = rng.standard_normal((5, DX)) @ np.linalg.cholesky(truth.cov).T
        z = np.concatenate([xu, xu @ truth.F.T + truth.f + noise - xu[:, :DX]], 1)
        post = regression(updated(prior, z), DX)
        guesses = draw(type(post)(*(np.broadcast_to(a, (draws, *np.shape(a))) for a in post)), rng)

        def measures(s):
            F, f, cov = s
            last = np.log(np.linalg.det(cov))
            return np.stack(
                [F.reshape(*F.shape[:-2], -1) @ weights[0], f @ weights[1], F[..., 0, 2], last], -1
            )

        ranks.append((measures(guesses) < measures(truth)).sum(0))
    for column in np.array(ranks).T:
        counts = np.bincount(column, minlength=draws + 1)
        chi2 = ((counts - repeats / (draws + 1)) ** 2).sum() / (repeats / (draws + 1))
        assert chi2 < 45  # 19 degrees of freedom: exceeded once in 1500


def test_the_intervals_hold_what_they_promise():
    """2000 systems from the prior, five samples of each, one transition held out."""
    rng, inside = np.random.default_rng(6), {0.5: 0, 0.9: 0, 0.99: 0}
    prior = joint(rng, m=0.5, n0=2.0)
    for _ in range(2000):
        truth = draw(regression(prior, DX), rng)
        xu = rng.normal(size=(6, N_XU))
        noise = rng.standard_normal((6, DX)) @ np.linalg.cholesky(truth.cov).T
        z = np.concatenate([xu, xu @ truth.F.T + truth.f + noise - xu[:, :DX]], 1)
        p = one_step(regression(updated(prior, z[:5]), DX), z[5:])
        gap = abs(z[5, 0] + z[5, N_XU] - p.location[0, 0]) / np.sqrt(p.scale[0, 0, 0])
        for level in inside:
            inside[level] += gap < t.ppf(0.5 + level / 2, p.df[0])
    assert inside[0.5] / 2000 == pytest.approx(0.5, abs=0.035)
    assert 0.88 < inside[0.9] / 2000 < 0.92
    assert 0.984 < inside[0.99] / 2000 < 0.996


def test_the_log_density_is_that_of_scipy():
    rng = np.random.default_rng(7)
    A = rng.normal(size=(3, 3))
    p = StudentT(rng.normal(size=3), A @ A.T + np.eye(3), np.array(4.5))
    x = rng.normal(size=3)
    assert log_density(p, x) == pytest.approx(multivariate_t(p.location, p.scale, df=4.5).logpdf(x))
