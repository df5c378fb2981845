"""Action values, values of given controllers, costates, regularised gains, statuses, samples."""

import numpy as np
import pytest
from problems import dense_optimum, random_controller, random_problem

from lqr import (
    NotPositiveDefinite,
    action_value,
    backward,
    backward_each,
    backward_regularised,
    controller_value,
    costate,
    expected_cost,
    forward,
    linear,
    quadratic,
    sample_trajectories,
)

DX, DU, T = 3, 2, 5


def problem(seed, lead=()):
    return random_problem(np.random.default_rng(seed), DX, DU, T, lead)


def test_the_best_action_of_an_action_value_is_the_controllers_and_costs_the_value():
    dynamics, cost, _ = problem(0, (2,))
    controller, value = backward(dynamics, cost)
    Q, q, const = action_value(dynamics, cost, value)
    best = -np.linalg.solve(
        Q[..., DX:, DX:], np.concatenate([Q[..., DX:, :DX], q[..., DX:, None]], -1)
    )
    np.testing.assert_allclose(best[..., :DX], controller.K, rtol=1e-9)
    np.testing.assert_allclose(best[..., DX], controller.k, rtol=1e-9)
    at_zero = const + 0.5 * (q[..., DX:] * controller.k).sum(-1)  # the least over u, at x = 0
    np.testing.assert_allclose(at_zero, value.const[..., :-1], rtol=1e-9)


def test_an_action_value_is_the_expected_cost_of_that_action_and_of_what_follows():
    dynamics, cost, _ = problem(1)
    value = backward(dynamics, cost)[1]
    Q, q, const = action_value(dynamics, cost, value)
    rng, t = np.random.default_rng(2), T - 1
    x, u = rng.normal(size=DX), rng.normal(size=DU)
    xu = np.concatenate([x, u])
    W = dynamics.cov[t]
    nexts = dynamics.F[t] @ xu + dynamics.f[t] + rng.multivariate_normal(np.zeros(DX), W, 200_000)
    C, c = cost.C[T, :DX, :DX], cost.c[T, :DX]
    later = 0.5 * np.einsum("ni,ij,nj->n", nexts, C, nexts) + nexts @ c + cost.const[T]
    now = 0.5 * xu @ cost.C[t] @ xu + cost.c[t] @ xu + cost.const[t]
    error = later.std() / np.sqrt(len(later))
    assert abs(0.5 * xu @ Q[t] @ xu + q[t] @ xu + const[t] - now - later.mean()) < 4 * error


