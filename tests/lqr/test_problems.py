"""A way in: matrices of a textbook, and the infinite horizon with affine terms and a discount."""

import numpy as np
import pytest

from lqr import InputError, NumericalError, backward, infinite_horizon, linear, quadratic

rng = np.random.default_rng(0)
A = np.array([[1.1, 0.2, 0.0], [0.0, 0.9, 0.3], [0.1, 0.0, 0.8]])
B = np.array([[0.0, 0.1], [0.5, 0.0], [0.2, 1.0]])
Q, R, N = np.diag([1.0, 2.0, 0.5]), np.array([[1.0, 0.2], [0.2, 0.5]]), 0.1 * np.ones((3, 2))
f, q, r, W = (
    np.array([0.1, -0.2, 0.3]),
    np.array([1.0, 0.0, -1.0]),
    np.array([0.5, -0.3]),
    np.eye(3),
)


def test_linear_and_quadratic_say_what_the_formulas_say():
    dynamics = linear(A, B, 5, f=f)
    cost = quadratic(Q, R, N, 3 * Q, 5, q=q, r=r)
    x, u = rng.normal(size=3), rng.normal(size=2)
    xu = np.concatenate([x, u])
    np.testing.assert_allclose(dynamics.F[3] @ xu + dynamics.f[3], A @ x + B @ u + f)
    found = 0.5 * xu @ cost.C[2] @ xu + cost.c[2] @ xu + cost.const[2]
    expected = 0.5 * x @ Q @ x + x @ N @ u + 0.5 * u @ R @ u + q @ x + r @ u
    assert found == pytest.approx(expected)
    last = 0.5 * xu @ cost.C[5] @ xu + cost.c[5] @ xu
    assert last == pytest.approx(1.5 * x @ Q @ x + q @ x)


def test_what_is_given_may_vary_over_time_and_over_a_batch():
    many = linear(np.tile(A, (4, 1, 1, 1)), np.tile(B, (6, 1, 1)), T=6, cov=0.1 * W)
    assert many.F.shape == (4, 6, 3, 5)
    assert many.f.shape == (4, 6, 3)
    assert many.cov.shape == (4, 6, 3, 3)
    cost = quadratic(np.tile(Q, (6, 1, 1)), R, T=6)
    np.testing.assert_array_equal(cost.C[-1, :3, :3], Q)
    assert backward(many, cost)[0].K.shape == (4, 6, 2, 3)
    assert backward(many, quadratic(Q, R, Qf=np.tile(Q, (4, 1, 1)), T=6))[0].K.shape == (4, 6, 2, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: linear(A, B.T, 5), "A has shape"),
        (lambda: linear(np.tile(A, (4, 1, 1)), B, 5), "A has shape"),
        (lambda: linear(A, B, 0), "T is 0"),
        (lambda: linear(A, B, 5, cov=-W), "cov"),
        (lambda: quadratic(Q, R), "T is None"),
        (lambda: quadratic(Q, R, N.T, T=5), "N has shape"),
        (lambda: quadratic(Q, R, q=np.zeros((5, 3)), T=5), "q has shape"),
        (lambda: quadratic(Q + np.triu(np.ones((3, 3)), 1), R, T=5), "Q"),
        (lambda: infinite_horizon(A, B, Q), "C has shape"),
        (lambda: infinite_horizon(A, B, Q, R, N.T), "N"),
        (lambda: infinite_horizon(A, B, Q, R, discount=0.0), "discount"),
        (lambda: infinite_horizon(A, B, Q, R, f=np.zeros(2)), "f"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_both_forms_of_the_infinite_horizon_are_the_limit_of_the_backward_pass():
    T = 400
    controller, value = backward(linear(A, B, T, cov=0.1 * W), quadratic(Q, R, N, T=T))
    apart = infinite_horizon(A, B, Q, R, N, cov=0.1 * W)
    glued = infinite_horizon(np.hstack([A, B]), np.block([[Q, N], [N.T, R]]), cov=0.1 * W)
    np.testing.assert_allclose(apart.K, controller.K[0], rtol=1e-9)
    np.testing.assert_allclose(apart.V, value.V[0], rtol=1e-9)
    assert apart.average_cost == pytest.approx(value.const[0] - value.const[1], rel=1e-9)
    for one, other in zip(apart, glued, strict=True):
        np.testing.assert_array_equal(one, other)


def test_affine_terms_give_the_limit_of_the_backward_pass():
    T = 400
    controller, value = backward(linear(A, B, T, f, 0.1 * W), quadratic(Q, R, N, T=T, q=q, r=r))
    found = infinite_horizon(A, B, Q, R, N, cov=0.1 * W, f=f, c=np.concatenate([q, r]))
    np.testing.assert_allclose(found.k, controller.k[0], rtol=1e-8)
    np.testing.assert_allclose(found.v, value.v[0], rtol=1e-8)
    assert found.average_cost == pytest.approx(value.const[0] - value.const[1], rel=1e-8)


def test_a_discount_gives_the_limit_of_discounted_steps():
    T, gamma = 300, 0.9
    shrink = gamma ** np.arange(T + 1)
    cost = quadratic(Q, R, N, T=T, q=q, r=r)
    cost = cost._replace(C=cost.C * shrink[:, None, None], c=cost.c * shrink[:, None])
    controller, value = backward(linear(A, B, T, f, 0.1 * W), cost)
    found = infinite_horizon(
        A, B, Q, R, N, cov=0.1 * W, f=f, c=np.concatenate([q, r]), discount=gamma
    )
    np.testing.assert_allclose(found.K, controller.K[0], rtol=1e-8)
    np.testing.assert_allclose(found.k, controller.k[0], rtol=1e-8)
    np.testing.assert_allclose(found.v, value.v[0], rtol=1e-8)
    assert found.average_cost == pytest.approx((1 - gamma) * value.const[0], rel=1e-8)


def test_a_mode_that_no_action_reaches_may_grow_more_slowly_than_the_discount_falls():
    grow = np.array([[1.02]])
    with pytest.raises(NumericalError, match="stabilising"):
        infinite_horizon(grow, [[0.0]], [[1.0]], [[1.0]])
    found = infinite_horizon(grow, [[0.0]], [[1.0]], [[1.0]], discount=0.9)
    assert found.V[0, 0] == pytest.approx(1 / (1 - 0.9 * 1.02**2))  # a geometric series


def test_a_reference_is_held_where_the_dynamics_can():
    goal = np.linalg.solve(np.eye(3) - A, B @ np.array([0.3, -0.4]))  # a rest of the system
    C = np.block([[Q, N], [N.T, R]])
    found = infinite_horizon(A, B, Q, R, N, c=-C @ np.concatenate([goal, [0.3, -0.4]]))
    x = np.zeros(3)
    for _ in range(500):
        x = A @ x + B @ (found.K @ x + found.k)
    np.testing.assert_allclose(x, goal, rtol=1e-8)
