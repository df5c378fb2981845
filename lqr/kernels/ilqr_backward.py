"""The backward pass of iLQR and DDP, with actions limited by a box (Tassa, Mansard & Todorov
2014), for a batch.

Everything is a deviation from the present trajectory: du = alpha k + K dx. Beside it, the quadratic
programme in the box, and quadratic costs along a trajectory. The signatures are those of the parts
that `iterate` is given.
"""

from collections import Counter
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numba import config, types

from .jit import kernel, part, pointer

# states and actions up to which a backward pass may be compiled for their number: about twice as
# fast
LARGEST = 10
PAYS = 4_000_000  # steps on which that saves the two seconds that compiling takes


def _floats(dimensions: int) -> Any:
    return types.Array(types.float64, dimensions, "C")


_f1, _f2, _f3, _f4, _f5 = (_floats(d) for d in range(1, 6))
_flags = types.Array(types.boolean, 1, "C")
ROLL = types.void(_flags, _f3, _f3, _f4, _f3, _f1, _f3, _f3, _f3, _f3)
DIFFERENTIATE = types.void(_flags, _f3, _f3, _f4, _f5)
EVALUATE = types.void(_flags, _f4, _f3, _f2, _f3, _f3, _f1)
EXPAND = types.void(_flags, _f4, _f3, _f3, _f3, _f4, _f3)
BACKWARD = types.void(
    _flags, _flags, _f4, _f5, _f4, _f4, _f3, _f3, _f3, _f3, _f1, _f4, _f3, _flags, _f1, _f1
)
REPORT = types.void(types.int64, _f1, _f1, _f1, _f3, _f3, _flags)

_done: Counter[tuple[int, int]] = Counter()  # steps by states and actions


@lru_cache
def compiled_parts() -> tuple[Any, ...]:
    """Returns pointers to expand, evaluate and report, for a quadratic cost and no callback."""
    return tuple(
        pointer(function.py_func, signature)
        for function, signature in (
            (expand_quadratic, EXPAND),
            (evaluate_quadratic, EVALUATE),
            (_silent, REPORT),
        )
    )


