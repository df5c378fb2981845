"""iLQR and DDP: one step on LQ problems, stationarity by finite differences, box limits,
constraints, re-planning.
"""

from collections import Counter
from functools import partial

import numpy as np
import pytest
from problems import dense_optimum, random_problem
from scipy.optimize import lsq_linear, minimize
from systems import SYSTEMS, quadratic

from lqr import InputError, LinearGaussianDynamics, backward
from lqr.box_qp import ilqr_backward_with, solve_box_qp
from lqr.constrained import constrained_ilqr
from lqr.costs import Action, Quadratic, WeightedNorm
from lqr.ilqr import ilqr
from lqr.kernels import ilqr_backward as kernels
from lqr.kernels.ilqr_backward import compiled_ilqr_backward
from lqr.receding_horizon import receding_horizon, shift


def total_cost(dynamics, cost, x0, U):
    X = [x0]
    for u in U:
        X.append(dynamics(X[-1], u))
    xu = np.concatenate([np.array(X), np.vstack([U, np.zeros((1, U.shape[1]))])], 1)
    return (
        0.5 * np.einsum("ti,tij,tj->t", xu, cost.C, xu) + (cost.c * xu).sum(1) + cost.const
    ).sum()


def gradient(dynamics, cost, x0, U, h=1e-5):
    steps = h * np.eye(U.size).reshape(-1, *U.shape)
    slopes = [
        (total_cost(dynamics, cost, x0, U + e) - total_cost(dynamics, cost, x0, U - e)) / (2 * h)
        for e in steps
    ]
    return np.array(slopes).reshape(U.shape)


@pytest.mark.parametrize("seed", range(3))
def test_a_linear_quadratic_problem_is_solved_in_one_step(seed):
    dynamics, cost, x0 = random_problem(np.random.default_rng(seed))
    F, f = dynamics.F[0], dynamics.f[0]
    dynamics = dynamics._replace(F=np.tile(F, (5, 1, 1)), f=np.tile(f, (5, 1)))
    U, least = dense_optimum(dynamics, cost, x0.mean)
    costs = []
    r = ilqr(
        lambda x, u: F @ np.concatenate([x, u]) + f, cost, x0.mean, np.zeros((5, 2)), mu=0.0,
        callback=lambda p: costs.append(p.cost),
    )  # fmt: skip
    assert costs[0] == pytest.approx(least, rel=1e-8)
    np.testing.assert_allclose(r.U, U, rtol=1e-5, atol=1e-6)
    assert r.converged


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("boxed", [False, True])
def test_swing_ups_arrive_and_are_stationary_within_their_limits(name, second_order, boxed):
    dynamics, _, cost, x0, U, limit = SYSTEMS[name]
    limit = limit if boxed else np.inf
    r = ilqr(dynamics, cost, x0, U, low=-limit, high=limit, second_order=second_order)
    assert r.converged, r.status
    d = len(x0) // 2  # positions first
    goal = -cost.c[-1, :d] / np.diag(cost.C[-1])[:d]
    np.testing.assert_allclose(r.X[-1, :d], goal, atol=0.1)
    assert abs(r.U).max() <= limit
    g = gradient(dynamics, cost, x0, r.U)
    inside = abs(r.U) < limit
    scale = 1e-3 * (1 + abs(gradient(dynamics, cost, x0, U)).max())
    assert abs(g[inside]).max() < scale  # KKT: no slope inside, and outward pressure on the faces
    assert (g[~inside] * np.sign(r.U[~inside]) < scale).all()
    assert total_cost(dynamics, cost, x0, r.U) == pytest.approx(r.cost, rel=1e-9)


def test_the_pendulum_costs_what_a_general_optimiser_finds():
    dynamics, _, cost, x0, U, limit = SYSTEMS["pendulum"]
    r = ilqr(dynamics, cost, x0, U, low=-limit, high=limit, second_order=True)
    best = minimize(
        lambda u: total_cost(dynamics, cost, x0, u[:, None]), r.U[:, 0] + 0.1 * np.sin(np.arange(60)),
        jac=lambda u: gradient(dynamics, cost, x0, u[:, None])[:, 0], method="L-BFGS-B", bounds=[(-limit, limit)] * 60,
    )  # fmt: skip
    assert r.cost <= best.fun + 1e-5
    assert r.cost == pytest.approx(best.fun, rel=1e-3)