def test_the_value_of_a_controller_is_its_expected_cost_and_least_for_the_best():
    dynamics, cost, x0 = problem(3, (4,))
    any_one = random_controller(np.random.default_rng(4), DX, DU, T, (4,))
    for controller in (any_one, backward(dynamics, cost)[0]):
        V, v, const = controller_value(dynamics, cost, controller)
        m, P = x0
        found = 0.5 * np.einsum("bi,bij,bj->b", m, V[:, 0], m) + (v[:, 0] * m).sum(-1)
        found += const[:, 0] + 0.5 * np.einsum("bij,bji->b", V[:, 0], P)
        expected = expected_cost(forward(dynamics, controller, x0), cost).sum(-1)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    for one, other in zip(
        controller_value(dynamics, cost, controller), backward(dynamics, cost)[1], strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_the_costate_is_the_slope_of_the_optimal_cost():
    dynamics, cost, x0 = problem(5)
    controller, value = backward(dynamics, cost)
    X = forward(dynamics, controller, x0._replace(cov=0 * x0.cov)).mean[:, :DX]
    slope = costate(value, X)[0]
    for i in range(DX):
        nudge = 1e-5 * np.eye(DX)[i]
        up, down = (dense_optimum(dynamics, cost, x0.mean + s * nudge)[1] for s in (1, -1))
        assert slope[i] == pytest.approx((up - down) / 2e-5, rel=1e-6)


def test_one_bad_problem_of_a_batch_is_told_and_the_others_are_solved():
    dynamics, cost, _ = problem(6, (4,))
    C = cost.C.copy()
    C[2, 3, DX:, DX:] -= 1e3 * np.eye(DU)
    bad = cost._replace(C=C)
    with pytest.raises(NotPositiveDefinite) as error:
        backward(dynamics, bad)
    assert (error.value.batch, error.value.t) == (2, 3)
    controller, value, failed = backward_each(dynamics, bad)
    np.testing.assert_array_equal(failed, [-1, -1, 3, -1])
    assert np.isnan(controller.K[2]).all()
    assert np.isnan(value.V[2]).all()
    np.testing.assert_array_equal(controller.K[[0, 1, 3]], backward(dynamics, cost)[0].K[[0, 1, 3]])


def test_regularised_gains_are_those_of_the_cost_with_the_regularisation_added():
    dynamics, cost, _ = problem(7)
    dynamics = dynamics._replace(f=0 * dynamics.f)
    controller, value = backward_regularised(
        dynamics, cost, mu_x=0.7, mu_u=[0.1, 0.2, 0.3, 0.4, 0.5]
    )
    last = T - 1  # whose next value is the last cost alone
    F = dynamics.F[last]
    C, c = cost.C[T, :DX, :DX], cost.c[T, :DX]
    G = cost.C[last] + F.T @ (C + 0.7 * np.eye(DX)) @ F
    g = cost.c[last] + F.T @ c
    Quu = G[DX:, DX:] + 0.5 * np.eye(DU)
    np.testing.assert_allclose(controller.K[last], -np.linalg.solve(Quu, G[DX:, :DX]), rtol=1e-9)
    np.testing.assert_allclose(controller.k[last], -np.linalg.solve(Quu, g[DX:]), rtol=1e-9)
    for one, other in zip(value, controller_value(dynamics, cost, controller), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)
    plain = backward_regularised(dynamics, cost)
    np.testing.assert_allclose(plain[0].K, backward(dynamics, cost)[0].K, rtol=1e-9)
    C = cost.C.copy()
    C[2, DX:, DX:] -= 5.0 * np.eye(DU)
    hollow = cost._replace(C=C)
    with pytest.raises(NotPositiveDefinite, match="raise mu_u"):
        backward_regularised(dynamics, hollow)
    assert np.isfinite(backward_regularised(dynamics, hollow, mu_u=10.0)[0].K).all()


def test_sampled_trajectories_have_the_moments_of_the_marginals():
    dynamics, _, x0 = problem(8, (2,))
    controller = random_controller(np.random.default_rng(9), DX, DU, T, (2,), std=0.5)
    X, U = sample_trajectories(dynamics, controller, x0, np.random.default_rng(10), 20_000)
    assert X.shape == (2, 20_000, T + 1, DX)
    assert U.shape == (2, 20_000, T, DU)
    marginals = forward(dynamics, controller, x0)
    for t in range(T):
        xu = np.concatenate([X[:, :, t], U[:, :, t]], -1)
        std = np.sqrt(np.diagonal(marginals.cov[:, t], axis1=-2, axis2=-1))
        assert (abs(xu.mean(1) - marginals.mean[:, t]) < 5 * std / np.sqrt(20_000)).all()
        for b in range(2):
            gap = abs(np.cov(xu[b].T) - marginals.cov[b, t]) / np.outer(std[b], std[b])
            assert gap.max() < 5 * np.sqrt(2 / 20_000)


def test_without_noise_a_sampled_trajectory_is_the_mean():
    dynamics, cost = linear(np.eye(3), np.ones((3, 2)), T), quadratic(np.eye(3), np.eye(2), T=T)
    start = problem(0)[2]._replace(cov=np.zeros((3, 3)))
    controller = backward(dynamics, cost)[0]
    X, _ = sample_trajectories(dynamics, controller, start, np.random.default_rng(0), 2)
    mean = forward(dynamics, controller, start).mean[:, :DX]
    np.testing.assert_allclose(X, np.stack([mean, mean]), rtol=1e-12, atol=1e-12)
