"""Plain functions as costs, and equality constraints of nonlinear problems."""

import numpy as np
import pytest
from scipy.optimize import minimize

from lqr import Action, CostFunction, InputError, WeightedNorm, constrained_ilqr, ilqr

rng = np.random.default_rng(0)


def of_step(x, u):
    return np.cos(x[..., 0]) * x[..., 1] + 0.5 * u[..., 0] ** 2 * x[..., 1] + x[..., 0] * u[..., 1]


def test_the_expansion_of_a_function_has_the_derivatives_on_paper():
    X, U = rng.normal(size=(2, 4, 2)), rng.normal(size=(2, 3, 2))
    cost = CostFunction(of_step, final=lambda x: 3.0 * x[..., 1] ** 2)
    C, c, const = cost.expand(X, U)
    (a, b), (p, q) = np.moveaxis(X[:, :-1], -1, 0), np.moveaxis(U, -1, 0)
    zero = np.zeros_like(a)
    H = [
        [-np.cos(a) * b, -np.sin(a), zero, zero + 1],
        [-np.sin(a), zero, p, zero],
        [zero, p, b, zero],
        [zero + 1, zero, zero, zero],
    ]
    np.testing.assert_allclose(C[:, :-1], np.moveaxis(H, (0, 1), (-2, -1)), atol=1e-6)
    g = np.stack([-np.sin(a) * b + q, np.cos(a) + 0.5 * p**2, p * b, a], -1)
    xu = np.concatenate([X[:, :-1], U], -1)
    np.testing.assert_allclose(c[:, :-1] + (C[:, :-1] @ xu[..., None])[..., 0], g, atol=1e-6)
    last = np.zeros((2, 4, 4))
    last[:, 1, 1] = 6.0
    np.testing.assert_allclose(C[:, -1], last, atol=1e-6)
    whole = 0.5 * np.einsum("bti,btij,btj->bt", xu, C[:, :-1], xu) + (c[:, :-1] * xu).sum(-1)
    np.testing.assert_allclose(whole + const[:, :-1], of_step(X[:, :-1], U), atol=1e-9)


def pendulum(x, u):
    rate = x[1] + 0.1 * (np.sin(x[0]) + u[0])
    return np.array([x[0] + 0.1 * rate, rate])


def test_ilqr_takes_a_plain_function_and_finds_what_it_finds_with_exact_derivatives():
    exact = WeightedNorm([1.0, 0.1]) + Action(0.1)

    def plain(x, u):
        return 0.5 * (x[..., 0] ** 2 + 0.1 * x[..., 1] ** 2) + 0.05 * (u**2).sum(-1)

    start, U = np.array([1.0, 0.0]), np.zeros((15, 1))
    expected, found = ilqr(pendulum, exact, start, U), ilqr(pendulum, plain, start, U)
    assert found.converged
    assert found.cost == pytest.approx(expected.cost, rel=1e-9)
    np.testing.assert_allclose(found.U, expected.U, atol=1e-5)
    np.testing.assert_array_equal(found.U, ilqr(pendulum, CostFunction(plain), start, U).U)


def test_what_a_function_gives_wrong_is_named():
    X, U = np.zeros((4, 2)), np.zeros((3, 1))
    with pytest.raises(InputError, match=r"cost\(x, u\) gave shape \(4, 2\)"):
        CostFunction(lambda x, u: x)(X, U)
    with pytest.raises(InputError, match="float32, whose differences are no derivatives"):
        CostFunction(lambda x, u: x[..., 0].astype(np.float32)).expand(X, U)
    with pytest.raises(InputError, match="final failed with ZeroDivisionError"):
        CostFunction(lambda x, u: x[..., 0], final=lambda x: 1 / 0)(X, U)
    with pytest.raises(InputError, match="cost is 3"):
        CostFunction(3)


def test_equality_constraints_are_met_with_the_multipliers_of_slsqp():
    cost = WeightedNorm([0.1, 0.1]) + Action(0.1)
    T = 15

    def constraint(X, U):  # on the unit circle at the end, and rate below 0.9 always
        g, G = np.zeros((T + 1, 2)), np.zeros((T + 1, 2, 3))
        g[-1, 0] = (X[-1] ** 2).sum() - 1.0
        G[-1, 0, :2] = 2 * X[-1]
        g[:, 1] = X[:, 1] - 0.9
        G[:, 1, 1] = 1.0
        return g, G

    start, U = np.array([0.2, 0.1]), np.full((T, 1), 0.5)
    found = constrained_ilqr(
        pendulum, cost, constraint, start, U, equality=[True, False], violation=1e-8
    )
    assert found.converged
    end = found.solution.X[-1]
    assert abs((end**2).sum() - 1.0) <= 1e-8
    assert found.solution.X[:, 1].max() <= 0.9 + 1e-8

    def rollout(u):
        X = [start]
        for a in u:
            X.append(pendulum(X[-1], [a]))
        return np.array(X)

    def solved(radius):
        return minimize(
            lambda u: cost(rollout(u), u[:, None]).sum(), found.solution.U[:, 0], method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
            constraints=[
                {"type": "eq", "fun": lambda u: (rollout(u)[-1] ** 2).sum() - radius},
                {"type": "ineq", "fun": lambda u: 0.9 - rollout(u)[:, 1]},
            ],
        )  # fmt: skip

    assert found.cost == pytest.approx(solved(1.0).fun, rel=1e-6)
    slope = -(solved(1.001).fun - solved(0.999).fun) / 0.002  # g = |x|^2 - radius
    assert found.multipliers[-1, 0] == pytest.approx(slope, rel=1e-2)
    assert found.multipliers[-1, 0] < 0  # to be further out costs more, and g < 0 inside
    with pytest.raises(InputError, match=r"equality is \[True\]; expected True, False, or boolean"):
        constrained_ilqr(pendulum, cost, constraint, start, U, equality=[True])
