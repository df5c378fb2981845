"""Faults seen in other solvers, and that they are not ours; and one that a comparison must know
of.
"""

import numpy as np
import pytest
from problems import random_problem
from systems import SYSTEMS, quadratic

from lqr import ilqr, solve_box_qp
from lqr.box_qp import ilqr_backward_with
from lqr.kernels.ilqr_backward import compiled_ilqr_backward


def backward_once(mu, H=None, T=1, dx=3, du=2, seed=0):
    """Returns K, k, the promise and the problem of one backward pass around zero without limits."""
    dynamics, cost, _ = random_problem(np.random.default_rng(seed), dx, du, T)
    K = np.zeros((1, T, du, dx))
    k = np.zeros((1, T, du))
    promise = np.zeros((2, 1))
    yes = np.ones(1, bool)
    n = dx + du
    H = np.zeros((1, 0, dx, n, n)) if H is None else H
    wide = np.full((1, T, du), np.inf)
    U, S = np.zeros_like(k), np.zeros((1, T, n, n))
    compiled_ilqr_backward(dx, du)(
        yes, yes, dynamics.F[None], H, S, cost.C[None], cost.c[None], -wide, wide, U, np.array([mu]), K, k, yes.copy(),
        *promise,
    )  # fmt: skip
    return K[0], k[0], promise[:, 0], dynamics.F, cost


@pytest.mark.parametrize("mu", [0.0, 0.7])
def test_the_regularised_gain_is_the_dense_minimiser_for_every_deviation(mu):
    K, k, _, F, cost = backward_once(mu)
    V, v = cost.C[1, :3, :3], cost.c[1, :3]
    for d in np.random.default_rng(1).normal(size=(5, 3)):
        # minimise 1/2 xu'C xu + c'xu + V(F xu) + mu/2 |u|^2 over u, for x = d, as one least-squares
        # system in u
        A, B = F[0][:, :3], F[0][:, 3:]
        hessian = cost.C[0, 3:, 3:] + B.T @ V @ B + mu * np.eye(2)
        slope = cost.C[0, 3:, :3] @ d + cost.c[0, 3:] + B.T @ (V @ A @ d + v)
        np.testing.assert_allclose(
            k[0] + K[0] @ d, np.linalg.solve(hessian, -slope), rtol=1e-9, atol=1e-12
        )


def test_the_promised_change_is_that_of_the_true_cost_to_second_order():
    s = SYSTEMS["pendulum"]
    start, seen = ilqr(s.dynamics, s.cost, s.x0, s.U, max_iterations=12), []
    for alpha in (1e-2, 1e-3):
        # one step of the backward pass at `start`, shortened: the change must approach alpha times
        # the slope
        T, (dx, du) = len(s.U), (2, 1)
        F = s.jacobian(start.X[:-1], start.U)[None]
        xu = np.concatenate([start.X, np.vstack([start.U, np.zeros((1, 1))])], 1)
        g = (s.cost.C @ xu[..., None])[..., 0] + s.cost.c
        K = np.zeros((1, T, du, dx))
        k = np.zeros((1, T, du))
        promise = np.zeros((2, 1))
        yes = np.ones(1, bool)
        wide = np.full((1, T, du), np.inf)
        ilqr_backward_with(solve_box_qp)(
            yes, ~yes, F, np.zeros((1, 0, 2, 3, 3)), np.zeros((1, T, 3, 3)), s.cost.C[None], g[None], -wide, wide,
            start.U[None], np.zeros(1), K, k, yes.copy(), *promise,
        )  # fmt: skip
        X = [s.x0]
        U = []
        for t in range(T):
            U.append(start.U[t] + alpha * k[0, t] + K[0, t] @ (X[-1] - start.X[t]))
            X.append(s.dynamics(X[-1], U[-1]))
        new = np.concatenate([np.array(X), np.vstack([U, np.zeros((1, 1))])], 1)
        change = sum(
            0.5 * (a @ C @ a - b @ C @ b) + c @ (a - b)
            for a, b, C, c in zip(new, xu, s.cost.C, s.cost.c, strict=True)
        )
        seen.append(abs(change - alpha * promise[0, 0]) / alpha**2)
    assert promise[0, 0] < -1e-3
    assert seen[1] == pytest.approx(seen[0], rel=0.2)  # what is left falls with alpha squared


