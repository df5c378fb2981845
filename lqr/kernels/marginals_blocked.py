"""The forward pass: how the distribution of states and actions flows through a controller, and its
divergence.

With the closed loop A = Fx + Fu K, the state's covariance becomes A P A' + Fu S Fu' + W. The mean
travels as one more column of P, and k as one more column of S, so that they need no products of
their own.
"""

import numpy as np

from .jit import kernel, part
from .matrix_products import add_lower_product, add_product, mirror, padded, write_product
from .simd import add_row, copy_row, transpose, write_row


@part
def rows_of(d):
    """The number of rows for d of them, in blocks of 8."""
    return (d + 7) // 8 * 8


@part
def begin(b, P0, m0, P):
    """Writes the distribution of the first state to P, with the mean in column and row dx."""
    dx = m0.shape[1]
    for i in range(dx):
        copy_row(P0.reshape(-1), (b * dx + i) * dx, P, i, 0, dx)
    copy_row(m0.reshape(-1), b * dx, P, dx, 0, dx)
    mirror(P, dx + 1)


@part
def advance(at, Kf, kf, Sf, Ff, ff, Wf, dx, du, P, Fp, Kp, Sp, At, Bt, PA, SB, Fu):
    """Replaces P, with the mean in row and column dx, by the next one; `at` counts steps over all
    problems.
    """
    n = dx + du
    for i in range(dx):
        copy_row(Ff, (at * dx + i) * n, Fp, i, 0, dx)
        copy_row(Ff, (at * dx + i) * n + dx, Fu, i, 0, du)
    for i in range(du):
        copy_row(Kf, (at * du + i) * dx, Kp, i, 0, dx)
        copy_row(Sf, (at * du + i) * du, Sp, i, 0, du)
        Sp[i, du] = kf[at * du + i]
    for i in range(0, dx, 8):
        for j in range(0, dx, 8):
            transpose(Fp, i, j, At, j, i)
        for j in range(0, du, 8):
            transpose(Fu, i, j, Bt, j, i)
    add_product(Kp, Bt, At, du, dx, dx)  # A'
    write_product(P, At, PA, dx, dx + 1, dx)
    write_product(Sp, Bt, SB, du, du + 1, dx)
    for i in range(dx):
        copy_row(Wf, (at * dx + i) * dx, P, i, 0, dx)
    add_lower_product(At, PA, P, dx, dx)
    add_lower_product(Bt, SB, P, du, dx)
    copy_row(ff, at * dx, P, dx, 0, dx)
    add_row(1.0, PA, dx, P, dx, dx)
    add_row(1.0, SB, du, P, dx, dx)
    mirror(P, dx + 1)


@kernel
def _forward(K, k, S, F, f, W, m0, P0, mean, cov):
    B, T, dx, n = F.shape
    du = n - dx
    tall, thin = padded(dx + 1), padded(du + 1)
    Fu = np.zeros((rows_of(dx), thin))
    Fp = np.zeros((rows_of(dx), tall))
    P = np.zeros((rows_of(dx + 1), tall))
    PA = np.empty((dx + 4, tall))
    Kp, Sp = np.zeros((rows_of(du), tall)), np.zeros((du, thin))
    At = np.zeros((rows_of(dx), tall))
    Bt = np.zeros((rows_of(du), tall))
    SB = np.empty((du + 4, tall))
    Kt = np.zeros((rows_of(dx), thin))
    PK = np.empty((rows_of(dx + 1), thin))
    U = np.zeros((du + 3, thin))
    Ff, ff, Wf, covf = F.reshape(-1), f.reshape(-1), W.reshape(-1), cov.reshape(-1)
    Kf, kf, Sf = K.reshape(-1), k.reshape(-1), S.reshape(-1)
    for b in range(B):
        begin(b, P0, m0, P)
        for t in range(T + 1):
            at, now = b * T + t, (b * (T + 1) + t) * n
            for i in range(dx):
                mean[b, t, i] = P[i, dx]
                write_row(P, i, 0, covf, (now + i) * n, dx)
            if t == T:
                break
            for i in range(du):
                copy_row(Kf, (at * du + i) * dx, Kp, i, 0, dx)
                copy_row(Sf, (at * du + i) * du, U, i, 0, du)
            for i in range(0, du, 8):
                for j in range(0, dx, 8):
                    transpose(Kp, i, j, Kt, j, i)
            write_product(P, Kt, PK, dx, dx + 1, du)
            add_lower_product(Kt, PK, U, dx, du)
            for i in range(dx):
                write_row(PK, i, 0, covf, (now + i) * n + dx, du)
            for i in range(du):
                mean[b, t, dx + i] = k[b, t, i] + PK[dx, i]
                for j in range(dx):
                    cov[b, t, dx + i, j] = PK[j, i]
                for j in range(i + 1):
                    cov[b, t, dx + i, dx + j] = cov[b, t, dx + j, dx + i] = U[i, j]
            advance(at, Kf, kf, Sf, Ff, ff, Wf, dx, du, P, Fp, Kp, Sp, At, Bt, PA, SB, Fu)


