"""Single steps of the filter, its limit, its square-root form, and LQG, against dense algebra."""

import numpy as np
import pytest
from problems import random_problem
from test_lqg import DO, DX, T, dense_posterior, observed

from lqr import (
    Gaussian,
    InputError,
    LinearGaussianObservation,
    NotPositiveDefinite,
    NumericalError,
    backward,
    infinite_horizon,
    kalman_filter,
    kalman_predict,
    kalman_update,
    linear,
    lqg,
    quadratic,
    rts_smoother,
    stationary_filter,
)


def test_single_steps_are_those_of_the_filter():
    dynamics, observation, x0, U, O = observed(np.random.default_rng(0))
    O[3, 1] = np.nan
    whole = kalman_filter(dynamics, observation, x0, U, O)
    belief, total = x0, 0.0
    for t in range(T + 1):
        if t:
            belief = kalman_predict(
                belief, dynamics.F[t - 1], dynamics.f[t - 1], dynamics.cov[t - 1], U[t - 1]
            )
        step = kalman_update(belief, observation.H[t], observation.h[t], observation.cov[t], O[t])
        belief, total = step.belief, total + step.log_likelihood
        np.testing.assert_allclose(belief.mean, whole.mean[t], rtol=1e-12)
        np.testing.assert_allclose(belief.cov, whole.cov[t], rtol=1e-12)
    assert total == pytest.approx(whole.log_likelihood)


@pytest.mark.parametrize("square_root", [False, True])
def test_an_entry_that_is_missing_is_as_if_it_had_never_been_measured(square_root):
    dynamics, observation, x0, U, O = observed(np.random.default_rng(1))
    O[2, 0] = O[4] = np.nan
    found = kalman_filter(dynamics, observation, x0, U, O, square_root)
    large = observation._replace(cov=observation.cov.copy())  # a sensor that is blind to it
    for t, i in [(2, 0), (4, 0), (4, 1)]:
        large.cov[t, i, i] = 1e12
    blind = np.where(np.isnan(O), 0.0, O)
    expected = kalman_filter(dynamics, large, x0, U, blind)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.cov, expected.cov, rtol=1e-6, atol=1e-8)
    entries = 3 * 0.5 * np.log(2 * np.pi * 1e12)  # what each of the blind entries adds
    assert found.log_likelihood == pytest.approx(expected.log_likelihood + entries, rel=1e-6)


def test_roots_give_the_dense_posterior_too():
    dynamics, observation, x0, U, O = observed(np.random.default_rng(2))
    found = kalman_filter(dynamics, observation, x0, U, O, square_root=True)
    mean, cov, loglik = dense_posterior(dynamics, observation, x0, U, O, T)
    np.testing.assert_allclose(found.mean[T], mean[T * DX :], rtol=1e-8)
    np.testing.assert_allclose(found.cov[T], cov[T * DX :, T * DX :], rtol=1e-8)
    assert found.log_likelihood == pytest.approx(loglik)
    plain = kalman_filter(dynamics, observation, x0, U, O)
    np.testing.assert_allclose(found.predicted.cov, plain.predicted.cov, rtol=1e-10, atol=1e-12)


def test_roots_keep_the_digits_that_covariances_lose():
    # Two sensors of one state, r = 1e-9 and prior 1: H P H' + R is singular to rounding in H = [1, 1 + r].
    r = 1e-9
    dynamics = linear(np.eye(2), np.zeros((2, 1)), 1)
    H = np.array([[1.0, 1.0], [1.0, 1.0 + r]])
    sensor = LinearGaussianObservation(
        np.tile(H, (2, 1, 1)), np.zeros((2, 2)), np.tile(r**2 * np.eye(2), (2, 1, 1))
    )
    O = np.full((2, 2), np.nan)
    O[0] = 0.0
    start = Gaussian(np.zeros(2), np.eye(2))
    found = kalman_filter(dynamics, sensor, start, np.zeros((1, 1)), O, square_root=True).cov[0]
    # in the coordinates s = x + y (seen twice) and y (seen once, through r y): 1 / (1 + r^2 / r^2) and so on
    from fractions import Fraction as Q

    e = Q(r)
    J = [[Q(1), Q(0)], [Q(0), Q(1)]]  # the precision, in exact numbers
    for row in ((Q(1), Q(1)), (Q(1), Q(1.0 + r))):
        for i in range(2):
            for j in range(2):
                J[i][j] += row[i] * row[j] / (e * e)
    det = J[0][0] * J[1][1] - J[0][1] * J[1][0]
    exact = np.array(
        [
            [float(J[1][1] / det), float(-J[0][1] / det)],
            [float(-J[1][0] / det), float(J[0][0] / det)],
        ]
    )
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_covariances_of_neighbouring_states_are_those_of_the_dense_posterior():
    dynamics, observation, x0, U, O = observed(np.random.default_rng(3))
    smooth = rts_smoother(dynamics, kalman_filter(dynamics, observation, x0, U, O))
    _, cov, _ = dense_posterior(dynamics, observation, x0, U, O, T)
    for t in range(T):
        now, then = slice(t * DX, (t + 1) * DX), slice((t + 1) * DX, (t + 2) * DX)
        np.testing.assert_allclose(smooth.cross[t], cov[then, now], rtol=1e-7, atol=1e-10)


