"""Batches of trajectory optimisation: every problem is solved as if it were alone."""

import mujoco
import numpy as np
import pytest
from scipy.optimize import minimize
from systems import SYSTEMS, quadratic

from lqr import Action, InputError, WeightedNorm, constrained_ilqr, ilqr, receding_horizon, shift

S = SYSTEMS["pendulum"]
X0 = S.x0 + np.array(
    [[[0.0, 0.0], [0.3, 0.0]], [[0.0, -0.5], [-1.0, 1.0]], [[-3.0, 0.0], [0.1, 0.1]]]
)  # (3, 2, 2)
COST = WeightedNorm([100.0, 10.0], ramp="final") + WeightedNorm([0.01, 0.01]) + Action(0.01)


def python(x, u):
    return S.dynamics.py_func(x, u)


def many(x, u):
    rate = x[..., 1:] + 0.05 * (9.81 * np.sin(x[..., :1]) + u)
    return np.concatenate([x[..., :1] + 0.05 * rate, rate], -1)


@pytest.mark.parametrize("second_order", [None, False, True])
@pytest.mark.parametrize("way", ["compiled", "python", "vectorised", "terms"])
def test_a_batch_gives_what_its_problems_give_alone(way, second_order):
    f = {"compiled": S.dynamics, "python": python, "vectorised": many, "terms": S.dynamics}[way]
    cost = COST if way == "terms" else S.cost
    options = {
        "low": -5.0,
        "high": 5.0,
        "second_order": second_order,
        "vectorised": way == "vectorised",
    }
    together = ilqr(f, cost, X0, S.U, **options, max_iterations=15)
    assert together.X.shape == (3, 2, 61, 2)
    assert together.controller.K.shape == (3, 2, 60, 1, 2)
    assert together.cost.shape == together.iterations.shape == together.status.shape == (3, 2)
    for i in ((0, 0), (1, 1), (2, 0)):
        alone = ilqr(f, cost, X0[i], S.U, **options, max_iterations=15)
        assert together.iterations[i] == alone.iterations
        assert together.status[i] == alone.status
        np.testing.assert_allclose(together.U[i], alone.U, rtol=1e-6, atol=1e-6)
        assert together.cost[i] == pytest.approx(alone.cost, rel=1e-8)