def test_ddp_needs_fewer_iterations_than_ilqr_and_a_given_hessian_is_used():
    dynamics, _, cost, x0, U, _ = SYSTEMS["pendulum"]
    plain, newton = (ilqr(dynamics, cost, x0, U, second_order=s) for s in (False, True))
    assert newton.iterations < 0.5 * plain.iterations

    def hessian(X, _):  # of x' = [x0 + dt y, y], y = x1 + dt (9.81 sin x0 + u)
        H = np.zeros((len(X), 2, 3, 3))
        H[:, 1, 0, 0] = -0.05 * 9.81 * np.sin(X[:, 0])
        H[:, 0, 0, 0] = 0.05 * H[:, 1, 0, 0]
        return H

    given = ilqr(dynamics, cost, x0, U, hessian=hessian)
    assert given.iterations == newton.iterations
    assert given.cost == pytest.approx(newton.cost, rel=1e-8)


def test_jacobians_an_uncompiled_solve_and_a_foreign_qp_solver_lead_to_the_same_optimum():
    dynamics, _, cost, x0, U, limit = SYSTEMS["pendulum"]
    calls = []

    def jacobian(X, _):
        F = np.zeros((len(X), 2, 3))
        F[:, 1] = np.stack(
            [0.05 * 9.81 * np.cos(X[:, 0]), np.ones(len(X)), np.full(len(X), 0.05)], 1
        )
        F[:, 0] = [1, 0, 0] + 0.05 * F[:, 1]
        return F

    def qp(H, g, low, high):
        calls.append(1)
        x = np.clip(-g / H[0], low, high)
        return x, (x > low) & (x < high)

    ours = ilqr(dynamics, cost, x0, U, low=-limit, high=limit)
    for options in ({"jacobian": jacobian}, {"solve_qp": qp}, {"callback": lambda p: None}):
        other = ilqr(dynamics, cost, x0, U, low=-limit, high=limit, **options)
        assert other.cost == pytest.approx(ours.cost, rel=1e-6)
    assert calls


@pytest.mark.parametrize("seed", range(20))
def test_the_box_qp_agrees_with_a_bounded_least_squares_solver(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 8))
    A, b = rng.normal(size=(d + 2, d)), rng.normal(size=d + 2)
    low, high = -rng.uniform(0, 0.5, d), rng.uniform(0, 0.5, d)
    x, free = solve_box_qp(A.T @ A, -A.T @ b, low, high)
    np.testing.assert_allclose(x, lsq_linear(A, b, (low, high), tol=1e-14).x, atol=1e-6)
    np.testing.assert_allclose((A.T @ (A @ x - b))[free], 0.0, atol=1e-9)
    assert (x >= low).all()
    assert (x <= high).all()


def test_a_box_qp_without_a_minimum_is_refused():
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        solve_box_qp(-np.eye(2), np.ones(2), -np.ones(2), np.ones(2))


def test_a_warm_start_at_the_optimum_ends_at_once_and_the_controller_follows_the_plan():
    dynamics, _, cost, x0, U, _ = SYSTEMS["arm"]
    r = ilqr(dynamics, cost, x0, U)
    again = ilqr(dynamics, cost, x0, r.U)
    assert again.iterations <= 5
    x = x0
    for t in range(len(U)):
        u = r.controller.K[t] @ x + r.controller.k[t]
        np.testing.assert_allclose(u, r.U[t], atol=1e-9)
        x = dynamics(x, u)


def test_a_callback_sees_falling_costs_and_can_stop():
    dynamics, _, cost, x0, U, _ = SYSTEMS["arm"]
    seen = []
    r = ilqr(dynamics, cost, x0, U, callback=lambda p: seen.append(p) or len(seen) == 4)
    assert [p.iteration for p in seen] == [1, 2, 3, 4]
    assert (np.diff([p.cost for p in seen]) <= 0).all()
    assert not r.converged
    assert r.status == "stopped by the callback"


