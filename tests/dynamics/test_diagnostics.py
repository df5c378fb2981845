"""Diagnostics against numbers found by hand and against loops."""

import numpy as np
import pytest
from scipy.stats import multivariate_t

from dynamics import FlatPrior, diagnose, fit_linear_gaussian, k_step_error, one_step_error, predictive
from dynamics.diagnostics import condition_number
from lqr import InputError, LinearGaussianDynamics


def doubling():
    """x' = 2 x + u + 1, for three steps."""
    return LinearGaussianDynamics(np.tile([[2.0, 1.0]], (1, 3, 1, 1)), np.ones((1, 3, 1)), np.ones((1, 3, 1, 1)))


def test_errors_by_hand():
    x = np.array([0.0, 1.0, 3.0, 8.0]).reshape(1, 1, 4, 1)
    u = np.array([0.0, 1.0, 0.0]).reshape(1, 1, 3, 1)
    one = one_step_error(doubling(), x, u)  # predicts 1, 4, 7
    assert one.model == pytest.approx(np.sqrt((0 + 1 + 1) / 3))
    assert one.zero == pytest.approx(np.sqrt((1 + 4 + 25) / 3))
    two = k_step_error(doubling(), x, u, 2)  # 0 -> 1 -> 4 and 1 -> 4 -> 9, where 3 and 8 came
    assert two.model == pytest.approx(1.0)
    assert two.zero == pytest.approx(np.sqrt((9 + 49) / 2))
    assert k_step_error(doubling(), x, u, 3).model == pytest.approx(1.0)  # 0 -> 1 -> 4 -> 9


def test_each_step_ahead_is_predicted_by_its_own_model():
    rng = np.random.default_rng(0)
    F, f = rng.normal(size=(2, 4, 2, 3)), rng.normal(size=(2, 4, 2))
    x, u = rng.normal(size=(2, 3, 5, 2)), rng.normal(size=(2, 3, 4, 1))
    total = []
    for c in range(2):
        for i in range(3):
            for t in range(3):
                guess = x[c, i, t]
                for s in (t, t + 1):
                    guess = F[c, s] @ np.concatenate([guess, u[c, i, s]]) + f[c, s]
                total.append((guess - x[c, i, t + 2]) ** 2)
    found = k_step_error(LinearGaussianDynamics(F, f, np.zeros((2, 4, 2, 2))), x, u, 2)
    assert found.model == pytest.approx(np.sqrt(np.mean(total)))


def test_a_fit_is_diagnosed():
    rng = np.random.default_rng(1)
    x, u = rng.normal(size=(1, 6, 4, 2)), rng.normal(size=(1, 6, 3, 1))
    x[:, :, 1:] = 0.5 * x[:, :, :1] + 0.1 * x[:, :, 1:]
    prior, weight = FlatPrior(), np.ones((1, 6, 3))
    weight[0, 5, 2] = 0
    prior.update(x[0, :, 0], u[0, :, 0], x[0, :, 1])
    fit = fit_linear_gaussian(x, u, prior, weight=weight, strength=2.0)
    found = diagnose(fit, x, u, k=2)
    assert np.array_equal(found.data_samples, [[6, 6, 5]])
    np.testing.assert_allclose(found.prior_samples, 2.0)
    assert (found.one_step, found.k_step) == (one_step_error(fit.dynamics, x, u), k_step_error(fit.dynamics, x, u, 2))
    p, densities = predictive(fit.posterior, x[:, :, :-1], u), []
    for i in range(6):
        for t in range(3):
            peer = multivariate_t(p.location[0, i, t], p.scale[0, i, t], df=p.df[0, i, t])
            densities.append(peer.logpdf(x[0, i, t + 1]))
    assert found.log_likelihood == pytest.approx(np.mean(densities))


def test_the_condition_number_knows_no_units():
    assert condition_number(np.diag([1e-6, 1.0, 1e8])) == pytest.approx(1.0)
    assert condition_number(np.array([[1.0, 0.6], [0.6, 1.0]])) == pytest.approx(4.0)
    assert condition_number(np.array([[1e4, 60.0], [60.0, 1.0]])) == pytest.approx(4.0)


@pytest.mark.parametrize("k", [0, 4])
def test_more_steps_than_there_are_is_refused(k):
    with pytest.raises(InputError, match="expected 1 to 3"):
        k_step_error(doubling(), np.zeros((1, 1, 4, 1)), np.zeros((1, 1, 3, 1)), k)


def test_trials_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"expected \(1, N, 4, 1\)"):
        one_step_error(doubling(), np.zeros((2, 1, 4, 1)), np.zeros((2, 1, 3, 1)))