def test_ddp_has_the_second_derivatives_of_the_dynamics_in_its_step():
    # T = 1 and a curved f: the Newton step of x'Vx/2 + v'x needs v . d2f, which Gauss-Newton lacks
    def f(x, u):
        return np.array([x[0] + np.sin(u[0]), x[1] + u[0] ** 2 + x[0] * u[0]])

    cost = quadratic(1, [0.0, 0.0, 1.0], [2.0, 3.0, 0.0], [0.0, 2.0, 0.0])
    x0, U = np.array([0.3, 0.1]), np.array([[0.2]])

    def evaluate(u):
        xu = np.array([f(x0, np.array([u])) - [0.0, 2.0]])[0]
        return 0.5 * u**2 + xu[0] ** 2 + 1.5 * xu[1] ** 2 + 0.0

    h = 1e-4
    slope = (evaluate(0.2 + h) - evaluate(0.2 - h)) / (2 * h)
    curvature = (evaluate(0.2 + h) - 2 * evaluate(0.2) + evaluate(0.2 - h)) / h**2
    steps = []
    ilqr(f, cost, x0, U, second_order=True, callback=lambda p: steps.append((p.step, p.U[0, 0])))
    plain = []
    ilqr(f, cost, x0, U, second_order=False, callback=lambda p: plain.append((p.step, p.U[0, 0])))
    expected = -slope / curvature if curvature > 0 else None
    if expected is not None:
        assert steps[0][1] == pytest.approx(0.2 + steps[0][0] * expected, rel=1e-4)
        assert abs(plain[0][1] - 0.2 - plain[0][0] * expected) > 0.01


def test_ddp_converges_quadratically_and_gauss_newton_does_not():
    s = SYSTEMS["pendulum"]
    errors = {}
    best = ilqr(s.dynamics, s.cost, s.x0, s.U, second_order=True, tolerance=1e-13)
    start = best.U + 0.1 * np.sin(np.arange(60))[:, None]
    for second in (True, False):
        seen = []
        ilqr(
            s.dynamics, s.cost, s.x0, start, second_order=second, max_iterations=4,
            callback=lambda p, seen=seen: seen.append(abs(p.U - best.U).max()),
        )  # fmt: skip
        errors[second] = seen
    assert errors[True][1] < 0.02 * errors[True][0]
    assert errors[False][3] > 0.3 * errors[False][2]


def test_crocoddyl_free_forward_dynamics_drop_gravity_unless_an_armature_is_set():
    crocoddyl, pin = pytest.importorskip("crocoddyl"), pytest.importorskip("pinocchio")
    model = pin.Model()
    joint = model.addJoint(0, pin.JointModelRY(), pin.SE3.Identity(), "hinge")
    model.appendBodyToJoint(
        joint, pin.Inertia(1.0, np.array([0, 0, 1.0]), np.zeros((3, 3))), pin.SE3.Identity()
    )
    state = crocoddyl.StateMultibody(model)

    def acceleration(armature):
        actuation, costs = crocoddyl.ActuationModelFull(state), crocoddyl.CostModelSum(state, 1)
        forward = crocoddyl.DifferentialActionModelFreeFwdDynamics(state, actuation, costs)
        if armature:
            forward.armature = np.zeros(1)
        data = forward.createData()
        forward.calc(data, np.array([0.5, 0.0]), np.zeros(1))
        return data.xout[0]

    fall = 9.81 * np.sin(0.5)
    assert acceleration(armature=True) == pytest.approx(fall)
    if (crocoddyl.__version__, pin.__version__) == ("3.2.1", "4.1.0"):
        assert acceleration(armature=False) == pytest.approx(
            0.0, abs=1e-12
        )  # the fault; ours falls:
    x = SYSTEMS["pendulum"].dynamics(np.array([0.5, 0.0]), np.zeros(1))
    assert x[1] / 0.05 == pytest.approx(fall)
