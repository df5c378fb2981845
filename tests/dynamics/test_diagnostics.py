"""Diagnostics against numbers found by hand and against loops."""

import numpy as np
import pytest
from scipy.stats import multivariate_t

from dynamics import (
    FlatPrior,
    diagnose,
    error_along,
    fit_linear_gaussian,
    k_step_error,
    one_step_error,
    predictive,
)
from dynamics.diagnostics import condition_number, open_loop_error
from lqr import InputError, LinearGaussianDynamics


def doubling():
    """x' = 2 x + u + 1, for three steps."""
    return LinearGaussianDynamics(
        np.tile([[2.0, 1.0]], (1, 3, 1, 1)), np.ones((1, 3, 1)), np.ones((1, 3, 1, 1))
    )


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


def test_the_error_along_an_episode_by_hand():
    x = np.array([[0.0, 5.0], [1.0, 5.0], [3.0, 5.0], [8.0, 5.0]])[
        None
    ]  # the second coordinate never changes
    u = np.array([0.0, 1.0, 0.0]).reshape(1, 3, 1)
    F = np.zeros((1, 3, 2, 3))
    F[..., 0, 0], F[..., 0, 2], F[..., 1, 1] = 2.0, 1.0, 1.0
    found = error_along(
        LinearGaussianDynamics(F, np.tile([1.0, 0.0], (1, 3, 1)), np.zeros((1, 3, 2, 2))), x, u
    )
    change = np.sqrt((1 + 4 + 25) / 3)
    np.testing.assert_allclose(
        found, np.array([[0.0, 1.0, 1.0]]) / change
    )  # predicts 1, 4, 7 where 1, 3, 8 came


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
    assert (found.one_step, found.k_step) == (
        one_step_error(fit.dynamics, x, u),
        k_step_error(fit.dynamics, x, u, 2),
    )
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


def test_episodes_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"expected \(1, N, 4, 1\)"):
        one_step_error(doubling(), np.zeros((2, 1, 4, 1)), np.zeros((2, 1, 3, 1)))


def random_models(rng, C=2, T=6, dx=2, du=1):
    return LinearGaussianDynamics(
        rng.normal(size=(C, T, dx, dx + du)), rng.normal(size=(C, T, dx)), np.zeros((C, T, dx, dx))
    )


def episodes(rng, lengths, C=2, T=6, dx=2, du=1):
    """Episodes that end early; what stands after the end is no number."""
    N = len(lengths)
    x = rng.normal(size=(C, N, T + 1, dx))
    u = rng.normal(size=(C, N, T, du))
    weight = np.zeros((C, N, T))
    for i, length in enumerate(lengths):
        x[:, i, length + 1 :], u[:, i, length:] = np.nan, np.nan
        weight[:, i, :length] = 1
    return x, u, weight


@pytest.mark.parametrize("k", [1, 2, 4])
def test_no_prediction_goes_through_a_step_of_weight_zero(k):
    rng = np.random.default_rng(2)
    models, lengths = random_models(rng), (6, 4, 1, 0)
    x, u, weight = episodes(rng, lengths)
    weight[0, 0, 2], x[0, 0, 2] = 0, 7.0  # a gap in the middle of an episode
    errors, nothing = [], []
    for c in range(2):
        for i, length in enumerate(lengths):
            for t in range(length - k + 1):
                if (c, i) == (0, 0) and t <= 2 < t + k:
                    continue
                guess = x[c, i, t]
                for s in range(t, t + k):
                    guess = models.F[c, s] @ np.concatenate([guess, u[c, i, s]]) + models.f[c, s]
                errors.append((guess - x[c, i, t + k]) ** 2)
                nothing.append((x[c, i, t] - x[c, i, t + k]) ** 2)
    found = k_step_error(models, x, u, k, weight)
    assert found.model == pytest.approx(np.sqrt(np.mean(errors)))
    assert found.zero == pytest.approx(np.sqrt(np.mean(nothing)))


