"""The iterations of iLQR and DDP: line search, regularisation and learned curvature, for a batch.

`iterate` is one text that runs compiled, with pointers to compiled parts, or as plain Python, with
any functions of the same shapes; so a solve with the caller's own cost, quadratic solver or
callback takes the very same steps. Problems go in step with one another, each with its own line
search, regularisation and end; one that has ended stays as it is.
"""

import numpy as np

from .jit import kernel

MU_MIN, MU_MAX, GROWTH = 1e-6, 1e10, 1.6  # mu, as shares of the cost's curvature, see `_curvature`
MU_SMALL = 1e-3  # another: up to here the improvement that a step promises is told in full
PAUSE = 7  # steps at most without the curvature of the dynamics, after it made a step fail
FLAT = 30.0  # a cost so many times as large as what of it changes is a constant for the most part
SLOW = 0.3  # learned curvature is tried where a step gains more than this part of what the last one gained
RUNNING, STATIONARY, SETTLED, STUCK, STOPPED, FROZEN, UNFIT, ROUGH = range(8)


@kernel
def _learn(b, X, U, F, X_old, U_old, F_old, c, S):
    """Updates S, the curvature that the dynamics add to Q, from the change of their Jacobians
    (symmetric rank one).

    S_t approaches sum_i p_i d2f_i, where p is the gradient of the cost-to-go of the present
    actions.
    """
    _, T, dx, n = F.shape
    p, q, s, r = np.empty(dx), np.empty(n), np.empty(n), np.empty(n)
    for i in range(dx):
        p[i] = c[b, T, i]
    for t in range(T - 1, -1, -1):
        rs, rr, ss = 0.0, 0.0, 0.0
        for i in range(n):
            s[i] = X[b, t, i] - X_old[b, t, i] if i < dx else U[b, t, i - dx] - U_old[b, t, i - dx]
        for i in range(n):
            q[i] = c[b, t, i]
            r[i] = 0.0
            for m in range(dx):
                q[i] += F[b, t, m, i] * p[m]
                r[i] += (F[b, t, m, i] - F_old[b, t, m, i]) * p[m]
            for j in range(n):
                r[i] -= S[b, t, i, j] * s[j]
            rs += r[i] * s[i]
            rr += r[i] * r[i]
            ss += s[i] * s[i]
        if abs(rs) > 1e-6 * np.sqrt(rr * ss) and rs != 0.0:
            for i in range(n):
                for j in range(n):
                    S[b, t, i, j] += r[i] * r[j] / rs
        for i in range(dx):
            p[i] = q[i]


@kernel
def _variation(b, X, U, C, c):
    """Returns how much the cost to second order changes along the trajectory, from its mean state
    and action: a scale that knows neither constants of the cost nor the origin of the states.
    """
    S, dx = X.shape[1:]
    n = c.shape[2]
    z, d, total = np.zeros(n), np.empty(n), 0.0
    for t in range(S):
        for i in range(dx):
            z[i] += X[b, t, i] / S
        for i in range(dx, n if t < S - 1 else dx):
            z[i] += U[b, t, i - dx] / (S - 1)
    for t in range(S):
        size = n if t < S - 1 else dx
        for i in range(size):
            d[i] = (X[b, t, i] if i < dx else U[b, t, i - dx]) - z[i]
        linear, square = 0.0, 0.0
        for i in range(size):
            linear += c[b, t, i] * d[i]
            for j in range(size):
                square += d[i] * C[b, t, i, j] * d[j]
        total += abs(linear) + 0.5 * abs(square)
    return total


