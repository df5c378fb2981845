"""What the backward pass knows beside the best controller: action values, the value of any
controller, costates, gains regularised as in Tassa et al. 2012, and one status per problem.

    Q_t(x, u) = 1/2 xu' Q xu + q' xu + const  =  cost_t(x, u) + E V_{t+1}(x')
"""

from typing import NamedTuple

import numpy as np

from .batching import finite, flatten, restore, temperatures
from .errors import InputError, NotPositiveDefinite
from .passes import backward_flat
from .types import (
    Array,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    QuadraticValue,
)


class ActionValue(NamedTuple):
    """Q_t = 1/2 xu' Q xu + q' xu + const: the cost of u at x, and of what follows."""

    Q: Array  # (..., T, n, n); Quu is Q[..., dx:, dx:], Qux is Q[..., dx:, :dx]
    q: Array  # (..., T, n)
    const: Array  # (..., T)


def action_value(
    dynamics: LinearGaussianDynamics, cost: QuadraticCost, value: QuadraticValue
) -> ActionValue:
    """Returns the action values of the steps 0..T-1 whose future costs `value`."""
    lead, ((F, f, W), (C, c, const), (V, v, s)) = flatten(
        ("dynamics", "cost", "value"), dynamics, cost, value
    )
    Q, q, rest = _action_value(F, f, W, C[:, :-1], c[:, :-1], V[:, 1:], v[:, 1:])
    return ActionValue(*restore(lead, Q, q, const[:, :-1] + s[:, 1:] + rest))


def controller_value(
    dynamics: LinearGaussianDynamics, cost: QuadraticCost, controller: LinearGaussianController
) -> QuadraticValue:
    """Returns the cost-to-go of a given controller, its own noise counted (policy evaluation)."""
    lead, (model, costs, ours) = flatten(
        ("dynamics", "cost", "controller"), dynamics, cost, controller
    )
    F, f, W, C, c, const, K, k, S = *model, *costs, *ours
    dx = F.shape[2]
    V, v, s = C[..., :dx, :dx].copy(), c[..., :dx].copy(), const.copy()
    for t in range(F.shape[1] - 1, -1, -1):
        Q, q, rest = _action_value(
            F[:, t], f[:, t], W[:, t], C[:, t], c[:, t], V[:, t + 1], v[:, t + 1]
        )
        V[:, t], v[:, t], own = _under(Q, q, K[:, t], k[:, t])
        s[:, t] += s[:, t + 1] + rest + own
        s[:, t] += 0.5 * np.einsum("...ij,...ji->...", Q[:, dx:, dx:], S[:, t])
    return QuadraticValue(*restore(lead, V, v, s))


def costate(value: QuadraticValue, X: Array) -> Array:
    """Returns lambda_t = V_t x_t + v_t, (..., T+1, dx): the slope of the cost-to-go along the
    states X.

    It is the multiplier of the dynamics, x_t = f(x_{t-1}, u_{t-1}), where X is optimal.
    """
    lead, ((V, v, _),) = flatten(("value",), value)
    V, v = restore(lead, V, v)
    X = finite("X", X)
    try:
        return (V @ X[..., None])[..., 0] + v
    except ValueError as error:
        raise InputError(f"X has shape {X.shape}; expected {v.shape}, as in value.v") from error


def backward_each(
    dynamics: LinearGaussianDynamics, cost: QuadraticCost, temperature: float | Array = 0.0
) -> tuple[LinearGaussianController, QuadraticValue, Array]:
    """Does `backward` for each problem of a batch alone: also returns the step (...) where Quu is
    not positive definite, or -1 where all is well.

    Every number of a problem that failed is NaN.
    """
    lead, ((F, f, W), (C, c, const)) = flatten(("dynamics", "cost"), dynamics, cost)
    out = backward_flat(F, f, W, C, c, const, temperatures(temperature, lead, F.shape[1]))
    for a in out[:-1]:
        a[out[-1] >= 0] = np.nan
    K, k, cov, V, v, s, failed = restore(lead, *out)
    return LinearGaussianController(K, k, cov), QuadraticValue(V, v, s), failed[()]


