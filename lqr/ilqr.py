"""iLQR and DDP: the best trajectory of a known smooth system, by a sequence of LQR problems around the last one.

    minimise  sum_t cost_t(x_t, u_t)    subject to   x_{t+1} = f(x_t, u_t),   low <= u_t <= high

Control limits are met inside the backward pass (Tassa, Mansard & Todorov 2014), steps are found by backtracking, and
mu I is added to Quu on a schedule that grows it where a step fails (Tassa, Erez & Todorov 2012). With the second
derivatives of f it is DDP, without them iLQR. An f compiled by numba is rolled out and differenced in compiled loops.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from .box_qp import BoxQP, _backward_box, backward_with
from .costs import Cost, stack
from .errors import InputError
from .types import Array, LinearGaussianController, QuadraticCost

compiled: Any = njit(fastmath={"contract"})  # takes functions as arguments, so it cannot be cached on disk
STATUS = ("still improving", "stationary", "cost change below tolerance", "no step improves", "stopped by the callback")
MU_MIN, MU_MAX, GROWTH = 1e-6, 1e10, 1.6


class Progress(NamedTuple):
    """What the callback receives after each iteration; returning True stops the solve."""

    iteration: int
    cost: float
    step: float  # alpha of the line search, 0 if no step was taken
    mu: float  # regularisation
    X: Array  # (T+1, dx)
    U: Array  # (T, du)


class ILQRResult(NamedTuple):
    """A locally optimal trajectory, and the feedback around it."""

    X: Array  # (T+1, dx)
    U: Array  # (T, du)
    controller: LinearGaussianController  # u = K x + k passes through (X, U); cov is 0
    cost: float
    iterations: int
    converged: bool
    status: str  # one of STATUS


def ilqr(
    dynamics: Callable[[Array, Array], Array],
    cost: Cost | QuadraticCost,
    x0: Array,
    U: Array,
    *,
    low: Any = -np.inf,
    high: Any = np.inf,
    jacobian: Callable[[Array, Array], Array] | None = None,
    hessian: Callable[[Array, Array], Array] | None = None,
    second_order: bool = False,
    solve_qp: BoxQP | None = None,
    callback: Callable[[Progress], Any] | None = None,
    max_iterations: int = 500,
    tolerance: float = 1e-9,
    mu: float = 1e-6,
    fused: bool = False,
) -> ILQRResult:
    """Returns the trajectory that a descent from the actions U (T, du) reaches from the state x0 (dx,).

    dynamics(x (dx,), u (du,)) -> x' (dx,). jacobian(X (T, dx), U (T, du)) -> (T, dx, n) and hessian(X, U) ->
    (T, dx, n, n) are found by central differences where they are None; `second_order` (or a hessian) makes it DDP.
    `low` and `high` limit the actions: numbers, (du,) or (T, du). `solve_qp` replaces the box-QP solver. It ends when
    the expected and the actual improvement fall below `tolerance` (relative to the cost). `fused` compiles the whole
    solve (some seconds, in each process), for a numba `dynamics` and a QuadraticCost.
    Raises InputError for shapes that do not fit, or a start whose cost is not finite.
    """
    x0, U = np.array(x0, dtype=float), np.array(U, dtype=float)
    if x0.ndim != 1 or U.ndim != 2 or not (np.isfinite(x0).all() and np.isfinite(U).all()):
        raise InputError(f"x0 has shape {x0.shape}, U {U.shape}; expected finite (dx,) and (T, du)")
    (T, du), dx = U.shape, len(x0)
    low, high = (np.ascontiguousarray(np.broadcast_to(np.asarray(a, dtype=float), U.shape)) for a in (low, high))
    if not (low <= high).all():
        t, i = np.argwhere(~(low <= high))[0]
        raise InputError(f"low is {low[t, i]}, high is {high[t, i]} at step {t}, action {i}; expected low <= high")
    second_order = second_order or hessian is not None
    X, n = np.empty((T + 1, dx)), dx + du
    native = hasattr(dynamics, "py_func") and isinstance(cost, QuadraticCost)
    native = native and hasattr(jacobian or dynamics, "py_func")
    if fused and (not native or hessian or solve_qp or callback):
        raise InputError(
            "fused needs numba's `dynamics` (and `jacobian`) and a QuadraticCost, no hessian, solve_qp or callback"
        )
    if isinstance(cost, QuadraticCost):
        data: Any = tuple(np.ascontiguousarray(a, dtype=float) for a in cost)
        if tuple(a.shape for a in data) != ((T + 1, n, n), (T + 1, n), (T + 1,)):
            raise InputError(
                f"cost has shapes {[a.shape for a in data]}; expected those of T = {T}, dx = {dx}, du = {du}"
            )
        parts: Any = (_price_quadratic, _expand_quadratic)
    else:
        data, parts = cost, (_price, _expand)
    K, k = np.zeros((T, du, dx)), np.zeros((T, du))
    H = np.zeros((T if second_order else 0, dx, n, n))
    arguments = (x0, X, np.clip(U, low, high), K, k, low, high, H, max_iterations, tolerance, mu)
    if fused:
        J, iterations, status, U = _optimise(
            _rollout,
            dynamics,
            _given(jacobian) if jacobian else _differentiate,
            *parts,
            data,
            _backward_box,
            _silent,
            *arguments,
        )
    else:
        single = _rollout if hasattr(dynamics, "py_func") else _rollout.py_func

        def differentiate(f: Any, X: Array, U: Array, F: Array, H: Array) -> None:
            if jacobian is None or (len(H) and hessian is None):
                (_differentiate if hasattr(f, "py_func") else _differentiate.py_func)(f, X, U, F, H)
            if jacobian is not None:
                F[:] = jacobian(X[:-1], U)
            if hessian is not None:
                H[:] = hessian(X[:-1], U)

        def sweep(*a: Any) -> Any:
            return _backward_box(*a) if solve_qp is None else backward_with(solve_qp, *a)

        def report(iteration: int, J: float, step: float, mu: float, X: Array, U: Array) -> bool:
            return bool(callback and callback(Progress(iteration, J, step, mu, X.copy(), U.copy())))

        with np.errstate(all="ignore"):  # a trial that diverges is refused by its cost
            J, iterations, status, U = _optimise.py_func(
                single, dynamics, differentiate, *parts, data, sweep, report, *arguments
            )
    if status < 0:
        raise InputError(
            "the cost of the first rollout is not finite; start from other actions U, or a shorter horizon"
        )
    affine = U - (K @ X[:-1, :, None])[..., 0]
    controller = LinearGaussianController(K, affine, np.zeros((T, du, du)))
    return ILQRResult(X, U, controller, float(J), int(iterations), status in (1, 2), STATUS[status])


def shift(U: Array, steps: int = 1) -> Array:
    """Returns the plan (T, du) `steps` later, its last action repeated: the warm start of a receding horizon."""
    return np.concatenate([U[steps:], np.repeat(U[-1:], min(steps, len(U)), axis=0)])


def receding_horizon(
    plant: Callable[[Array, Array], Array], plan: Callable[[Array, Array], ILQRResult], x0: Array, U: Array, steps: int
) -> tuple[Array, Array]:
    """Returns the states (steps+1, dx) and actions (steps, du) of re-planning at every step from the shifted last plan.

    `plan(x, U)` is `ilqr` with all but its start fixed: lambda x, U: ilqr(dynamics, cost, x, U, max_iterations=5).
    """
    X, chosen = [np.asarray(x0, dtype=float)], []
    for _ in range(steps):
        U = plan(X[-1], U).U
        chosen.append(U[0])
        X.append(np.asarray(plant(X[-1], U[0]), dtype=float))
        U = shift(U)
    return np.array(X), np.array(chosen)


def _price(cost: Cost, X: Array, U: Array) -> float:
    return float(cost(X, U).sum()) if np.isfinite(X).all() else np.inf


def _expand(cost: Cost, X: Array, U: Array, C: Array, c: Array) -> None:
    model = cost.expand(X, U)
    C[:] = model.C
    c[:] = model.c + (model.C @ stack(X, U)[..., None])[..., 0]


@lru_cache
def _given(jacobian: Any) -> Any:
    """Returns a compiled function in the shape of `_differentiate` that asks the user's Jacobians."""

    @compiled
    def differentiate(f, X, U, F, H):
        F[:, :, :] = jacobian(X[:-1], U)

    return differentiate