@kernel
def _curvature(b, F, C):
    """Returns the curvature of the cost along one action, a mean over steps and actions: that of
    the action and of the state after it, without signs. It has the unit of mu.

    Where actions reach none within a step, the mean curvature along the states; 1 where the cost
    is not curved at all.
    """
    T, dx, n = F.shape[1:]
    total, along_states = 0.0, 0.0
    for t in range(T):
        for i in range(dx):
            along_states += abs(C[b, t + 1, i, i])
        for i in range(dx, n):
            total += abs(C[b, t, i, i])
            for j in range(dx):
                total += F[b, t, j, i] * F[b, t, j, i] * abs(C[b, t + 1, j, j])
    if total > 0.0:
        return total / (T * (n - dx))
    return along_states / (T * dx) if along_states > 0.0 else 1.0


@kernel
def _finite(b, F):
    """Are all derivatives of problem b numbers?"""
    total = 0.0
    for t in range(F.shape[1]):
        for i in range(F.shape[2]):
            for j in range(F.shape[3]):
                total += 0.0 * F[b, t, i, j]
    return total == 0.0


@kernel
def _take(b, new, out):
    """Copies problem b of three axes. (Numba's own copies of slices take seconds to compile, for
    their messages.)
    """
    for t in range(out.shape[1]):
        for i in range(out.shape[2]):
            out[b, t, i] = new[b, t, i]


@kernel
def _take_matrices(b, new, out):
    """Copies problem b of four axes."""
    for t in range(out.shape[1]):
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                out[b, t, i, j] = new[b, t, i, j]


