"""Equality constraints against the dense KKT system, with exact multipliers."""

import numpy as np
import pytest
from problems import dense_optimum, random_problem

from lqr import InputError, NumericalError, equality_constrained, linear, quadratic

DX, DU, T = 3, 2, 6
N = DX + DU


def dense(dynamics, cost, constraints, x0):
    """Returns X, U, cost, the constraints' multipliers and the dynamics', by one linear solve."""
    size = (T + 1) * DX + T * DU

    def at(t):
        actions = [(T + 1) * DX + t * DU + i for i in range(DU) if t < T]
        return list(range(t * DX, (t + 1) * DX)) + actions

    H, g, A, b, D, d = np.zeros((size, size)), np.zeros(size), [], [], [], []
    first = np.zeros((DX, size))
    first[:, at(0)[:DX]] = np.eye(DX)
    A.append(-first)
    b.append(x0)
    for t in range(T + 1):
        m = len(at(t))
        H[np.ix_(at(t), at(t))] += cost.C[t][:m, :m]
        g[at(t)] += cost.c[t][:m]
        if t < T:
            row = np.zeros((DX, size))
            row[:, at(t)] = dynamics.F[t]
            row[:, at(t + 1)[:DX]] -= np.eye(DX)
            A.append(row)
            b.append(dynamics.f[t])
        if constraints[t] is not None:
            row = np.zeros((len(constraints[t][1]), size))
            row[:, at(t)] = constraints[t][0]
            D.append(row)
            d.append(constraints[t][1])
    rows, right = np.vstack(A + D), np.concatenate(b + d)
    kkt = np.block([[H, rows.T], [rows, np.zeros((len(rows), len(rows)))]])
    z = np.linalg.solve(kkt, np.concatenate([-g, -right]))
    y, model = z[:size], (T + 1) * DX
    X, U = y[: (T + 1) * DX].reshape(T + 1, DX), y[(T + 1) * DX :].reshape(T, DU)
    total = 0.5 * y @ H @ y + g @ y + cost.const.sum()
    return X, U, total, z[size + model :], z[size : size + model].reshape(T + 1, DX)


def some(rng):
    """Constraints of several kinds: mixed, on the state alone, on the last state."""
    rows = [None] * (T + 1)
    rows[2] = (rng.normal(size=(1, N)), rng.normal(size=1))
    rows[4] = (np.hstack([rng.normal(size=(2, DX)), np.zeros((2, DU))]), rng.normal(size=2))
    rows[5] = (rng.normal(size=(1, N)), rng.normal(size=1))
    rows[T] = (rng.normal(size=(2, DX)), rng.normal(size=2))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_the_optimum_and_its_multipliers_are_those_of_the_dense_kkt_system(seed):
    rng = np.random.default_rng(seed)
    dynamics, cost, x0 = random_problem(rng, DX, DU, T)
    rows = some(rng)
    found = equality_constrained(dynamics, cost, rows, x0.mean)
    X, U, total, multipliers, costates = dense(dynamics, cost, rows, x0.mean)
    np.testing.assert_allclose(found.X, X, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.U, U, rtol=1e-8, atol=1e-9)
    assert found.cost == pytest.approx(total)
    np.testing.assert_allclose(np.concatenate(found.multipliers), multipliers, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found.costates, costates, rtol=1e-7, atol=1e-8)


def test_a_multiplier_is_the_slope_of_the_cost():
    rng = np.random.default_rng(7)
    dynamics, cost, x0 = random_problem(rng, DX, DU, T)
    rows, ends = some(rng), []
    for sign in (1e-5, -1e-5):
        moved = list(rows)
        moved[4] = (rows[4][0], rows[4][1] + sign * np.array([0.0, 1.0]))
        ends.append(equality_constrained(dynamics, cost, moved, x0.mean).cost)
    slope = equality_constrained(dynamics, cost, rows, x0.mean).multipliers[4][1]
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_the_unit_of_a_constraint_changes_its_multiplier_alone():
    rng = np.random.default_rng(10)
    dynamics, cost, x0 = random_problem(rng, DX, DU, T)
    rows = some(rng)
    plain = equality_constrained(dynamics, cost, rows, x0.mean)
    units = np.array([1e-12, 1e6])
    rows[4] = (rows[4][0] * units[:, None], rows[4][1] * units)
    found = equality_constrained(dynamics, cost, rows, x0.mean)
    np.testing.assert_allclose(found.U, plain.U, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found.multipliers[4] * units, plain.multipliers[4], rtol=1e-8)
    np.testing.assert_allclose(found.costates, plain.costates, rtol=1e-8, atol=1e-9)