@compiled
def _price_quadratic(cost, X, U):
    C, c, const = cost
    (T, du), dx = U.shape, X.shape[1]
    total, xu = const.sum(), np.zeros(dx + du)
    for t in range(T + 1):
        for i in range(dx):
            xu[i] = X[t, i]
        for i in range(du):
            xu[dx + i] = U[t, i] if t < T else 0.0
        for i in range(dx + du):
            s = 0.0
            for j in range(dx + du):
                s += C[t, i, j] * xu[j]
            total += xu[i] * (0.5 * s + c[t, i])
    return total


@compiled
def _expand_quadratic(cost, X, U, C, c):
    (T, du), dx = U.shape, X.shape[1]
    for t in range(T + 1):
        for i in range(dx + du):
            c[t, i] = cost[1][t, i]
            for j in range(dx + du):
                C[t, i, j] = cost[0][t, i, j]
                if j < dx:
                    c[t, i] += C[t, i, j] * X[t, j]
                elif t < T:
                    c[t, i] += C[t, i, j] * U[t, j - dx]


@compiled
def _silent(iteration, cost, step, mu, X, U):
    return False


@compiled
def _rollout(f, X, U, K, k, alpha, low, high, Xn, Un):
    """Writes the trajectory of u = U + alpha k + K (x - X), clipped to the box."""
    T, du = U.shape
    dx = X.shape[1]
    for t in range(T):
        for i in range(du):
            u = U[t, i] + alpha * k[t, i]
            for j in range(dx):
                u += K[t, i, j] * (Xn[t, j] - X[t, j])
            Un[t, i] = min(max(u, low[t, i]), high[t, i])
        Xn[t + 1] = f(Xn[t], Un[t])