@kernel
def iterate(roll, differentiate, expand, evaluate, ilqr_backward, report, C0, c0, const, offset,
            X, U, K, k, low, high, H, secant, most,
            tolerance, start_mu, status, J, iterations):  # fmt: skip
    """Improves X, U, K and k in place from U, where status is RUNNING; writes status, J and
    iterations (B,).

    C0, c0 and const are a quadratic cost, if it is one; `offset` (B,) is left out of J.
    H (B, T, dx, n, n) is room for second derivatives, with T = 0 where there are none; with
    `secant` the curvature of the dynamics is learned instead.
    """
    B, T, du = U.shape
    dx = X.shape[2]
    n = dx + du
    F, F_old, S = np.zeros((B, T, dx, n)), np.zeros((B, T, dx, n)), np.zeros((B, T, n, n))
    C = np.zeros((B, T + 1, n, n))
    c = np.zeros((B, T + 1, n))
    Kn = np.zeros(K.shape)
    kn = np.zeros(U.shape)
    Xn = np.zeros(X.shape)
    X_old = np.zeros(X.shape)
    Un = np.zeros(U.shape)
    U_old = np.zeros(U.shape)
    w, yes, exact = np.zeros((9, B)), np.zeros((8, B), np.bool_), H.shape[1] > 0
    alpha, mu, factor, linear, quadratic, trial, gain = w[0], w[1], w[2], w[3], w[4], w[5], w[6]
    first, unit = w[7], w[8]  # unit: of mu, the largest curvature found so far where it counts
    definite = yes[0]
    fresh = yes[1]
    searching = yes[2]
    curved = yes[3]
    known = yes[4]
    stop = yes[5]
    slow = yes[6]
    active = yes[7]
    rest, pause = np.zeros(B, np.int64), np.zeros(B, np.int64)
    for b in range(B):
        active[b], mu[b] = True, start_mu
        for i in range(dx):
            Xn[b, 0, i] = X[b, 0, i]
    roll(active, X, U, Kn, kn, alpha, low, high, Xn, Un)
    evaluate(active, C0, c0, const, Xn, Un, trial)
    for b in range(B):
        _take(b, Xn, X)
        _take(b, Un, U)
        J[b], iterations[b], factor[b], fresh[b] = trial[b], 0, 1.0, True
        first[b] = trial[b]
        if not np.isfinite(J[b]):
            status[b] = UNFIT
    for iteration in range(1, most + 1):
        going = False
        for b in range(B):
            active[b] = status[b] == RUNNING
            fresh[b] = fresh[b] and active[b]
            going = going or active[b]
        if not going:
            break
        differentiate(fresh, X, U, F, H)
        for b in range(B):
            if fresh[b] and not _finite(b, F):
                status[b], active[b], fresh[b] = ROUGH, False, False
        expand(fresh, C0, c0, X, U, C, c)
        for b in range(B):
            if active[b] and mu[b] > 0.0:
                unit[b] = max(unit[b], _curvature(b, F, C))
            if secant and fresh[b] and known[b]:
                _learn(b, X, U, F, X_old, U_old, F_old, c, S)
            curved[b] = (exact or (secant and slow[b])) and rest[b] == 0
        ilqr_backward(
            active, curved, F, H, S, C, c, low, high, U, mu, Kn, kn, definite, linear, quadratic
        )
        going = False
        for b in range(B):
            if not active[b]:
                continue
            iterations[b], alpha[b], searching[b] = iteration, 0.0, False
            if definite[b]:
                _take_matrices(b, Kn, K)
                _take(b, kn, k)
                total = abs(J[b] + offset[b])
                changing = _variation(b, X, U, C, c) + first[b] - J[b]
                changing = total if total < FLAT * changing else changing
                least = max(tolerance * changing, 1e-16 * total)
                if -linear[b] <= least and mu[b] <= MU_SMALL * unit[b]:
                    status[b] = STATIONARY
                else:
                    searching[b], alpha[b], going = True, 1.0, True
        while going:
            roll(searching, X, U, Kn, kn, alpha, low, high, Xn, Un)
            evaluate(searching, C0, c0, const, Xn, Un, trial)
            going = False
            for b in range(B):
                if not searching[b]:
                    continue
                expected = -(alpha[b] * linear[b] + alpha[b] * alpha[b] * quadratic[b])
                if (
                    np.isfinite(trial[b])
                    and J[b] - trial[b] > 1e-4 * max(expected, 0.0)
                    and trial[b] < J[b]
                ):
                    if secant:
                        _take(b, X, X_old)
                        _take(b, U, U_old)
                        _take_matrices(b, F, F_old)
                    slow[b] = curved[b] or J[b] - trial[b] > SLOW * gain[b] > 0.0
                    gain[b], known[b] = J[b] - trial[b], known[b] or slow[b]
                    if gain[b] <= tolerance * tolerance * abs(trial[b]):
                        status[b] = SETTLED
                    _take(b, Xn, X)
                    _take(b, Un, U)
                    J[b], searching[b] = trial[b], False
                else:
                    alpha[b] *= 0.5
                    if alpha[b] < (0.1 if curved[b] else 1e-5):
                        alpha[b], searching[b] = 0.0, False
                going = going or searching[b]
        for b in range(B):
            if not active[b]:
                continue
            fresh[b] = alpha[b] > 0
            if fresh[b]:
                factor[b] = min(1 / GROWTH, factor[b] / GROWTH)
                mu[b] = mu[b] * factor[b] if mu[b] * factor[b] >= MU_MIN * unit[b] else 0.0
                rest[b] = max(rest[b] - 1, 0)
                pause[b] = 0 if curved[b] else pause[b]
            elif (
                curved[b] and status[b] == RUNNING
            ):  # not convex enough: some steps by the convex part alone
                pause[b] = min(2 * pause[b] + 1, PAUSE)
                rest[b] = pause[b]
            elif status[b] == RUNNING:
                factor[b] = max(GROWTH, factor[b] * GROWTH)
                unit[b] = max(unit[b], _curvature(b, F, C))
                mu[b] = max(MU_MIN * unit[b], mu[b] * factor[b])
                if mu[b] > MU_MAX * unit[b]:
                    total = abs(J[b] + offset[b])
                    changing = _variation(b, X, U, C, c) + first[b] - J[b]
                    changing = total if total < FLAT * changing else changing
                    least = max(1e-6 * changing, 1e-12 * total)
                    good = definite[b] and -linear[b] <= least
                    status[b] = SETTLED if good else STUCK
        report(iteration, J, alpha, mu, X, U, stop)
        for b in range(B):
            if stop[b] and status[b] == RUNNING:
                status[b] = STOPPED