def test_the_stationary_filter_is_the_limit_and_the_dual_of_the_regulator():
    A, H = np.array([[1.05, 0.3], [0.0, 0.9]]), np.array([[1.0, 0.0]])
    W, R = np.diag([0.1, 0.2]), np.array([[0.5]])
    limit = stationary_filter(A, H, W, R)
    S = 200
    sensor = LinearGaussianObservation(
        np.tile(H, (S + 1, 1, 1)), np.zeros((S + 1, 1)), np.tile(R, (S + 1, 1, 1))
    )
    model = linear(A, np.zeros((2, 1)), S, cov=W)
    run = kalman_filter(
        model, sensor, Gaussian(np.zeros(2), np.eye(2)), np.zeros((S, 1)), np.zeros((S + 1, 1))
    )
    np.testing.assert_allclose(limit.predicted, run.predicted.cov[-1], rtol=1e-9)
    np.testing.assert_allclose(limit.cov, run.cov[-1], rtol=1e-9)
    dual = infinite_horizon(A.T, H.T, W, R)
    np.testing.assert_allclose(limit.predicted, dual.V, rtol=1e-9)
    np.testing.assert_allclose(A @ limit.gain, -dual.K.T, rtol=1e-9)
    with pytest.raises(NumericalError, match="see every"):
        stationary_filter(A, np.array([[0.0, 1.0]]), W, R)


def test_lqg_costs_what_its_closed_loop_costs():
    rng = np.random.default_rng(4)
    dynamics, cost, x0 = random_problem(rng, DX, 2, T)
    _, sensor, *_ = observed(rng)
    plan = lqg(dynamics, cost, sensor, x0)
    # [x; m], the state and the filtered mean, are jointly Gaussian: push their moments by hand
    K, k = plan.controller.K, plan.controller.k
    eye, total = np.eye(DX), 0.0
    mean, cov = np.concatenate([x0.mean, x0.mean]), np.zeros((2 * DX, 2 * DX))
    cov[:DX, :DX] = x0.cov
    for t in range(T + 1):
        L, H = plan.gain[t], sensor.H[t]
        see = np.block([[eye, np.zeros((DX, DX))], [L @ H, eye - L @ H]])
        mean, cov = see @ mean, see @ cov @ see.T
        cov[DX:, DX:] += L @ sensor.cov[t] @ L.T
        if t == T:
            J = np.hstack([eye, np.zeros((DX, DX))])
            C, c = cost.C[t, :DX, :DX], cost.c[t, :DX]
        else:
            J = np.block([[eye, np.zeros((DX, DX))], [np.zeros((2, DX)), K[t]]])
            C, c = cost.C[t], cost.c[t]
        shift = np.zeros(len(J))
        if t < T:
            shift[DX:] = k[t]
        xu, spread = J @ mean + shift, J @ cov @ J.T
        total += 0.5 * xu @ C @ xu + c @ xu + cost.const[t] + 0.5 * np.trace(C @ spread)
        if t < T:
            F = dynamics.F[t]
            go = np.block(
                [[F[:, :DX], F[:, DX:] @ K[t]], [np.zeros((DX, DX)), F[:, :DX] + F[:, DX:] @ K[t]]]
            )
            push = F[:, DX:] @ k[t] + dynamics.f[t]
            mean, cov = go @ mean + np.tile(push, 2), go @ cov @ go.T
            cov[:DX, :DX] += dynamics.cov[t]
    assert plan.expected_cost == pytest.approx(total, rel=1e-9)
    np.testing.assert_array_equal(plan.controller.K, backward(dynamics, cost)[0].K)


def test_lqg_of_a_batch_is_that_of_its_members():
    rng = np.random.default_rng(5)
    dynamics, sensor, x0, *_ = observed(rng, (3,))
    cost = random_problem(rng, DX, 2, T)[1]
    found = lqg(dynamics, cost, sensor, x0)
    assert found.expected_cost.shape == (3,)
    one = [type(a)(*(field[1] for field in a)) for a in (dynamics, sensor, x0)]
    alone = lqg(one[0], cost, one[1], one[2])
    assert found.expected_cost[1] == pytest.approx(alone.expected_cost)
    np.testing.assert_allclose(found.gain[1], alone.gain, rtol=1e-10)


def test_what_does_not_fit_is_named():
    belief = Gaussian(np.zeros(DX), np.eye(DX))
    with pytest.raises(InputError, match="belief is a tuple"):
        kalman_predict(
            (np.zeros(DX), np.eye(DX)), np.eye(DX), np.zeros(DX), np.eye(DX), np.zeros(0)
        )
    with pytest.raises(InputError, match="F has shape"):
        kalman_predict(belief, np.eye(DX), np.zeros(DX), np.eye(DX), np.zeros(1))
    with pytest.raises(InputError, match="H has shape"):
        kalman_update(belief, np.eye(2), np.zeros(DO), np.eye(DO), np.zeros(DO))
    with pytest.raises(InputError, match="o is infinite"):
        kalman_update(belief, np.eye(DX), np.zeros(DX), np.eye(DX), np.full(DX, np.inf))
    with pytest.raises(NotPositiveDefinite, match="singular"):
        kalman_update(belief, np.ones((2, DX)), np.zeros(2), np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(InputError, match="A has shape"):
        stationary_filter(np.eye(2), np.eye(3), np.eye(2), np.eye(3))


def test_a_quadratic_of_a_word_is_refused():
    with pytest.raises(InputError, match="Q"):
        quadratic("Q", np.eye(2), T=3)
