"""LQR with linear equality constraints, exactly, by constraints-to-go (Laine & Tomlin 2019).

    minimise  sum_t 1/2 xu' C xu + c' xu + const
    subject to   x' = F xu + f,    D_t xu_t + d_t = 0  (t < T),    D_T x_T + d_T = 0

Each step may have another number of constraints, or none. What actions can meet they meet; what they
cannot is a constraint on the state, met by earlier ones. A step's actions are split by a singular
value decomposition: one part meets constraints, the other minimises the cost-to-go.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .batching import finite, flatten, vector, with_batch
from .errors import InputError, NotPositiveDefinite, NumericalError
from .types import Array, LinearGaussianController, LinearGaussianDynamics, QuadraticCost

RANK = 1e-9  # singular values below this share of the largest count as zero


class ConstrainedLQR(NamedTuple):
    """The optimum under equality constraints. A single problem has no leading axes."""

    controller: LinearGaussianController  # meets later constraints from every state that can
    X: Array  # (..., T+1, dx), from x0 without noise
    U: Array  # (..., T, du)
    cost: Array  # (...), of X and U
    multipliers: list[Array]  # one (..., m_t) for each step 0..T: d cost / d d_t
    costates: Array  # (..., T+1, dx), d cost / d x_t: the multipliers of the dynamics, and of x0


def equality_constrained(
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    constraints: Sequence[tuple[Any, Any] | None],
    x0: Any,
) -> ConstrainedLQR:
    """Returns the optimum from x0 (..., dx), with its multipliers.

    `constraints` has an entry for each step 0..T: None, or D (..., m_t, n) and d (..., m_t); at step
    T D is (..., m_T, dx). All leading axes broadcast, and are those of a batch. At the optimum the
    gradient of cost + sum_t multipliers_t'(D_t xu_t + d_t) along the dynamics is zero. Raises
    InputError for shapes that do not fit; NumericalError if no trajectory from x0 meets the
    constraints; NotPositiveDefinite, with the step, where what is left of Quu is not.
    """
    lead, ((F, f, _), (C, c, const)) = flatten(("dynamics", "cost"), dynamics, cost)
    (T, dx, n), x0 = F.shape[1:], vector("x0", x0)
    if x0.shape[-1] != dx:
        raise InputError(f"x0 has shape {x0.shape}; expected (..., {dx})")
    rows = _checked(constraints, T, dx, n)
    heads = [("dynamics and cost", lead), ("x0", x0.shape[:-1])]
    heads += [(f"constraints[{t}]", d.shape[:-1]) for t, (_, d) in enumerate(rows) if d.ndim > 1]
    try:
        whole = np.broadcast_shapes(*(head for _, head in heads))
    except ValueError as error:
        raise InputError(
            f"leading axes do not broadcast: {dict(heads)}; make them equal or 1"
        ) from error
    C = 0.5 * (C + np.swapaxes(C, -1, -2))
    arrays = [
        with_batch(a.reshape(lead + a.shape[1:]), whole, a.ndim - 1) for a in (F, f, C, c, const)
    ]
    start = with_batch(x0, whole, 1)
    spread = [(_each(D, whole, 2), _each(d, whole, 1)) for D, d in rows]
    found = []
    for b in range(len(start)):
        try:
            own = [(D[b], d[b]) for D, d in spread]
            found.append(_solved([a[b] for a in arrays], own, start[b]))
        except NotPositiveDefinite as error:
            raise NotPositiveDefinite(str(error), batch=b, t=error.t) from error
        except NumericalError as error:
            place = f"problem {b}"
            raise NumericalError(f"{place}: {error}" if whole else str(error)) from error
    return _stacked(found, whole)


def _each(a: Array, lead: tuple[int, ...], core: int) -> Array:
    """Returns an array, of no rows at times, with one batch axis before its last `core` axes."""
    rest = a.shape[a.ndim - core :]
    return np.broadcast_to(a, lead + rest).reshape(math.prod(lead), *rest)


def _stacked(found: list[ConstrainedLQR], lead: tuple[int, ...]) -> ConstrainedLQR:
    """Returns the solutions of a batch as one, with its leading axes."""

    def whole(*arrays: Any) -> Any:
        return np.stack(arrays).reshape(lead + np.shape(arrays[0]))[()]

    controller, X, U, cost, multipliers, costates = zip(*found, strict=True)
    return ConstrainedLQR(
        LinearGaussianController(*map(whole, *controller)),
        whole(*X),
        whole(*U),
        whole(*cost),
        [whole(*each) for each in zip(*multipliers, strict=True)],
        whole(*costates),
    )


def _solved(problem: list[Array], given: list[tuple[Array, Array]], x0: Array) -> ConstrainedLQR:
    """Returns the optimum of one problem, of F, f, C, c, const."""
    (F, f, C, c, const), (T, dx, n) = problem, problem[0].shape
    size = [_lengths(D) for D, _ in given]  # so that no unit hides another
    rows = [(D / s[:, None], d / s) for (D, d), s in zip(given, size, strict=True)]
    K, k = np.zeros((T, n - dx, dx)), np.zeros((T, n - dx))
    V, v = C[T, :dx, :dx], c[T, :dx]
    H, h, last = _reduced(*rows[T], np.eye(len(rows[T][1])))
    steps: list[Any] = [None] * T
    for t in range(T - 1, -1, -1):
        Q = C[t] + F[t].T @ V @ F[t]
        q = c[t] + F[t].T @ (V @ f[t] + v)
        D, d = rows[t]
        G, g = np.vstack([D, H @ F[t]]), np.concatenate([d, H @ f[t] + h])
        K[t], k[t], idle = _gains(Q, q, G, g, dx, t)
        M = np.vstack([np.eye(dx), K[t]])
        m = np.concatenate([np.zeros(dx), k[t]])
        V, v = M.T @ Q @ M, M.T @ (q + Q @ m)
        H, h, reduce = _reduced(idle @ G[:, :dx], idle @ g, idle)
        steps[t] = Q, q, G, len(d), reduce
    left = H @ x0 + h
    scale = 1.0 + abs(h).max(initial=0.0) + abs(x0).max()
    if abs(left).max(initial=0.0) > 1e-6 * scale:
        raise NumericalError(
            f"no trajectory from x0 meets the constraints: they ask of x0 what is off by {abs(left).max():.3g}; "
            "drop a constraint, or give actions more time"
        )
    found = _solution(F, f, C, c, const, x0, K, k, rows, steps, last)
    back = [m / s for m, s in zip(found.multipliers, size, strict=True)]
    return found._replace(multipliers=back)


def _gains(Q: Array, q: Array, G: Array, g: Array, dx: int, t: int) -> tuple[Array, Array, Array]:
    """Returns K, k, and the rows that turn constraints into those that no action changes."""
    left, values, right = np.linalg.svd(G[:, dx:])
    scale = abs(G).max(initial=0.0)
    rank = int((values > RANK * max(scale, 1e-300)).sum())
    meet = right[:rank].T @ (left[:, :rank] / values[:rank]).T  # the pseudo-inverse of Gu
    free, idle = right[rank:].T, left[:, rank:].T
    K, k = -meet @ G[:, :dx], -meet @ g
    if free.shape[1]:
        R = free.T @ Q[dx:, dx:] @ free
        least = np.linalg.eigvalsh(R)
        if not least[0] > 1e-14 * abs(least[-1]):
            raise NotPositiveDefinite(
                f"Quu at step {t}, where constraints leave actions free, is not positive definite; raise the cost of "
                "actions",
                batch=0,
                t=t,
            )
        K += -free @ np.linalg.solve(R, free.T @ (Q[dx:, :dx] + Q[dx:, dx:] @ K))
        k += -free @ np.linalg.solve(R, free.T @ (q[dx:] + Q[dx:, dx:] @ k))
    return K, k, idle


def _reduced(H: Array, h: Array, rows: Array) -> tuple[Array, Array, Array]:
    """Returns the constraints H x + h = 0 without repetitions, and what made them of `rows`."""
    left, values, _ = np.linalg.svd(H, full_matrices=False)
    keep = values > RANK * max(abs(H).max(initial=0.0), 1e-300)
    made = left[:, keep].T
    gone = h - left[:, keep] @ (made @ h)
    if abs(gone).max(initial=0.0) > 1e-6 * (1.0 + abs(h).max(initial=0.0)):
        raise NumericalError(
            f"the constraints contradict each other by {abs(gone).max():.3g}; drop one, or give actions more time"
        )
    return made @ H, made @ h, made @ rows


def _solution(
    F: Array,
    f: Array,
    C: Array,
    c: Array,
    const: Array,
    x0: Array,
    K: Array,
    k: Array,
    rows: list[tuple[Array, Array]],
    steps: list[Any],
    last: Array,
) -> ConstrainedLQR:
    """Rolls out, and finds the multipliers, forward in time."""
    T, dx, n = F.shape
    X, U = np.zeros((T + 1, dx)), np.zeros((T, n - dx))
    X[0], total, multipliers = x0, 0.0, []
    passed = np.zeros(len(steps[0][4]))  # the multiplier of the constraints on this step's state
    for t, (Q, q, G, own, reduce) in enumerate(steps):
        U[t] = K[t] @ X[t] + k[t]
        xu = np.concatenate([X[t], U[t]])
        X[t + 1] = F[t] @ xu + f[t]
        total += 0.5 * xu @ C[t] @ xu + c[t] @ xu + const[t]
        here = reduce.T @ passed  # along rows that no action changes
        right = -(Q[dx:] @ xu + q[dx:])
        here = here + np.linalg.lstsq(G[:, dx:].T, right, rcond=RANK)[0]
        multipliers.append(here[:own])
        passed = here[own:]
    multipliers.append(last.T @ passed)
    end, costates = X[T], np.zeros((T + 1, dx))
    total += 0.5 * end @ C[T, :dx, :dx] @ end + c[T, :dx] @ end + const[T]
    costates[T] = C[T, :dx, :dx] @ end + c[T, :dx] + rows[T][0].T @ multipliers[T]
    for t in range(T - 1, -1, -1):
        xu = np.concatenate([X[t], U[t]])
        slope = C[t] @ xu + c[t] + F[t].T @ costates[t + 1] + rows[t][0].T @ multipliers[t]
        costates[t] = slope[:dx]
    controller = LinearGaussianController(K, k, np.zeros((T, n - dx, n - dx)))
    return ConstrainedLQR(controller, X, U, np.asarray(total), multipliers, costates)


def _lengths(D: Array) -> Array:
    """Returns the length of each row, 1 for rows of zeros."""
    length = np.linalg.norm(D, axis=1)
    return np.where(length > 0, length, 1.0)


def _checked(constraints: Any, T: int, dx: int, n: int) -> list[tuple[Array, Array]]:
    """Returns D and d for each step. Raises InputError where they do not fit."""
    if not isinstance(constraints, Sequence) or len(constraints) != T + 1:
        got = len(constraints) if hasattr(constraints, "__len__") else type(constraints).__name__
        raise InputError(
            f"constraints has {got} entries; expected {T + 1}, one for each step 0..T: None, or (D, d)"
        )
    rows = []
    for t, entry in enumerate(constraints):
        width = n if t < T else dx
        if entry is None:
            rows.append((np.zeros((0, width)), np.zeros(0)))
            continue
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise InputError(f"constraints[{t}] is a {type(entry).__name__}; expected (D, d)")
        D, d = finite(f"constraints[{t}]: D", entry[0]), finite(f"constraints[{t}]: d", entry[1])
        if D.ndim < 2 or d.ndim < 1 or D.shape[-1] != width or d.shape[-1] != D.shape[-2]:
            raise InputError(
                f"constraints[{t}]: D has shape {D.shape}, d {d.shape}; expected (..., m, {width}) and (..., m)"
            )
        try:
            head = np.broadcast_shapes(D.shape[:-2], d.shape[:-1])
        except ValueError as error:
            raise InputError(
                f"constraints[{t}]: D has shape {D.shape}, d {d.shape}; their leading axes do not broadcast"
            ) from error
        rows.append(
            (np.broadcast_to(D, head + D.shape[-2:]), np.broadcast_to(d, head + d.shape[-1:]))
        )
    return rows