def test_dynamics_of_any_leading_axes_are_asked_for_the_unfinished_problems_alone():
    asked = []

    def slopes(X, U):
        asked.append(X.shape[:-1])
        F = np.zeros((*X.shape, 3))
        F[..., 1, 0], F[..., 1, 1], F[..., 1, 2] = 0.05 * 9.81 * np.cos(X[..., 0]), 1.0, 0.05
        F[..., 0, :] = 0.05 * F[..., 1, :]
        F[..., 0, 0] += 1.0
        return F

    options = {
        "low": -5.0,
        "high": 5.0,
        "second_order": False,
        "max_iterations": 60,
        "jacobian": slopes,
    }
    whole = ilqr(many, S.cost, X0, S.U, **options, vectorised=True)
    assert set(asked) == {(3, 2, 60)}
    asked.clear()
    parts = ilqr(many, S.cost, X0, S.U, **options, vectorised="any")
    np.testing.assert_allclose(parts.U, whole.U, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(parts.iterations, whole.iterations)
    assert len(set(whole.iterations.ravel().tolist())) > 1
    assert asked[0] == (6, 60)
    assert min(shape[0] for shape in asked) < 6


def test_a_problem_that_has_converged_stops_changing_and_callbacks_carry_the_axes():
    seen = []
    r = ilqr(S.dynamics, S.cost, X0[:, 0], S.U, callback=seen.append)
    ends = r.iterations
    assert len(set(ends.tolist())) > 1
    for b, end in enumerate(ends):
        for progress in seen[end - 1 :]:
            np.testing.assert_array_equal(progress.U[b], r.U[b])
    assert seen[0].cost.shape == seen[0].mu.shape == seen[0].step.shape == (3,)
    some = ilqr(S.dynamics, S.cost, X0[:, 0], S.U, callback=lambda p: np.arange(3) == 1)
    assert some.status[1] == "stopped by the callback"
    assert some.iterations[1] == 1
    np.testing.assert_array_equal(some.cost[[0, 2]], r.cost[[0, 2]])


def test_costs_limits_and_activity_may_differ_between_problems():
    cost = type(S.cost)(*(np.stack([a, 2 * a]) for a in S.cost))
    limit = np.array([3.0, 8.0])[:, None, None]
    r = ilqr(S.dynamics, cost, S.x0, S.U, low=-limit, high=limit, active=[True, False])
    assert abs(r.U[0]).max() == 3.0
    np.testing.assert_array_equal(r.U[1], S.U)
    assert r.status[1] == "not active"
    assert not r.converged[1]


def test_constraints_are_met_in_each_problem_as_alone():
    def f(x, u):
        return np.array([x[0] + 0.1 * x[1], x[1] + 0.1 * u[0]])

    def slow(X, U):
        G = np.zeros((*X.shape[:-1], 1, 3))
        G[..., 0, 1] = 1.0
        return X[..., 1:] - 0.4, G

    cost = WeightedNorm([100.0, 10.0], target=[1.0, 0.0], ramp="final") + Action(0.1)
    starts = np.array([[0.0, 0.0], [0.5, 0.0]])
    r = constrained_ilqr(f, cost, slow, starts, np.zeros((25, 1)), rho=1.0)
    assert r.converged.all()
    assert (r.violation < 1e-5).all()
    for b in range(2):
        alone = constrained_ilqr(f, cost, slow, starts[b], np.zeros((25, 1)), rho=1.0)
        assert r.rounds[b] == alone.rounds
        np.testing.assert_allclose(r.solution.U[b], alone.solution.U, atol=1e-6)
        np.testing.assert_allclose(r.multipliers[b], alone.multipliers, atol=1e-5)
    with pytest.raises(InputError, match="rho"):
        constrained_ilqr(f, cost, slow, starts, np.zeros((25, 1)), rho=0.0)
    with pytest.raises(InputError, match="constraint gave"):
        constrained_ilqr(f, cost, lambda X, U: (X, X), starts, np.zeros((25, 1)))


def test_a_receding_horizon_carries_a_batch():
    cost = quadratic(30, [1.0, 0.1, 0.01], [10, 1, 0], [0, 0, 0])
    x0 = np.array([[0.4, 0.0], [-0.2, 0.3]])
    X, U = receding_horizon(
        many,
        lambda x, u: ilqr(S.dynamics, cost, x, u, low=-5.0, high=5.0, max_iterations=3),
        x0,
        np.zeros((2, 30, 1)),
        50,
    )
    assert X.shape == (2, 51, 2)
    assert U.shape == (2, 50, 1)
    assert abs(X[:, -1]).max() < 0.01
    with pytest.raises(InputError, match="steps"):
        shift(np.zeros((3, 1)), -1)


def test_mujocos_box_qp_gives_the_same_answer():
    s = SYSTEMS["arm"]

    def solve(H, g, low, high):
        n = len(g)
        x, R, index = np.zeros(n), np.zeros((n, n + 7)), np.zeros(n, np.int32)
        free = mujoco.mju_boxQP(x, R, index, H, g, low, high)
        if free < 0:
            raise np.linalg.LinAlgError("not definite")
        mask = np.zeros(n, bool)
        mask[index[:free]] = True
        return x, mask

    ours = ilqr(s.dynamics, s.cost, s.x0, s.U, low=-6.0, high=6.0)
    theirs = ilqr(s.dynamics, s.cost, s.x0, s.U, low=-6.0, high=6.0, solve_qp=solve)
    assert theirs.cost == pytest.approx(ours.cost, rel=1e-8)
    np.testing.assert_allclose(theirs.U, ours.U, atol=1e-3)
    assert abs(theirs.U).max() <= 6.0


def acrobot(x, u):
    """Two unit rods, hanging at 0, a torque at the elbow only; semi-implicit Euler with 0.02 s."""
    c, s = np.cos(x[1]), np.sin(x[1])
    M = np.array([[5 / 3 + c, 1 / 3 + c / 2], [1 / 3 + c / 2, 1 / 3]])
    g1 = 9.81 * (1.5 * np.sin(x[0]) + 0.5 * np.sin(x[0] + x[1]))
    r = np.array(
        [
            0.5 * s * (2 * x[2] * x[3] + x[3] ** 2) - g1,
            u[0] - 0.5 * s * x[2] ** 2 - 4.905 * np.sin(x[0] + x[1]),
        ]
    )
    v = x[2:] + 0.02 * np.linalg.solve(M, r)
    return np.concatenate([x[:2] + 0.02 * v, v])


def test_an_acrobot_swings_up_to_a_stationary_point():
    # there are several optima, so the test is of the gradient of the total cost, by plain
    # differences
    cost = WeightedNorm([100.0, 100.0, 10.0, 10.0], target=[np.pi, 0, 0, 0], ramp="final") + Action(
        0.01
    )
    x0, U = np.zeros(4), 2.0 * np.sin(0.1 * np.arange(100))[:, None]
    r = ilqr(acrobot, cost, x0, U, max_iterations=300, second_order=True)
    assert r.converged, r.status

    def evaluate(u):
        X = [x0]
        for a in u:
            X.append(acrobot(X[-1], a))
        return cost(np.array(X), u).sum()

    e = 1e-6 * np.eye(100)[..., None]
    slope = np.array([(evaluate(r.U + d) - evaluate(r.U - d)) / 2e-6 for d in e])
    first = np.array([(evaluate(U + d) - evaluate(U - d)) / 2e-6 for d in e])
    assert abs(slope).max() < 2e-4 * abs(first).max()
    assert r.cost < 0.5 * evaluate(U)


def test_the_cart_pole_costs_what_a_general_optimiser_finds():
    s = SYSTEMS["cartpole"]
    r = ilqr(s.dynamics, s.cost, s.x0, s.U, low=-12.0, high=12.0, jacobian=s.jacobian)

    def evaluate(u):
        X = [s.x0]
        for a in u:
            X.append(s.dynamics(X[-1], np.array([a])))
        X, F = np.array(X), s.jacobian(np.array(X)[:-1], u[:, None])
        xu = np.concatenate([X, np.append(u, 0.0)[:, None]], 1)
        g = (s.cost.C @ xu[..., None])[..., 0] + s.cost.c
        slope, p = np.zeros(60), g[60, :4]
        for t in range(59, -1, -1):  # the adjoint of the rollout
            q = g[t] + F[t].T @ p
            slope[t], p = q[4], q[:4]
        return (0.5 * xu * (g + s.cost.c)).sum() + s.cost.const.sum(), slope

    best = minimize(
        evaluate, r.U[:, 0] + 0.05 * np.sin(np.arange(60)), jac=True, method="L-BFGS-B", bounds=[(-12, 12)] * 60,
        options={"maxiter": 3000, "maxfun": 6000, "ftol": 1e-13, "gtol": 1e-8},
    )  # fmt: skip
    assert r.cost == pytest.approx(evaluate(r.U[:, 0])[0], rel=1e-9)
    assert r.cost <= best.fun + 1e-5
    assert r.cost == pytest.approx(best.fun, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"U": np.zeros((60, 1)) * np.nan}, r"U is nan at index \(0, 0\)"),
        ({"x0": "here"}, "x0 is no array"),
        ({"x0": np.zeros(3)}, "dx \\+ du"),
        ({"low": np.zeros(7)}, "low has shape"),
        ({"x0": np.zeros((2, 2)), "U": np.zeros((3, 60, 1))}, "do not broadcast"),
        ({"low": 1.0, "high": -1.0, "x0": np.zeros((2, 2))}, r"step 0, action 0 of problem \(0,\)"),
        ({"dynamics": lambda x, u: x[:1]}, r"dynamics gave shape \(1,\)"),
        ({"jacobian": lambda X, U: X}, "jacobian gave shape"),
        ({"dynamics": lambda x, u: x / (x[0] > 1), "x0": [[2.0, 1.0], [0.0, 1.0]]}, r"problem \(1,\) is not finite"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
        ({"cost": S.cost._replace(c=S.cost.c * np.nan)}, "cost.c is nan at index"),
    ],
)  # fmt: skip
def test_bad_input_is_named(change, message):
    good = {"dynamics": S.dynamics, "cost": S.cost, "x0": S.x0, "U": S.U}
    with pytest.raises(InputError, match=message), np.errstate(all="ignore"):
        ilqr(**{**good, **change})
