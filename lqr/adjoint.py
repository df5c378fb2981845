"""Derivatives of the solution of an LQR problem, by the adjoint of both passes.

The gradient of any scalar loss of the gains, the value function and the optimal trajectory, with
respect to dynamics, cost and start. The recursion of `backward` runs from T to 0, so its adjoint
runs from 0 to T; that of the trajectory from T to 0. A symmetric matrix has a symmetric gradient: to
first order, dloss = sum(gradient * change) for changes that are symmetric too.
"""

from typing import Any, NamedTuple

import numpy as np

from .batching import finite, flatten, restore, vector
from .errors import InputError, NotPositiveDefinite
from .evaluation import _action_value
from .passes import backward_flat
from .types import Array, LinearGaussianDynamics, QuadraticCost


class LQRSolution(NamedTuple):
    """The optimal gains, value and noise-free trajectory from x0; or the gradient of a loss of
    each.
    """

    K: Array  # (..., T, du, dx)
    k: Array  # (..., T, du)
    V: Array  # (..., T+1, dx, dx)
    v: Array  # (..., T+1, dx)
    const: Array  # (..., T+1)
    X: Array  # (..., T+1, dx)
    U: Array  # (..., T, du)


class LQRGradient(NamedTuple):
    """The gradient of a loss with respect to each field of the problem."""

    dynamics: LinearGaussianDynamics
    cost: QuadraticCost
    x0: Array  # (..., dx)


def solve_lqr(dynamics: LinearGaussianDynamics, cost: QuadraticCost, x0: Any) -> LQRSolution:
    """Returns the optimum from x0 (..., dx). Raises InputError as `backward` does, and
    NotPositiveDefinite where there is none.
    """
    lead, (F, f, W, C, c, const), start = _flat(dynamics, cost, x0)
    return LQRSolution(*restore(lead, *_solve(F, f, W, C, c, const, start)))


def solve_lqr_vjp(
    dynamics: LinearGaussianDynamics, cost: QuadraticCost, x0: Any, gradient: LQRSolution | dict
) -> LQRGradient:
    """Returns the gradient of a loss with respect to dynamics, cost and x0 (vector-Jacobian
    product).

    `gradient` holds the loss's gradient with respect to fields of `solve_lqr`'s result, as a tuple
    or by name: `{"V": g}`; what is missing or None is zero. Fields have the shapes of the solution.
    """
    lead, (F, f, W, C, c, const), start = _flat(dynamics, cost, x0)
    solution = LQRSolution(*_solve(F, f, W, C, c, const, start))
    if not isinstance(gradient, LQRSolution | dict):
        raise InputError(
            f"gradient is a {type(gradient).__name__}; expected an LQRSolution, or some of its fields by name"
        )
    given = gradient if isinstance(gradient, dict) else gradient._asdict()
    bars = {}
    for name, value in solution._asdict().items():
        a = given.get(name)
        a = np.zeros(()) if a is None else finite(f"gradient[{name!r}]", a)
        try:
            shape = lead + value.shape[1:]
            bars[name] = np.broadcast_to(a, shape).reshape(value.shape).copy()
        except ValueError as error:
            raise InputError(f"gradient[{name!r}] has shape {a.shape}; expected {shape}") from error
    unknown = set(given) - set(bars)
    if unknown:
        raise InputError(
            f"gradient has {', '.join(sorted(unknown))}; expected some of {', '.join(bars)}"
        )
    first, gK, gk, gF, gf = _trajectory_adjoint(F, solution, bars["X"], bars["U"])
    bars["K"] += gK
    bars["k"] += gk
    dF, df, dW, dC, dc, ds = _backward_adjoint(F, f, W, C, c, solution, bars)
    out = restore(lead, dF + gF, df + gf, dW, dC, dc, ds, first)
    return LQRGradient(LinearGaussianDynamics(*out[:3]), QuadraticCost(*out[3:6]), out[6])


def _flat(dynamics: Any, cost: Any, x0: Any) -> tuple[tuple[int, ...], list[Array], Array]:
    lead, (model, costs) = flatten(("dynamics", "cost"), dynamics, cost)
    start, dx = vector("x0", x0), model[1].shape[-1]
    try:
        start = np.broadcast_to(start, (*lead, dx)).reshape(-1, dx)
    except ValueError as error:
        raise InputError(f"x0 has shape {start.shape}; expected {(*lead, dx)}") from error
    C = costs[0]
    return lead, [*model, 0.5 * (C + np.swapaxes(C, -1, -2)), *costs[1:]], start