def test_replanning_holds_the_pendulum_up_against_a_wrong_model():
    dynamics, limit, x0 = SYSTEMS["pendulum"].dynamics, 5.0, np.array([0.4, 0.0])
    cost = quadratic(30, [1.0, 0.1, 0.01], [10, 1, 0], [0, 0, 0])

    def plan(x, warm):
        return ilqr(dynamics, cost, x, warm, low=-limit, high=limit, max_iterations=3)

    X, actions = receding_horizon(
        lambda x, u: dynamics(x, 0.97 * u), plan, x0, np.zeros((30, 1)), 60
    )
    assert abs(X[-1]).max() < 0.01
    assert abs(actions).max() <= limit
    np.testing.assert_array_equal(shift(np.array([[1.0], [2.0], [3.0]]), 2), [[3.0], [3.0], [3.0]])


def test_a_state_constraint_binds_with_a_multiplier_and_complementary_slackness():
    # a point mass goes from 0 to 1 under a speed limit; the velocity is x[1]
    def dynamics(x, u):
        return np.array([x[0] + 0.1 * x[1], x[1] + 0.1 * u[0]])

    def constraint(X, U):
        G = np.zeros((len(X), 1, 3))
        G[:, 0, 1] = 1.0
        return X[:, 1:] - 0.4, G

    cost = WeightedNorm([100.0, 10.0], target=[1.0, 0.0], ramp="final") + Action(0.1)
    free = ilqr(dynamics, cost, np.zeros(2), np.zeros((25, 1)))
    r = constrained_ilqr(dynamics, cost, constraint, np.zeros(2), np.zeros((25, 1)), rho=1.0)
    assert free.X[:, 1].max() > 0.41
    assert r.converged
    assert r.violation < 1e-5
    assert r.cost > free.cost
    np.testing.assert_allclose(r.multipliers[:, 0] * (r.solution.X[:, 1] - 0.4), 0.0, atol=1e-4)

    def rollout(u):
        X = [np.zeros(2)]
        for a in u:
            X.append(dynamics(X[-1], [a]))
        return np.array(X)

    found = minimize(
        lambda u: cost(rollout(u), u[:, None]).sum(), np.zeros(25), method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 300},
        constraints={"type": "ineq", "fun": lambda u: 0.4 - rollout(u)[:, 1]},
    )  # fmt: skip
    assert r.cost == pytest.approx(found.fun, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"U": np.zeros(5)}, "U has shape"),
        ({"low": 1.0, "high": -1.0}, "low is 1.0, high is -1.0 at step 0"),
        ({"x0": np.array([np.nan])}, "x0 is nan at index"),
        ({"dynamics": lambda x, u: x * np.inf}, "dynamics gave inf at index"),
    ],
)
def test_bad_arguments_of_ilqr_are_named(change, message):
    good = {
        "dynamics": lambda x, u: x + u,
        "cost": Quadratic(np.eye(2)),
        "x0": np.ones(1),
        "U": np.zeros((5, 1)),
    }
    with pytest.raises(InputError, match=message):
        ilqr(**{**good, **change})


def backward_of(ilqr_backward, dynamics, cost, H, low, high, mu):
    """Returns K, k and the promised change, of a backward pass around zero."""
    T, dx, n = dynamics.F.shape
    K = np.zeros((1, T, n - dx, dx))
    k = np.zeros((1, T, n - dx))
    definite = np.ones(1, bool)
    promise = np.zeros((2, 1))
    F, C, c = (a[None] for a in (dynamics.F, cost.C, cost.c))
    U, S, yes = np.zeros_like(k), np.zeros((1, T, n, n)), np.ones(1, bool)
    ilqr_backward(
        yes,
        yes,
        F,
        H[None],
        S,
        C,
        c,
        low[None],
        high[None],
        U,
        np.array([mu]),
        K,
        k,
        definite,
        *promise,
    )
    assert definite[0]
    return K[0], k[0], promise[:, 0]


