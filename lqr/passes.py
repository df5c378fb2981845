"""The two passes of LQR: values flow backward, distributions flow forward.

The problem, for T steps of affine dynamics with Gaussian noise and a quadratic cost, is

    minimise  E sum_t [ 1/2 xu' C xu + c' xu + const ]  -  sum_t tau_t H(u_t | x_t)

over controllers u ~ N(K x + k, cov). tau = 0 is LQR, tau > 0 is maximum-entropy LQR, whose
covariance is tau Quu^-1 (Levine & Abbeel 2014, section 3). All functions take any leading axes and
treat them as a batch. Problems of at most SMALL states and actions run in code compiled for their
sizes, others in blocked loops compiled once.
"""

from functools import lru_cache

import numpy as np
from numba import config

from .batching import all_finite, flatten, restore, temperatures
from .errors import NotPositiveDefinite, NumericalError
from .kernels import plain
from .kernels.marginals_blocked import _divergence, _forward
from .kernels.marginals_small import (
    _divergence_small,
    _forward_small,
    divergence_steps,
    forward_steps,
)
from .kernels.one_problem import _solve_blocked, _solve_small
from .kernels.riccati_blocked import _backward
from .kernels.riccati_small import _backward_small, backward_steps
from .types import (
    Array,
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    QuadraticValue,
    TrajectoryDistribution,
)

Shape = tuple[int, ...]
FLOAT = np.dtype(np.float64)
SMALL = 12  # states and actions; above it straight-line code is long to compile


def backward(
    dynamics: LinearGaussianDynamics, cost: QuadraticCost, temperature: float | Array = 0.0
) -> tuple[LinearGaussianController, QuadraticValue]:
    """Returns the optimal controller and its value function, by the Riccati recursion.

    `temperature` is tau above: a number, or (..., T). Raises NotPositiveDefinite, with the step,
    where Quu is not.
    """
    if type(temperature) is float and temperature == 0.0:
        found = _backward_of_one(dynamics, cost)
        if found is not None:
            return found
    lead, ((F, f, W), (C, c, const)) = flatten(("dynamics", "cost"), dynamics, cost)
    out = backward_flat(F, f, W, C, c, const, temperatures(temperature, lead, F.shape[1]))
    failed = out[-1]
    if max(failed.tolist()) >= 0:
        b = int(np.argmax(failed >= 0))
        raise NotPositiveDefinite(
            f"Quu at step {failed[b]} of problem {b} is not positive definite, so no minimum exists; "
            "raise the cost of actions, or make the cost convex first",
            batch=b,
            t=int(failed[b]),
        )
    return LinearGaussianController(*restore(lead, *out[:3])), QuadraticValue(
        *restore(lead, *out[3:6])
    )


def _backward_of_one(
    dynamics: LinearGaussianDynamics, cost: QuadraticCost
) -> tuple[LinearGaussianController, QuadraticValue] | None:
    """Returns controller and value of one problem of plain arrays without batch axis, checked and
    solved by one kernel; None where anything else was given, or anything is not well.
    """
    if type(dynamics) is not LinearGaussianDynamics or type(cost) is not QuadraticCost:
        return None
    (F, f, W), (C, c, const) = dynamics, cost
    for a in (F, f, W, C, c, const):
        if type(a) is not np.ndarray or a.dtype is not FLOAT or not a.flags.carray:
            return None
    sizes = _sizes(F.shape, f.shape, W.shape, C.shape, c.shape, const.shape)
    if sizes is None or config.DISABLE_JIT:  # type: ignore[attr-defined]
        return None
    T, dx, du = sizes
    K, k, cov = np.empty((T, du, dx)), np.empty((T, du)), np.zeros((T, du, du))
    V, v, s = np.empty((T + 1, dx, dx)), np.empty((T + 1, dx)), np.empty(T + 1)
    if dx + du <= SMALL:
        steps = backward_steps(dx, du).address
        well = _solve_small(steps, F, f, W, C, c, const, K, k, cov, V, v, s)
    else:
        well = _solve_blocked(F, f, W, C, c, const, K, k, cov, V, v, s)
    return (LinearGaussianController(K, k, cov), QuadraticValue(V, v, s)) if well else None


@lru_cache(maxsize=1024)
def _sizes(F: Shape, f: Shape, W: Shape, C: Shape, c: Shape, const: Shape) -> Shape | None:
    """Returns T, dx and du if these are the shapes of one problem without batch axis, else None."""
    if len(F) != 3 or not 0 < F[1] < F[2] or F[0] < 1:
        return None
    T, dx, n = F
    one = ((T, dx), (T, dx, dx), (T + 1, n, n), (T + 1, n), (T + 1,))
    return (T, dx, n - dx) if (f, W, C, c, const) == one else None