def test_without_constraints_it_is_the_regulator():
    dynamics, cost, x0 = random_problem(np.random.default_rng(8), DX, DU, T)
    found = equality_constrained(dynamics, cost, [None] * (T + 1), x0.mean)
    U, total = dense_optimum(dynamics, cost, x0.mean)
    np.testing.assert_allclose(found.U, U, rtol=1e-9, atol=1e-10)
    assert found.cost == pytest.approx(total)


def test_the_controller_meets_the_end_from_another_state_too():
    dynamics, cost, x0 = random_problem(np.random.default_rng(9), DX, DU, T)
    rows = [None] * T + [(np.eye(DX), -np.ones(DX))]
    K, k, _ = equality_constrained(dynamics, cost, rows, x0.mean).controller
    x = x0.mean + 1.0
    for t in range(T):
        x = dynamics.F[t] @ np.concatenate([x, K[t] @ x + k[t]]) + dynamics.f[t]
    np.testing.assert_allclose(x, np.ones(DX), rtol=1e-8)


def test_what_no_trajectory_can_meet_is_refused():
    dynamics, cost = linear(np.eye(3), np.ones((3, 2)), T), quadratic(np.eye(3), np.eye(2), T=T)
    apart = [None] * T + [(np.array([[1.0, -1.0, 0.0]]), np.array([-1.0]))]  # x moves as one
    with pytest.raises(NumericalError, match="no trajectory from x0 meets"):
        equality_constrained(dynamics, cost, apart, np.zeros(3))
    both = [None] * T + [(np.ones((2, 3)), np.array([1.0, 2.0]))]
    with pytest.raises(NumericalError, match="contradict"):
        equality_constrained(dynamics, cost, both, np.zeros(3))


def test_what_does_not_fit_is_named():
    dynamics, cost = linear(np.eye(3), np.ones((3, 2)), T), quadratic(np.eye(3), np.eye(2), T=T)
    for rows, words in (
        ([None] * T, f"constraints has {T} entries; expected {T + 1}"),
        ([(np.ones((1, 4)), np.zeros(1))] + [None] * T, r"constraints\[0\]: D has shape"),
        ([None] * T + [np.eye(3)], r"constraints\[6\] is a ndarray"),
    ):
        with pytest.raises(InputError, match=words):
            equality_constrained(dynamics, cost, rows, np.zeros(3))


def test_a_batch_is_its_problems_one_by_one():
    rng = np.random.default_rng(7)
    dynamics, cost, x0 = random_problem(rng, DX, DU, T, (2, 3))
    each = [[some(rng) for _ in range(3)] for _ in range(2)]
    rows = [
        None
        if each[0][0][t] is None
        else tuple(np.array([[row[t][i] for row in line] for line in each]) for i in (0, 1))
        for t in range(T + 1)
    ]
    rows[2] = each[0][0][2]  # one for all
    found = equality_constrained(dynamics, cost, rows, x0.mean)
    for at in np.ndindex(2, 3):
        problem = [type(p)(*(a[at] for a in p)) for p in (dynamics, cost)]
        own = [None if r is None else (r[0][at], r[1][at]) for r in [*rows[:2], None, *rows[3:]]]
        own[2] = rows[2]
        X, U, total, multipliers, _ = dense(*problem, own, x0.mean[at])
        np.testing.assert_allclose(found.X[at], X, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(found.U[at], U, rtol=1e-8, atol=1e-8)
        assert found.cost[at] == pytest.approx(total)
        mine = np.concatenate([m[at] for m in found.multipliers])
        np.testing.assert_allclose(mine, multipliers, rtol=1e-6, atol=1e-7)
    assert found.controller.K.shape == (2, 3, T, DU, DX)


def test_which_problem_of_a_batch_has_no_answer_is_named():
    dynamics, cost, x0 = random_problem(np.random.default_rng(8), DX, DU, T, (2,))
    rows = [None] * (T + 1)
    rows[0] = (np.eye(DX, N), -x0.mean)
    equality_constrained(dynamics, cost, rows, x0.mean)
    moved = x0.mean + np.array([[0.0], [0.1]])
    with pytest.raises(NumericalError, match="problem 1: no trajectory from x0"):
        equality_constrained(dynamics, cost, rows, moved)
    with pytest.raises(InputError, match="leading axes do not broadcast"):
        equality_constrained(dynamics, cost, rows, x0.mean[[0, 0, 0]])