def test_what_comes_after_an_episodes_end_does_not_change_the_diagnostics():
    rng = np.random.default_rng(3)
    x, u, weight = episodes(rng, (3, 6, 2))
    prior = FlatPrior()
    prior.update(x[0, :2, 0], u[0, :2, 0], x[0, :2, 1])
    fit = fit_linear_gaussian(x, u, prior, weight=weight, strength=1.0)
    found = diagnose(fit, x, u, 2, weight)
    other_x, other_u = np.where(np.isnan(x), 1e6, x), np.where(np.isnan(u), -1e6, u)
    again = diagnose(fit, other_x, other_u, 2, weight)
    assert (found.log_likelihood, found.one_step, found.k_step) == (
        again.log_likelihood,
        again.one_step,
        again.k_step,
    )
    densities = []
    for c in range(2):
        for i, length in enumerate((3, 6, 2)):
            p = predictive(fit.posterior, other_x[:, :, :-1], other_u)
            for t in range(length):
                peer = multivariate_t(p.location[c, i, t], p.scale[c, i, t], df=p.df[c, i, t])
                densities.append(peer.logpdf(x[c, i, t + 1]))
    assert found.log_likelihood == pytest.approx(np.mean(densities))


@pytest.mark.parametrize(
    ("change", "k", "said"),
    [
        (lambda x, u, w: (x, u, w), 4, "k is 4; expected 1 to 3"),
        (lambda x, u, w: (x, u, w[:, :, :-1]), 1, "weight of shape"),
        (lambda x, u, w: (x, u, -w), 1, "not below 0"),
        (lambda x, u, w: (x, u, 0 * w), 1, "no step"),
        (lambda x, u, w: (x, u, None), 1, "not finite"),
        (lambda x, u, w: (x, u[..., 0], w), 1, "u has shape|, u "),
    ],
)
def test_weights_and_episodes_without_sense_are_refused(change, k, said):
    rng = np.random.default_rng(4)
    x, u, weight = change(*episodes(rng, (3, 2)))
    with pytest.raises(InputError, match=said):
        k_step_error(random_models(rng), x, u, k, weight)


# global models


def test_the_open_loop_error_is_that_of_powers_of_the_models_matrix():
    rng = np.random.default_rng(0)
    A = np.array([[0.9, 0.2], [-0.1, 0.8]])
    B = np.array([[0.1], [0.5]])
    wrong = np.array([[0.95, 0.2], [-0.1, 0.7]])
    N, T, K = 3, 12, 5
    u, x = rng.normal(size=(N, T, 1)), np.zeros((N, T + 1, 2))
    x[:, 0] = rng.normal(size=(N, 2)) * [1.0, 100.0]
    for t in range(T):
        x[:, t + 1] = x[:, t] @ A.T + u[:, t] @ B.T
    length = np.array([12, 4, 9])
    x[1, 5:] = x[1, 4]  # the episode is over
    x[2, 10:] = x[2, 9]
    real = np.concatenate([x[i, : n + 1] for i, n in enumerate(length)])
    found = open_loop_error(lambda z, v: z @ wrong.T + v @ B.T, x, u, K, length)
    for k in range(1, K + 1):
        gaps, still = [], []
        for i, n in enumerate(length):
            for t in range(n - k + 1):
                guess = np.linalg.matrix_power(wrong, k) @ x[i, t]
                guess = guess + sum(
                    np.linalg.matrix_power(wrong, k - 1 - j) @ B @ u[i, t + j] for j in range(k)
                )
                gaps.append((guess - x[i, t + k]) / real.std(0))
                still.append((x[i, t] - x[i, t + k]) / real.std(0))
        np.testing.assert_allclose(
            found[:, k - 1], [np.sqrt(np.mean(np.square(a))) for a in (gaps, still)]
        )
    exact = open_loop_error(lambda z, v: z @ A.T + v @ B.T, x, u, K, length)
    np.testing.assert_allclose(exact[0], 0.0, atol=1e-12)


def test_the_open_loop_error_is_nan_beyond_the_episodes_and_infinite_where_the_model_breaks():
    x, u = np.random.default_rng(0).normal(size=(1, 4, 2)), np.zeros((1, 3, 1))
    found = open_loop_error(lambda z, v: z, x, u, 5)
    assert np.isfinite(found[:, :3]).all()
    assert np.isnan(found[:, 3:]).all()
    np.testing.assert_array_equal(found[0, :3], found[1, :3])
    assert np.isinf(open_loop_error(lambda z, v: z + np.nan, x, u, 3)[0]).all()
