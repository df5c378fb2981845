"""The backward pass of one problem of any size, in blocked loops.

In homogeneous coordinates z = [x; u; 1] the affine dynamics, the linear and the constant terms are
one more row and column: with G = [F f; 0 1] and the value 1/2 [x; 1]' V [x; 1], a step is

    Q = [C c; c' 2 const + tr(V W)] + G' V G        V = Q_xx - Q_xu Quu^-1 Q_ux        (x here with its 1)

and the elimination of u gives controller and value at once: Quu = L D L', [K k] = -Quu^-1 Q_ux.
"""

import numpy as np

from .jit import kernel
from .matrix_products import add_lower_product, mirror, padded, write_product
from .simd import add_dot, add_row, copy_row, copy_row_ahead, scale_row, write_row


@kernel
def _backward(todo, F, f, W, C, c, const, tau, K, k, cov, V, v, s, failed):
    T, dx, n = F.shape[1:]
    du, x1, n1 = n - dx, dx + 1, n + 1
    wide, tall = padded(n1), padded(x1)
    G, VG, Q = np.zeros((x1, wide + 8)), np.empty((x1 + 3, wide)), np.zeros((n1 + 3, wide + 8))
    P = np.zeros((tall + 8, tall))  # V of the next step
    Y, Z, U, L = np.zeros((du, tall)), np.zeros((du, tall)), np.empty((du, du)), np.empty((du, du))
    pivot, E = np.empty(du), np.zeros((du, padded(du)))
    Wf = W.reshape(-1)
    Ff = F.reshape(-1)
    Cf = C.reshape(-1)
    cf = c.reshape(-1)
    Kf = K.reshape(-1)
    Vf = V.reshape(-1)
    vf = v.reshape(-1)
    G[dx, n] = 1.0
    noise = np.empty((1, 8))
    for b in todo:
        failed[b] = -1
        last = b * (T + 1) + T
        for i in range(dx):
            copy_row(Cf, (last * n + i) * n, P, i, 0, dx)
            P[i, dx] = c[b, T, i]
            write_row(P, i, 0, Vf, (last * dx + i) * dx, dx)
        copy_row(cf, last * n, P, dx, 0, dx)
        P[dx, dx] = 2 * const[b, T]
        write_row(P, dx, 0, vf, last * dx, dx)
        s[b, T] = const[b, T]
        for t in range(T - 1, -1, -1):
            here, now = b * T + t, b * (T + 1) + t
            for i in range(
                dx
            ):  # first, so that the stores have landed before whole vectors are read
                copy_row_ahead(Ff, (here * dx + i) * n, G, i, 0, n, dx * n)
                G[i, n] = f[b, t, i]
            for i in range(n):
                copy_row_ahead(Cf, (now * n + i) * n, Q, i, 0, n, n * n)
            copy_row(cf, now * n, Q, n, 0, n)
            for i in range(8):
                noise[0, i] = 0.0
            for i in range(dx):
                add_dot(P, i, Wf, (here * dx + i) * dx, dx, noise)
            Q[n, n] = 2 * const[b, t]
            for i in range(8):
                Q[n, n] += noise[0, i]
            write_product(P, G, VG, x1, x1, n1)
            add_lower_product(G, VG, Q, x1, n1)
            for i in range(du):
                scale_row(1.0, Q, dx + i, Y, i, dx)
                Y[i, dx] = Q[n, dx + i]
                for j in range(i + 1):
                    U[i, j] = Q[dx + i, dx + j]
            for i in range(dx):
                scale_row(1.0, Q, i, P, i, dx)
            scale_row(1.0, Q, n, P, dx, dx)
            P[dx, dx] = Q[n, n]
            for j in range(du):
                d = U[j, j]
                if not (d > 1e-14 * abs(Q[dx + j, dx + j]) and d > 0.0 and d < np.inf):
                    failed[b] = t
                    break
                pivot[j] = 1.0 / d
                for i in range(j + 1, du):
                    L[i, j] = U[i, j] * pivot[j]
                    add_row(-L[i, j], Y, j, Y, i, x1)
                    for m in range(j + 1, i + 1):
                        U[i, m] -= L[i, j] * U[m, j]
            if failed[b] >= 0:
                break
            for j in range(du):
                scale_row(-pivot[j], Y, j, Z, j, x1)
            add_lower_product(Z, Y, P, du, x1)
            mirror(P, x1)
            for j in range(du - 1, -1, -1):
                for i in range(j + 1, du):
                    add_row(-L[i, j], Z, i, Z, j, x1)
                write_row(Z, j, 0, Kf, (here * du + j) * dx, dx)
                k[b, t, j] = Z[j, dx]
            if tau[b, t] > 0:
                logdet = 0.0
                for i in range(du):
                    logdet += np.log(2 * np.pi * tau[b, t] * pivot[i])
                    for j in range(du):
                        E[i, j] = 1.0 if i == j else 0.0
                    for j in range(i):
                        add_row(-L[i, j], E, j, E, i, i)
                P[dx, dx] -= tau[b, t] * logdet
                for j in range(du - 1, -1, -1):
                    scale_row(pivot[j], E, j, E, j, du)
                    for i in range(j + 1, du):
                        add_row(-L[i, j], E, i, E, j, du)
                    for i in range(j + 1):
                        cov[b, t, i, j] = cov[b, t, j, i] = tau[b, t] * E[j, i]
            for i in range(dx):
                write_row(P, i, 0, Vf, (now * dx + i) * dx, dx)
            write_row(P, dx, 0, vf, now * dx, dx)
            s[b, t] = 0.5 * P[dx, dx]