@compiled
def _differentiate(f, X, U, F, H):
    """Writes central differences of f: F (T, dx, n) and, where H has rows, H (T, dx, n, n)."""
    T, du = U.shape
    dx = X.shape[1]
    x, u = np.empty(dx), np.empty(du)
    for t in range(T):
        for j in range(dx + du):
            centre = X[t, j] if j < dx else U[t, j - dx]
            h = 6e-6 * max(1.0, abs(centre))
            for sign in (-1.0, 1.0):
                x[:] = X[t]
                u[:] = U[t]
                if j < dx:
                    x[j] = centre + sign * h
                else:
                    u[j - dx] = centre + sign * h
                y = f(x, u)
                for i in range(dx):
                    F[t, i, j] = F[t, i, j] if sign > 0 else 0.0
                    F[t, i, j] += sign * y[i] / (2 * h)
            for m in range(j + 1 if len(H) else 0):
                other = X[t, m] if m < dx else U[t, m - dx]
                a, b = 1e-4 * max(1.0, abs(centre)), 1e-4 * max(1.0, abs(other))
                for i in range(dx):
                    H[t, i, j, m] = 0.0
                for corner in range(4):
                    p, q = 1.0 - 2.0 * (corner % 2), 1.0 - 2.0 * (corner // 2)
                    x[:] = X[t]
                    u[:] = U[t]
                    if j < dx:
                        x[j] += p * a
                    else:
                        u[j - dx] += p * a
                    if m < dx:
                        x[m] += q * b
                    else:
                        u[m - dx] += q * b
                    y = f(x, u)
                    for i in range(dx):
                        H[t, i, j, m] += p * q * y[i] / (4 * a * b)
                for i in range(dx):
                    H[t, i, m, j] = H[t, i, j, m]


@compiled
def _optimise(
    rollout, f, differentiate, price, expand, cost, sweep, report, x0, X, U, K, k, low, high, H, most, tolerance, mu
):
    """Descends; writes X, K, k, and returns cost, iterations, status and U. The parts are functions passed in."""
    (T, du), dx = U.shape, len(x0)
    n, factor, status, iteration = dx + du, 1.0, 0, 0
    F, C, c = np.zeros((T, dx, n)), np.zeros((T + 1, n, n)), np.zeros((T + 1, n))
    Xn, Un = np.empty((T + 1, dx)), np.empty((T, du))
    Xn[0] = x0
    rollout(f, Xn, U, K, k, 0.0, low, high, Xn, Un)
    X[:, :] = Xn
    U[:, :] = Un
    J = price(cost, X, U)
    if not np.isfinite(J):
        return J, 0, -1, U
    fresh = True
    while iteration < most and status == 0:
        iteration += 1
        if fresh:
            differentiate(f, X, U, F, H)
            expand(cost, X, U, C, c)
        definite, linear, quadratic = sweep(F, H, C, c, low - U, high - U, mu, K, k)
        step, before = 0.0, J
        if definite:
            alpha = 1.0
            if -linear <= tolerance * (abs(J) + tolerance) and mu <= 1e-3:
                status = 1
            while status == 0 and alpha > 1e-5:
                rollout(f, X, U, K, k, alpha, low, high, Xn, Un)
                trial = price(cost, Xn, Un)
                expected = -(alpha * linear + alpha * alpha * quadratic)
                if np.isfinite(trial) and J - trial > 1e-4 * max(expected, 0.0) and trial < J:
                    step, J = alpha, trial
                    X[:, :] = Xn
                    U[:, :] = Un
                    break
                alpha *= 0.5
        fresh = step > 0
        if step > 0:
            factor = min(1 / GROWTH, factor / GROWTH)
            mu = mu * factor if mu * factor >= MU_MIN else 0.0
            if before - J <= tolerance * tolerance * (abs(J) + tolerance):
                status = 2
        elif status == 0:
            factor = max(GROWTH, factor * GROWTH)
            mu = max(MU_MIN, mu * factor)
            if mu > MU_MAX:
                status = 2 if definite and -linear <= 1e-6 * (abs(J) + tolerance) else 3
        if report(iteration, J, step, mu, X, U):
            status = 4
    return J, iteration, status, U