@pytest.mark.parametrize("sizes", [(3, 2), (9, 3)])
@pytest.mark.parametrize("second", [0, 3])
def test_the_boxed_backward_pass_equals_its_numpy_twin_and_predicts_the_change_of_cost(
    second, sizes
):
    rng, (dx, du) = np.random.default_rng(second), sizes
    n = dx + du
    dynamics, cost, _ = random_problem(rng, dx=dx, du=du, T=6)
    H = 0.05 * rng.normal(size=(6 if second else 0, dx, n, n)) / n
    H = H + H.swapaxes(-1, -2)
    low, high = -rng.uniform(0, 0.5, (6, du)), rng.uniform(0, 0.5, (6, du))
    arguments = dynamics, cost, H, low, high, 0.3
    ours = backward_of(compiled_ilqr_backward(dx, du), *arguments)
    for mine, twin in zip(
        ours, backward_of(ilqr_backward_with(solve_box_qp), *arguments), strict=True
    ):
        np.testing.assert_allclose(mine, twin, rtol=1e-8, atol=1e-9)
    if not second:  # on a linear-quadratic problem the promise for the whole step is exact
        x, change = np.zeros(dx), 0.0
        for t in range(7):
            xu = np.concatenate([x, ours[1][t] + ours[0][t] @ x if t < 6 else np.zeros(du)])
            change += 0.5 * xu @ cost.C[t] @ xu + cost.c[t] @ xu
            x = dynamics.F[t] @ xu if t < 6 else x
        assert change == pytest.approx(ours[2].sum(), rel=1e-9)


@pytest.mark.parametrize("limit", [np.inf, 0.3])
def test_loops_for_any_size_have_the_bits_of_the_code_for_one(limit):
    rng, found = np.random.default_rng(0), []
    dynamics, cost, _ = random_problem(rng, dx=3, du=2, T=60)
    H, box = 0.05 * rng.normal(size=(60, 3, 5, 5)), np.full((60, 2), limit)
    H = H + H.swapaxes(-1, -2)
    for sizes in ((0, 0), (3, 2)):
        ours = partial(kernels._call, kernels._sized(*sizes))
        found.append(backward_of(ours, dynamics, cost, H, -box, box, 5.0))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_size_is_compiled_where_that_pays_and_used_where_it_is_on_disk(monkeypatch):
    disk = {(4, 1)}

    def sized(dx, du, known=False):
        return (dx, du) if not known or (dx, du) in disk else None

    monkeypatch.setattr(kernels, "_sized", sized)
    monkeypatch.setattr(kernels, "_done", Counter({(9, 3): 10 * kernels.PAYS}))
    assert kernels.backward_pointer(4, 1) == (4, 1)
    assert kernels.backward_pointer(3, 2) == (0, 0)
    cost, f = Quadratic(np.eye(5)), lambda x, u: x + np.ones((3, 2)) @ u
    r = ilqr(f, cost, np.ones(3), np.zeros((4, 2)), max_iterations=2, solve_qp=solve_box_qp)
    assert kernels._done[3, 2] == 4 * r.iterations
    kernels.count_steps(3, 2, kernels.PAYS)
    assert kernels.backward_pointer(3, 2) == (3, 2)
    assert kernels.backward_pointer(9, 3) == (0, 0)  # loops are as fast


def test_dynamics_that_change_with_the_step_need_a_jacobian_and_batches():
    step = lambda x, u, t: x + (1 + t) * u  # noqa: E731
    jacobian = lambda X, U: np.concatenate(  # noqa: E731
        [np.ones((*U.shape, 1)), np.broadcast_to(1.0 + np.arange(3)[:, None, None], (*U.shape, 1))],
        -1,
    )
    cost, how = Quadratic(np.diag([1.0, 1.0])), {"vectorised": True, "timed": True}
    found = ilqr(step, cost, np.ones((2, 1)), np.zeros((2, 3, 1)), jacobian=jacobian, **how)
    F = np.stack([np.array([[1.0, 1.0 + t]]) for t in range(3)])
    dynamics = LinearGaussianDynamics(F, np.zeros((3, 1)), np.zeros((3, 1, 1)))
    _, value = backward(dynamics, cost.expand(np.zeros((4, 1)), np.zeros((3, 1))))
    np.testing.assert_allclose(found.cost, 0.5 * value.V[0, 0, 0], rtol=1e-9)
    with pytest.raises(InputError, match="expected vectorised ones, with a jacobian"):
        ilqr(step, cost, np.ones((2, 1)), np.zeros((2, 3, 1)), **how)