def forward(
    dynamics: LinearGaussianDynamics, controller: LinearGaussianController, x0: Gaussian
) -> TrajectoryDistribution:
    """Returns the marginals of [x; u] under the controller, from x0 on.

    Raises NumericalError, with the step, where they grow beyond all numbers.
    """
    lead, (model, ours, start) = flatten(("dynamics", "controller", "x0"), dynamics, controller, x0)
    return TrajectoryDistribution(*restore(lead, *forward_flat(*ours, *model, *start)))


def expected_cost(distribution: TrajectoryDistribution, cost: QuadraticCost) -> Array:
    """Returns the exact expected cost of each step, (..., T+1), under the marginals."""
    lead, ((mean, cov), (C, c, const)) = flatten(("distribution", "cost"), distribution, cost)
    quadratic = np.einsum("...i,...ij,...j->...", mean, C, mean) + np.einsum(
        "...ij,...ji->...", C, cov
    )
    return restore(lead, 0.5 * quadratic + np.einsum("...i,...i->...", c, mean) + const)[0]


def backward_flat(
    F: Array,
    f: Array,
    W: Array,
    C: Array,
    c: Array,
    const: Array,
    tau: Array,
    out: tuple[Array, ...] | None = None,
    todo: Array | None = None,
) -> tuple[Array, ...]:
    """Returns K, k, cov, V, v, const and, for each problem, the step where Quu is not positive
    definite, or -1.

    Every array has one batch axis. `out` are such arrays, to be written over (those of a first call
    will do), and `todo` the problems to solve, else all.
    """
    B, T, dx, n = F.shape
    if out is None:
        out = room(B, T, dx, n - dx)
    if todo is None:
        todo = np.arange(B)
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        plain.backward(todo, F, f, W, C, c, const, tau, *out)
    elif n <= SMALL:
        _backward_small(backward_steps(dx, n - dx).address, todo, F, f, W, C, c, const, tau, *out)
    else:
        _backward(todo, F, f, W, C, c, const, tau, *out)
    return out


def room(B: int, T: int, dx: int, du: int) -> tuple[Array, ...]:
    """Returns arrays for the results of `backward_flat`; cov is zero, and stays so where there is
    no temperature.
    """
    gains = np.empty((B, T, du, dx)), np.empty((B, T, du)), np.zeros((B, T, du, du))
    return (
        *gains,
        np.empty((B, T + 1, dx, dx)),
        np.empty((B, T + 1, dx)),
        np.empty((B, T + 1)),
        np.empty(B, int),
    )


def forward_flat(
    K: Array, k: Array, S: Array, F: Array, f: Array, W: Array, m0: Array, P0: Array
) -> tuple[Array, Array]:
    """Returns the means (B, T+1, n) and covariances (B, T+1, n, n) of xu. Raises NumericalError
    where they overflow.
    """
    B, T, dx, n = F.shape
    mean, cov = np.zeros((B, T + 1, n)), np.zeros((B, T + 1, n, n))
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        plain.forward(K, k, S, F, f, W, m0, P0, mean, cov)
    elif n <= SMALL:
        _forward_small(forward_steps(dx, n - dx).address, K, k, S, F, f, W, m0, P0, mean, cov)
    else:
        _forward(K, k, S, F, f, W, m0, P0, mean, cov)
    for word, field in (("mean", mean), ("covariance", cov)):
        if not all_finite(field):
            b, t = (int(i) for i in np.argwhere(~np.isfinite(field))[0][:2])
            raise NumericalError(
                f"the {word} of the trajectory overflows at step {t} of problem {b}; "
                "the closed loop is unstable: shorten the horizon, or check the controller's K and the dynamics' F"
            )
    return mean, cov


def divergence_flat(
    todo: Array,
    new: tuple[Array, ...],
    anchor: tuple[Array, ...],
    model: tuple[Array, ...],
    kl: Array,
) -> None:
    """Writes E_x KL( new(u|x) || anchor(u|x) ) per step into kl (B, T), for the problems `todo`.

    `new` is K, k, cov; `anchor` is K, k, precision and log-determinant of the covariance; `model`
    is F, f, cov of the dynamics and mean, cov of x0. It is NaN where a covariance of `new` is not
    positive definite.
    """
    du, dx = new[0].shape[2:]
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        plain.divergence(todo, *new, *anchor, *model, kl)  # type: ignore[call-arg]
    elif dx + du <= SMALL:
        _divergence_small(divergence_steps(dx, du).address, todo, *new, *anchor, *model, kl)
    else:
        _divergence(todo, *new, *anchor, *model, kl)