def _solve(
    F: Array, f: Array, W: Array, C: Array, c: Array, const: Array, start: Array
) -> tuple[Array, ...]:
    B, T, dx, n = F.shape
    K, k, _, V, v, s, failed = backward_flat(F, f, W, C, c, const, np.zeros((B, T)))
    if failed.max() >= 0:
        b = int(np.argmax(failed >= 0))
        raise NotPositiveDefinite(
            f"Quu at step {failed[b]} of problem {b} is not positive definite; raise the cost of actions",
            batch=b,
            t=int(failed[b]),
        )
    X, U = np.empty((B, T + 1, dx)), np.empty((B, T, n - dx))
    X[:, 0] = start
    for t in range(T):
        U[:, t] = _times(K[:, t], X[:, t]) + k[:, t]
        X[:, t + 1] = _times(F[:, t], np.concatenate([X[:, t], U[:, t]], -1)) + f[:, t]
    return K, k, V, v, s, X, U


def _trajectory_adjoint(
    F: Array, solution: LQRSolution, gX: Array, gU: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Returns the gradients of x0, K, k, F and f by the trajectory alone, from those of X and U."""
    K, X, U, dx = solution.K, solution.X, solution.U, F.shape[2]
    gK, gk, gF, gf = (np.zeros_like(a) for a in (K, solution.k, F, X[:, 1:]))
    later = gX[:, -1].copy()
    for t in range(F.shape[1] - 1, -1, -1):
        xu = np.concatenate([X[:, t], U[:, t]], -1)
        gF[:, t], gf[:, t] = _outer(later, xu), later
        back = _times(F[:, t].swapaxes(-1, -2), later)
        gk[:, t] = gU[:, t] + back[:, dx:]
        gK[:, t] = _outer(gk[:, t], X[:, t])
        later = gX[:, t] + back[:, :dx] + _times(K[:, t].swapaxes(-1, -2), gk[:, t])
    return later, gK, gk, gF, gf


def _backward_adjoint(
    F: Array, f: Array, W: Array, C: Array, c: Array, solution: LQRSolution, bars: dict[str, Array]
) -> list[Array]:
    """Returns the gradients of F, f, W, C, c and const from those of K, k, V, v and const."""
    out = [np.zeros_like(a) for a in (F, f, W, C, c)]
    dF, df, dW, dC, dc = out
    T, dx, n = F.shape[1:]
    K, k, V, v = solution[:4]
    gV, gv, gs = bars["V"], bars["v"], bars["const"]
    for t in range(T):
        gV[:, t] = 0.5 * (gV[:, t] + gV[:, t].swapaxes(-1, -2))
        Vn, vn, M = V[:, t + 1], v[:, t + 1], np.zeros((len(F), n, dx))
        Quu = _action_value(F[:, t], f[:, t], W[:, t], C[:, t], c[:, t], Vn, vn)[0][:, dx:, dx:]
        M[:, :dx], M[:, dx:] = np.eye(dx), K[:, t]
        m, s = np.zeros((len(F), n)), gs[:, t, None]
        m[:, dx:] = k[:, t]
        right = np.concatenate([bars["K"][:, t], bars["k"][:, t, :, None]], -1)
        Z = -np.linalg.solve(Quu, right)
        gQ = (
            M @ gV[:, t] @ M.swapaxes(-1, -2)
        )  # V = M'QM, v = M'(q + Q m), and K, k stay by envelope
        gq = _times(M, gv[:, t])
        gQ += _outer(gq, m) + 0.5 * s[..., None] * _outer(m, m)
        gQ[:, dx:] += Z[..., :dx] @ M.swapaxes(-1, -2) + _outer(Z[..., dx], m)
        gq = gq + s * m
        gq[:, dx:] += Z[..., dx]
        gQ = 0.5 * (gQ + gQ.swapaxes(-1, -2))
        w, gw = _times(Vn, f[:, t]) + vn, _times(F[:, t], gq)
        dC[:, t], dc[:, t] = gQ, gq
        dF[:, t] = 2.0 * Vn @ F[:, t] @ gQ + _outer(w, gq)
        df[:, t] = _times(Vn, gw) + s * w
        dW[:, t] = 0.5 * s[..., None] * Vn
        gV[:, t + 1] += F[:, t] @ gQ @ F[:, t].swapaxes(-1, -2) + _outer(gw, f[:, t])
        gV[:, t + 1] += 0.5 * s[..., None] * (_outer(f[:, t], f[:, t]) + W[:, t])
        gv[:, t + 1] += gw + s * f[:, t]
        gs[:, t + 1] += gs[:, t]
    dC[:, T, :dx, :dx] = 0.5 * (gV[:, T] + gV[:, T].swapaxes(-1, -2))
    dc[:, T, :dx] = gv[:, T]
    return [*out, gs]


def _times(A: Array, x: Array) -> Array:
    return (A @ x[..., None])[..., 0]


def _outer(a: Array, b: Array) -> Array:
    return a[..., :, None] * b[..., None, :]