@kernel
def _divergence(todo, K, k, S, Ka, ka, precision, logdet, F, f, W, m0, P0, kl):
    T, dx, n = F.shape[1:]
    du = n - dx
    tall, thin = padded(dx + 1), padded(du + 1)
    Fu = np.zeros((rows_of(dx), thin))
    Fp = np.zeros((rows_of(dx), tall))
    P = np.zeros((rows_of(dx + 1), tall))
    PA = np.empty((dx + 4, tall))
    Kp, Sp = np.zeros((rows_of(du), tall)), np.zeros((du, thin))
    At = np.zeros((rows_of(dx), tall))
    Bt = np.zeros((rows_of(du), tall))
    SB = np.empty((du + 4, tall))
    D = np.zeros((rows_of(du), tall))
    Da = np.zeros((du, tall))
    Dt = np.zeros((rows_of(dx), thin))
    Pa = np.zeros((du, thin))
    PD, DP = np.empty((dx + 4, thin)), np.empty((dx + 3, thin))
    L, gap, total = np.empty((du, du)), np.empty(du), np.empty(thin)
    Ff, ff, Wf = F.reshape(-1), f.reshape(-1), W.reshape(-1)
    Kf = K.reshape(-1)
    kf = k.reshape(-1)
    Sf = S.reshape(-1)
    Kaf = Ka.reshape(-1)
    Paf = precision.reshape(-1)
    for b in todo:
        begin(b, P0, m0, P)
        for t in range(T):
            at = b * T + t
            for i in range(du):
                copy_row(Kf, (at * du + i) * dx, D, i, 0, dx)
                copy_row(Kaf, (at * du + i) * dx, Da, i, 0, dx)
                add_row(-1.0, Da, i, D, i, dx)
                copy_row(Paf, (at * du + i) * du, Pa, i, 0, du)
            for i in range(0, du, 8):
                for j in range(0, dx, 8):
                    transpose(D, i, j, Dt, j, i)
            write_product(P, Dt, PD, dx, dx + 1, du)
            write_product(D, Pa, DP, du, dx, du)
            for j in range(du):
                total[j] = 0.0
            for i in range(dx):
                for j in range(du):
                    total[j] += PD[i, j] * DP[i, j]
            for i in range(du):
                gap[i] = k[b, t, i] - ka[b, t, i] + PD[dx, i]
            spread = logdet[b, t] - du
            for j in range(du):
                spread += total[j]
            for j in range(du):
                for i in range(j, du):
                    a = S[b, t, i, j]
                    spread += (a + gap[i] * gap[j]) * Pa[i, j] * (1.0 if i == j else 2.0)
                    for m in range(j):
                        a -= L[i, m] * L[j, m]
                    if i == j:
                        L[j, j] = np.sqrt(a) if a > 0 else np.nan
                        spread -= 2 * np.log(L[j, j])
                    else:
                        L[i, j] = a / L[j, j]
            kl[b, t] = max(0.5 * spread, 0.0) if spread == spread else np.nan
            if t + 1 < T:
                advance(at, Kf, kf, Sf, Ff, ff, Wf, dx, du, P, Fp, Kp, Sp, At, Bt, PA, SB, Fu)