def compiled_ilqr_backward(dx: int, du: int) -> Any:
    """Returns the backward pass for these sizes as a function; it is compiled once for both
    uses.
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return ilqr_backward_for(dx, du)
    return partial(_call, backward_pointer(dx, du))


def backward_pointer(dx: int, du: int) -> Any:
    """Returns the backward pass for these sizes: loops for any size, until `count_steps` was told
    of so many that compiling for these sizes pays, or where that was done in another process.

    Both do the same sums in the same order, so their results are the same to the last bit.
    """
    if dx + du <= LARGEST and (_done[dx, du] >= PAYS or _sized(dx, du, known=True)):
        return _sized(dx, du)
    return _sized(0, 0)


def count_steps(dx: int, du: int, steps: int) -> None:
    """Adds steps that the backward pass for these sizes has done."""
    _done[dx, du] += steps


@lru_cache
def _sized(dx: int, du: int, known: bool = False) -> Any:
    """Returns the backward pass compiled for these sizes; if `known`, None unless it is on disk."""
    return pointer(ilqr_backward_for(dx, du), BACKWARD, only_loaded=known)


@kernel
def _call(ilqr_backward, active, curved, F, H, S, C, c, low, high, U, mu, K, k, definite, linear,
          quadratic):  # fmt: skip
    """Calls a compiled backward pass."""
    ilqr_backward(
        active, curved, F, H, S, C, c, low, high, U, mu, K, k, definite, linear, quadratic
    )


@kernel
def evaluate_quadratic(active, C, c, const, X, U, J):
    """Writes the cost of each active problem, J (B,)."""
    B, S, dx = X.shape
    n = C.shape[2]
    xu = np.zeros(n)
    for b in range(B):
        if not active[b]:
            continue
        total = 0.0
        for t in range(S):
            for i in range(dx):
                xu[i] = X[b, t, i]
            for i in range(dx, n):
                xu[i] = U[b, t, i - dx] if t < S - 1 else 0.0
            for i in range(n):
                s = 0.0
                for j in range(n):
                    s += C[b, t, i, j] * xu[j]
                total += xu[i] * (0.5 * s + c[b, t, i])
            total += const[b, t]
        J[b] = total


@kernel
def expand_quadratic(active, C, c, X, U, H, g):
    """Writes Hessians and gradients at the trajectory of each active problem."""
    B, S, dx = X.shape
    n = C.shape[2]
    for b in range(B):
        if not active[b]:
            continue
        for t in range(S):
            for i in range(n):
                s = c[b, t, i]
                for j in range(n):
                    H[b, t, i, j] = C[b, t, i, j]
                    if j < dx:
                        s += C[b, t, i, j] * X[b, t, j]
                    elif t < S - 1:
                        s += C[b, t, i, j] * U[b, t, j - dx]
                g[b, t, i] = s


@kernel
def _silent(iteration, J, step, mu, X, U, stop):
    return


@part
def _factor(H, free, L, d):
    """Writes the Cholesky factor of H on the free coordinates; False if H is not definite there."""
    for j in range(d):
        for i in range(j, d):
            s = H[i, j] if free[i] and free[j] else (1.0 if i == j else 0.0)
            for m in range(j):
                s -= L[i, m] * L[j, m]
            if i > j:
                L[i, j] = s / L[j, j]
            elif s > 1e-14 * abs(H[j, j]) and s < np.inf:
                L[j, j] = np.sqrt(s)
            else:
                return False
    return True


@part
def _solve(L, x, d):
    """Writes (L L')^-1 x over x."""
    for i in range(d):
        s = x[i]
        for m in range(i):
            s -= L[i, m] * x[m]
        x[i] = s / L[i, i]
    for i in range(d - 1, -1, -1):
        s = x[i]
        for m in range(i + 1, d):
            s -= L[m, i] * x[m]
        x[i] = s / L[i, i]


@part
def _gradient(H, g, x, i, d):
    """Returns the slope along coordinate i, and how large the numbers are that it is the sum of."""
    slope, size = g[i], abs(g[i])
    for j in range(d):
        slope += H[i, j] * x[j]
        size = max(size, abs(H[i, j] * x[j]))
    return slope, size


@part
def _optimal(H, g, low, high, x, d):
    """Do the conditions of Karush, Kuhn and Tucker hold, but for rounding?"""
    for i in range(d):
        slope, size = _gradient(H, g, x, i, d)
        up = x[i] >= high[i] or slope > -1e-12 * size
        down = x[i] <= low[i] or slope < 1e-12 * size
        if not (slope == 0.0 or (up and down)):
            return False
    return True


@kernel
def active_set(H, g, low, high, x, free, L, grad, step):
    """Improves x in place until it is optimal, one change of the free set at a time (Nocedal &
    Wright 2006, algorithm 16.3); writes the free set and the factor of H there.

    False if H is not definite there, or no optimum was found.
    """
    d = len(g)
    for i in range(d):
        free[i] = low[i] < x[i] < high[i]
    for _ in range(100 + 20 * d):
        if not _factor(H, free, L, d):
            return False
        for i in range(d):
            grad[i], _ = _gradient(H, g, x, i, d)
            step[i] = -grad[i] if free[i] else 0.0
        _solve(L, step, d)
        alpha, block = 1.0, -1
        for i in range(d):
            if free[i] and step[i] != 0.0:
                room = (high[i] if step[i] > 0.0 else low[i]) - x[i]
                if abs(room) <= alpha * abs(step[i]):
                    alpha, block = abs(room) / abs(step[i]), i
        for i in range(d):
            if free[i]:
                x[i] = min(max(x[i] + alpha * step[i], low[i]), high[i])
        if block >= 0:
            x[block] = high[block] if step[block] > 0.0 else low[block]
            free[block] = False
            continue
        worst, most = -1, 1e-13
        for i in range(d):
            slope, size = _gradient(H, g, x, i, d)
            inward = slope if x[i] >= high[i] else -slope
            if not free[i] and low[i] < high[i] and inward > most * size:
                worst, most = i, inward / size
        if worst < 0:
            return _optimal(H, g, low, high, x, d)
        free[worst] = True
    return False


@kernel
def box_qp(H, g, low, high, x, free, L, grad, step, trial):
    """Improves x in place by projected Newton steps; writes the free set and the factor of H there.

    Where these stop short of the optimum, as they may where H is badly conditioned, `active_set`
    goes on. False if H is not definite. The last three arrays are room to work in.
    """
    d = len(g)
    for _ in range(100):
        norm, scale = 0.0, 0.0
        for i in range(d):
            grad[i] = g[i]
            for j in range(d):
                grad[i] += H[i, j] * x[j]
            free[i] = not ((x[i] <= low[i] and grad[i] > 0) or (x[i] >= high[i] and grad[i] < 0))
            scale = max(scale, abs(g[i]))
            if free[i]:
                norm = max(norm, abs(grad[i]))
        if not _factor(H, free, L, d):
            return False
        if norm <= 1e-12 * scale:
            return True
        for i in range(d):
            step[i] = -grad[i] if free[i] else 0.0
        _solve(L, step, d)
        alpha, stuck = 1.0, False
        while True:
            slope, moved = 0.0, 0.0
            for i in range(d):
                trial[i] = min(max(x[i] + alpha * step[i], low[i]), high[i]) if free[i] else x[i]
                slope += grad[i] * (trial[i] - x[i])
                moved = max(moved, abs(trial[i] - x[i]))
            change = slope
            for i in range(d):
                for j in range(d):
                    change += 0.5 * (trial[i] - x[i]) * H[i, j] * (trial[j] - x[j])
            stuck = moved == 0.0 or alpha < 1e-12
            if stuck or change <= 0.1 * slope:
                break
            alpha *= 0.5
        if stuck:
            break
        for i in range(d):
            x[i] = trial[i]
    if _optimal(H, g, low, high, x, d):
        return True
    return active_set(H, g, low, high, x, free, L, grad, step)


@lru_cache
def ilqr_backward_for(dx: int, du: int) -> Any:
    """Returns the backward pass for these sizes, known at compile time; for any sizes if both are
    0.

    It writes K, k and the promised change a linear + a^2 quadratic of each active problem, or that
    it has no minimum.

    k minimises 1/2 k'(Quu + mu I)k + qu'k over low <= U + k <= high, and K acts where the box
    leaves k free. The value is that of the action taken under the unregularised Q. Where `curved`,
    the dynamics' curvature counts: H, or, where H has no rows, S.
    """
    DX, DU = dx, du

    def ilqr_backward(
        active, curved, F, H, S, C, c, low, high, U, mu, K, k, definite, linear, quadratic
    ):
        B, T = F.shape[0], F.shape[1]
        dx = DX if DX else F.shape[2]
        du = DU if DU else F.shape[3] - dx
        n = dx + du
        exact = H.shape[1] > 0
        V = np.empty((dx, dx))
        v = np.empty(dx)
        Q = np.empty((n, n))
        q = np.empty(n)
        VF = np.empty((dx, n))
        R, L, free = np.empty((du, du)), np.zeros((du, du)), np.ones(du, np.bool_)
        w = np.empty((7, du))
        g, x, x_low, x_high, a, r, z = w[0], w[1], w[2], w[3], w[4], w[5], w[6]
        Qk = np.empty((du, dx + 1))
        for b in range(B):
            if not active[b]:
                continue
            definite[b], linear[b], quadratic[b] = True, 0.0, 0.0
            for i in range(dx):
                v[i] = c[b, T, i]
                for j in range(dx):
                    V[i, j] = C[b, T, i, j]
            for t in range(T - 1, -1, -1):
                for i in range(dx):
                    for j in range(n):
                        s = 0.0
                        for m in range(dx):
                            s += V[i, m] * F[b, t, m, j]
                        VF[i, j] = s
                for i in range(n):
                    s = c[b, t, i]
                    for m in range(dx):
                        s += F[b, t, m, i] * v[m]
                    q[i] = s
                    for j in range(i + 1):
                        s = C[b, t, i, j]
                        for m in range(dx):
                            s += F[b, t, m, i] * VF[m, j]
                        Q[i, j] = s
                if exact and curved[b]:
                    for m in range(dx):
                        for i in range(n):
                            for j in range(i + 1):
                                Q[i, j] += v[m] * H[b, t, m, i, j]
                elif curved[b]:
                    for i in range(n):
                        for j in range(i + 1):
                            Q[i, j] += S[b, t, i, j]
                inside = True
                for i in range(du):
                    g[i], x[i], free[i] = q[dx + i], -q[dx + i], True
                    for j in range(i + 1):
                        R[i, j] = R[j, i] = Q[dx + i, dx + j]
                    R[i, i] += mu[b]
                fine = _factor(R, free, L, du)
                if fine:
                    _solve(L, x, du)
                for i in range(du):
                    x_low[i], x_high[i] = low[b, t, i] - U[b, t, i], high[b, t, i] - U[b, t, i]
                    inside = inside and x_low[i] <= x[i] <= x_high[i]
                if not (fine and inside):
                    for i in range(du):
                        x[i] = min(max(x[i] if fine else 0.0, x_low[i]), x_high[i])
                    if not box_qp(R, g, x_low, x_high, x, free, L, a, r, z):
                        definite[b] = False
                        break
                for i in range(du):
                    k[b, t, i] = x[i]
                for j in range(dx):
                    for i in range(du):
                        a[i] = -Q[dx + i, j] if free[i] else 0.0
                    _solve(L, a, du)
                    for i in range(du):
                        K[b, t, i, j] = a[i]
                for i in range(du):
                    s = -mu[b] * x[i]
                    for m in range(du):
                        s += R[i, m] * x[m]
                    linear[b] += x[i] * g[i]
                    quadratic[b] += 0.5 * x[i] * s
                    Qk[i, dx] = s + g[i]
                    for j in range(dx):
                        s = Q[dx + i, j] - mu[b] * K[b, t, i, j]
                        for m in range(du):
                            s += R[i, m] * K[b, t, m, j]
                        Qk[i, j] = s
                for i in range(dx):
                    s = q[i]
                    for m in range(du):
                        s += K[b, t, m, i] * Qk[m, dx] + Q[dx + m, i] * x[m]
                    v[i] = s
                    for j in range(i + 1):
                        s = Q[i, j]
                        for m in range(du):
                            s += K[b, t, m, i] * Qk[m, j] + Q[dx + m, i] * K[b, t, m, j]
                        V[i, j] = V[j, i] = s

    return ilqr_backward
