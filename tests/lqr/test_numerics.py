"""Numbers that a solver says are right are right: optimality conditions, units, constants, far
origins, missing data.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from problems import random_problem

import lqr
from lqr import Action, InputError, Quadratic, WeightedNorm, constrained_ilqr, ilqr


def test_the_box_qp_is_optimal_whatever_the_condition():
    rng = np.random.default_rng(0)
    for _ in range(4000):
        d, decades = int(rng.integers(1, 7)), rng.uniform(0, 10)
        Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
        H = (Q * 10 ** rng.uniform(-decades / 2, decades / 2, d)) @ Q.T
        H = 0.5 * (H + H.T)
        low = rng.normal(size=d)
        high = low + rng.exponential(size=d)
        g = rng.normal(size=d)
        x, _ = lqr.solve_box_qp(H, g, low, high)
        assert (low <= x).all()
        assert (x <= high).all()
        slope = g + H @ x
        size = abs(g) + abs(H) @ abs(x)
        assert (slope >= -1e-10 * size)[x < high].all()
        assert (slope <= 1e-10 * size)[x > low].all()


def test_a_box_qp_whose_start_is_next_to_a_face_ends_at_the_minimiser():
    x, free = lqr.solve_box_qp([[9, 9], [9, 11]], [0.5, 1.3], [-0.9, -0.2], [0.4, 0.8])
    np.testing.assert_allclose(x, [(-0.5 + 9 * 0.2) / 9, -0.2], rtol=1e-12)
    np.testing.assert_array_equal(free, [True, False])


@pytest.mark.parametrize("large", [1.0, 1e6, 1e12])
@pytest.mark.parametrize("size", [(2, 1), (9, 3)])
def test_a_large_entry_hides_no_asymmetry_and_no_negative_variance(large, size):
    dynamics, cost, x0 = random_problem(np.random.default_rng(1), *size)
    C, cov = cost.C.copy(), x0.cov.copy()
    C[2] = np.diag(np.full(sum(size), large))
    C[2, :2, :2] = [[1.0, 0.9], [0.0, 1.0]]
    with pytest.raises(InputError, match=r"cost\.C at index \(2,\).*not symmetric"):
        lqr.backward(dynamics, cost._replace(C=C))
    cov[:] = np.diag([large, *np.full(size[0] - 1, -1e-3)])
    controller, _ = lqr.backward(dynamics, cost)
    with pytest.raises(InputError, match=r"x0\.cov.*not positive semi-definite"):
        lqr.forward(dynamics, controller, x0._replace(cov=cov))


@pytest.mark.parametrize("rho", 10.0 ** np.arange(-2, 8))
@pytest.mark.parametrize("violation", [1e-6, 1e-2])
def test_multipliers_meet_the_conditions_of_an_optimum(rho, violation):
    def limit(X, U):
        G = np.zeros((*X.shape[:-1], 1, 2))
        G[..., :-1, 0, 1] = 1.0
        values = np.full((*X.shape[:-1], 1), -1.0)
        values[..., :-1, 0] = U[..., 0] - 1.0
        return values, G

    found = constrained_ilqr(
        lambda x, u: x,
        Action(1.0, target=2.0),
        limit,
        [0.0],
        [[0.0]],
        rho=rho,
        violation=violation,
        tolerance=1e-15,
    )
    u, multiplier = found.solution.U[0, 0], found.multipliers[0, 0]
    assert found.converged
    assert u - 1 <= violation
    assert multiplier >= 0
    seen = 1e-5 + (2e-16 * rho) ** 0.5  # a cost near 1 hides changes of u below sqrt(2e-16 / rho)
    assert u - 2 + multiplier == pytest.approx(0, abs=2 * seen)
    assert multiplier == pytest.approx(1, abs=2 * (violation + seen))


def pendulum(x, u):
    rate = x[1] + 0.05 * (9.81 * np.sin(x[0]) + u[0])
    return np.array([x[0] + 0.05 * rate, rate])


@pytest.mark.parametrize("turns", [0, 10**5, 10**7])
def test_an_angle_counted_from_far_away_has_the_same_optimum(turns):
    origin = 2 * np.pi * turns
    swing = WeightedNorm([100.0, 10.0], target=[origin, 0.0], ramp="final") + Action(0.01)
    starts = [np.pi + origin, 0.0]
    found = ilqr(pendulum, swing, starts, np.full((40, 1), 0.01), second_order=False)
    near = ilqr(pendulum, WeightedNorm([100.0, 10.0], ramp="final") + Action(0.01), [np.pi, 0.0],
                np.full((40, 1), 0.01), second_order=False)  # fmt: skip
    assert found.cost == pytest.approx(near.cost, rel=1e-4)


@pytest.mark.parametrize("constant", [1e3, 1e9])
@pytest.mark.parametrize("own", [False, True])
def test_a_constant_added_to_the_cost_leaves_the_optimum_where_it_is(constant, own):
    swing = Quadratic(np.diag([100.0, 10.0]), ramp="final") + Action(0.01)
    X, U = np.zeros((41, 2)), np.full((40, 1), 0.01)
    raised = swing + Quadratic(np.zeros((2, 2)), const=constant)
    costs = (swing, raised) if own else (swing.expand(X, U), raised.expand(X, U))
    best, found = (ilqr(pendulum, c, [np.pi, 0.0], U, second_order=False) for c in costs)
    assert swing(found.X, found.U).sum() == pytest.approx(best.cost, rel=1e-5)


def test_weights_that_are_symmetric_but_for_rounding_have_a_stationary_controller():
    rng = np.random.default_rng(2)
    for _ in range(50):
        J, W = rng.normal(size=(3, 4)).astype(np.float32), np.diag(rng.uniform(1, 2, 4))
        Q = J @ W.astype(np.float32) @ J.T
        C = np.zeros((4, 4))
        C[:3, :3], C[3, 3] = Q, 1.0
        F = np.hstack([0.9 * np.eye(3) + 0.1 * rng.normal(size=(3, 3)), rng.normal(size=(3, 1))])
        found = lqr.infinite_horizon(F, C)
        assert abs(np.linalg.eigvals(F[:, :3] + F[:, 3:] @ found.K)).max() < 1


def test_free_actions_have_a_stationary_controller_where_states_cost_enough():
    found = lqr.infinite_horizon([[1.0, 1.0]], np.diag([1.0, 0.0]))
    np.testing.assert_allclose(found.K, [[-1.0]], atol=1e-12)
    np.testing.assert_allclose(found.V, [[1.0]], atol=1e-12)
    with pytest.raises(lqr.NotPositiveDefinite, match="R \\+ B'VB"):
        lqr.infinite_horizon([[0.5, 0.0]], np.diag([1.0, 0.0]))


def test_a_missing_observation_may_have_a_singular_covariance():
    dynamics, _, x0 = random_problem(np.random.default_rng(3), 2, 1, 3)
    H, h = np.ones((4, 1, 2)), np.zeros((4, 1))
    noise = np.ones((4, 1, 1))
    O, U = np.ones((4, 1)), np.zeros((3, 1))
    O[2] = np.nan
    expected = lqr.kalman_filter(dynamics, lqr.LinearGaussianObservation(H, h, noise), x0, U, O)
    H2, noise2 = H.copy(), noise.copy()
    H2[2], noise2[2] = 0.0, 0.0
    found = lqr.kalman_filter(dynamics, lqr.LinearGaussianObservation(H2, h, noise2), x0, U, O)
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.log_likelihood, expected.log_likelihood)


def test_a_quadratic_cost_has_windows_and_constraints_like_any_other():
    rng = np.random.default_rng(4)
    _, cost, _ = random_problem(rng, 2, 1, 6)
    X, U = rng.normal(size=(7, 2)), rng.normal(size=(6, 1))
    xu = np.hstack([X, np.vstack([U, [[0.0]]])])
    each = 0.5 * np.einsum("ti,tij,tj->t", xu, cost.C, xu) + (cost.c * xu).sum(-1) + cost.const
    np.testing.assert_allclose(lqr.window(cost, 2, 3, 6)(X[2:6], U[2:5])[:3], each[2:5])

    def none(X, U):
        return np.full((7, 1), -1.0), np.zeros((7, 1, 3))

    free = ilqr(lambda x, u: 0.5 * x + u[0], cost, X[0], U)
    found = constrained_ilqr(lambda x, u: 0.5 * x + u[0], cost, none, X[0], U)
    assert found.cost == pytest.approx(free.cost, rel=1e-9)


def test_without_a_compiler_the_answers_are_the_same():
    code = """
import numpy as np
from problems import random_problem, random_controller
from lqr import backward, forward, minimise_cost_within_kl, ilqr, solve_box_qp
rng = np.random.default_rng(0)
d, c, x0 = random_problem(rng, lead=(2,))
a = random_controller(rng, lead=(2,))
k, v = backward(d, c, 0.1)
F, f = d.F[0, 0], d.f[0, 0]
one = c._replace(C=c.C[0], c=c.c[0], const=c.const[0])
r = ilqr(lambda x, u: F @ np.r_[x, u] + f, one, x0.mean[0], np.zeros((5, 2)))
out = [v.V.sum(), forward(d, k, x0).cov.sum(), *minimise_cost_within_kl(d, c, a, x0, 0.5).kl, r.cost]
print(*out, *solve_box_qp(np.eye(2), np.ones(2), np.zeros(2), np.ones(2))[0])
"""
    here = Path(__file__).resolve()
    paths = os.pathsep.join([str(here.parents[2]), str(here.parent)])
    numbers = []
    for switch in ("0", "1"):
        env = {**os.environ, "NUMBA_DISABLE_JIT": switch, "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        numbers.append([float(word) for word in done.stdout.split()])
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-9)