def backward_regularised(
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    mu_x: float | Array = 0.0,
    mu_u: float | Array = 0.0,
) -> tuple[LinearGaussianController, QuadraticValue]:
    """Returns regularised gains, and the value of the controller that has them.

    In deviations xu from the last trajectory, `mu_x` adds mu_x |F xu|^2 / 2, a cost of leaving its
    states, and `mu_u` adds mu_u |u|^2 / 2 (Tassa, Erez & Todorov 2012, equations 10 and 11); the
    value counts neither. Each is a number or (..., T). Raises NotPositiveDefinite, with the step,
    where Quu is not, even so.
    """
    lead, ((F, f, W), (C, c, const)) = flatten(("dynamics", "cost"), dynamics, cost)
    B, T, dx, n = F.shape
    near = temperatures(mu_x, lead, T, "mu_x")[..., None, None]
    small = temperatures(mu_u, lead, T, "mu_u")[..., None, None] * np.eye(n - dx)
    K, k = np.zeros((B, T, n - dx, dx)), np.zeros((B, T, n - dx))
    V, v, s = C[..., :dx, :dx].copy(), c[..., :dx].copy(), const.copy()
    for t in range(T - 1, -1, -1):
        Q, q, rest = _action_value(
            F[:, t], f[:, t], W[:, t], C[:, t], c[:, t], V[:, t + 1], v[:, t + 1]
        )
        G = F[:, t, :, dx:].swapaxes(-1, -2) @ F[:, t]
        Qu = Q[:, dx:] + near[:, t] * G
        Quu = Qu[..., dx:] + small[:, t]
        least = np.linalg.eigvalsh(Quu)
        bad = ~(least[:, 0] > 1e-14 * abs(least[:, -1]))
        if bad.any():
            b = int(np.argmax(bad))
            raise NotPositiveDefinite(
                f"Quu at step {t} of problem {b} is not positive definite; raise mu_u, or mu_x",
                batch=b,
                t=t,
            )
        right = np.concatenate([Qu[..., :dx], q[:, dx:, None]], -1)
        gains = -np.linalg.solve(Quu, right)
        K[:, t], k[:, t] = gains[..., :dx], gains[..., dx]
        V[:, t], v[:, t], own = _under(Q, q, K[:, t], k[:, t])
        s[:, t] += s[:, t + 1] + rest + own
    out = restore(lead, K, k, np.zeros((B, T, n - dx, n - dx)), V, v, s)
    return LinearGaussianController(*out[:3]), QuadraticValue(*out[3:])


def _action_value(
    F: Array, f: Array, W: Array, C: Array, c: Array, V: Array, v: Array
) -> tuple[Array, Array, Array]:
    """Returns Q, q, and what the next state adds to the constant."""
    Ft, Vf = np.swapaxes(F, -1, -2), (V @ f[..., None])[..., 0]
    Q = C + Ft @ V @ F
    q = c + (Ft @ (Vf + v)[..., None])[..., 0]
    rest = np.einsum("...i,...i->...", 0.5 * Vf + v, f)
    return (
        0.5 * (Q + np.swapaxes(Q, -1, -2)),
        q,
        rest + 0.5 * np.einsum("...ij,...ji->...", V, W),
    )


def _under(Q: Array, q: Array, K: Array, k: Array) -> tuple[Array, Array, Array]:
    """Returns V, v and the constant of Q under u = K x + k."""
    dx = K.shape[-1]
    Kt = np.swapaxes(K, -1, -2)
    QuK = Q[..., dx:, :dx] + Q[..., dx:, dx:] @ K
    V = Q[..., :dx, :dx] + Q[..., :dx, dx:] @ K + Kt @ QuK
    along = (Q[..., dx:, dx:] @ k[..., None])[..., 0] + q[..., dx:]
    v = q[..., :dx] + (Q[..., :dx, dx:] @ k[..., None] + Kt @ along[..., None])[..., 0]
    own = 0.5 * np.einsum("...i,...i->...", k, along + q[..., dx:])
    return 0.5 * (V + np.swapaxes(V, -1, -2)), v, own
