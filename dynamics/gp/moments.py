"""Moments of what comes out where a Gaussian goes in: exact, and differentiable in torch float64.

For z ~ N(m, S) and outputs f_a, each a Gaussian process with the kernel v exp(-1/2 |z - p|^2 / l^2)

    E f_a       =  sum_i beta_i q_i,    L = diag l^2,
                   q_i = v |S/L + 1|^-1/2 exp(-1/2 (p_i - m)' (S + L)^-1 (p_i - m))
    cov f_a f_b =  beta_a' Q_ab beta_b - E f_a E f_b,    plus  v - tr(M_a Q_aa) + noise  where a = b
    S^-1 cov(z, f_a)  =  sum_i beta_i q_i (S + L)^-1 (p_i - m)

Deisenroth & Rasmussen, PILCO (2011), section 2.2; Q_ab as in Deisenroth, Efficient Reinforcement
Learning using Gaussian Processes (2010), section 2.3. Of cosines and sines, and of what is squashed
to the limits of an action, the moments have closed forms too.
"""

from typing import Any, NamedTuple

import numpy as np

from lqr import InputError

from .gaussian_process import NO_SLOPE, GaussianProcess

Tensor = Any  # torch.Tensor, whose library is loaded where it is used


class Moments(NamedTuple):
    """Of an output y, given its input z ~ N(m, S)."""

    mean: Tensor  # (e,), of y
    cov: Tensor  # (e, e), of y
    gain: Tensor  # (n, e), S^-1 cov(z, y): cov(w, y) is cov(w, z) times it, whatever w


class Bumps(NamedTuple):
    """Outputs that are sums of squared exponentials, in torch: processes, or networks of radial
    basis functions.
    """

    points: Tensor  # (m, n) of all, or (e, m, n)
    lengths: Tensor  # (e, n)
    variance: Tensor  # (e,)
    weights: Tensor  # (e, m), beta
    explained: Tensor = None  # (e, m, m), R with M = R'R; None for functions that are known
    noise: Tensor = None  # (e,), variance of the outputs


def moments(f: Bumps, mean: Tensor, cov: Tensor) -> Moments:
    """Returns the moments of f (e outputs) of z ~ N(mean (n,), cov (n, n)), exact."""
    import torch

    n, eye = len(mean), torch.eye(len(mean), dtype=torch.float64)
    v = f.points - mean  # (m, n) or (e, m, n)
    v = v.expand(len(f.weights), *v.shape[-2:])
    rate = f.lengths**-2  # (e, n)
    A = cov + torch.diag_embed(f.lengths**2)  # (e, n, n)
    Av = torch.linalg.solve(A, v.mT).mT  # (e, m, n)
    scale = torch.linalg.det(cov * rate[:, None] + eye) ** -0.5
    q = (f.variance * scale)[:, None] * torch.exp(-0.5 * (v * Av).sum(-1))
    bq = f.weights * q  # (e, m)
    y = bq.sum(-1)
    gain = torch.einsum("em,emn->ne", bq, Av)

    a, b = torch.triu_indices(len(y), len(y))
    both = rate[a] + rate[b]  # (pairs, n)
    R = cov @ torch.diag_embed(both) + eye  # (pairs, n, n)
    middle = 0.5 * torch.linalg.solve(R, cov.expand(len(a), n, n))
    w = v * rate[:, None]  # (e, m, n)
    log = torch.log(f.variance)[:, None] - 0.5 * (v * w).sum(-1)
    wa, wb = w[a] @ middle, w[b] @ middle
    own = log[a] + (wa * w[a]).sum(-1)
    other = log[b] + (wb * w[b]).sum(-1)
    Q = torch.exp(own[:, :, None] + other[:, None] + 2 * wa @ w[b].mT)
    Q = Q * (torch.linalg.det(R) ** -0.5)[:, None, None]
    values = torch.einsum("pi,pij,pj->p", f.weights[a], Q, f.weights[b]) - y[a] * y[b]
    spread = torch.zeros(len(y), len(y), dtype=torch.float64).index_put((a, b), values)
    spread = spread + spread.mT - torch.diag(torch.diagonal(spread))
    if f.explained is not None:
        left = f.variance - ((f.explained @ Q[a == b]) * f.explained).sum((-1, -2))
        spread = spread + torch.diag(left + (0.0 if f.noise is None else f.noise))
    return Moments(y, spread, gain)


def bumps_of(gp: GaussianProcess, inputs: np.ndarray) -> Bumps:
    """Returns the processes as functions of the coordinates `inputs` of [x; u] alone, in real
    units: of what the model learned, the change of x.

    The mean of the changes is left out: add `gp.normaliser.change_mean`. Raises InputError for a
    process with a linear part, and before the first fit.
    """
    import torch

    if gp.normaliser is None:
        raise InputError("the Gaussian process has seen nothing; fit it first")
    if (gp.theta[:, -2] > NO_SLOPE).any():
        raise InputError(
            "moments of a Gaussian process with a linear part are not known here; expected "
            "GaussianProcess(slope=False)"
        )
    scale = gp.normaliser.inverse_std[inputs]
    fixed = scale == 0  # a constant input, at its mean in standard units
    unit = np.where(fixed, 1.0, scale)
    points = gp.points[:, inputs] / unit + gp.normaliser.mean[inputs]
    lengths = np.exp(gp.theta[:, 1:-2])[:, inputs] / unit
    lengths = np.where(fixed, 1e8, lengths)
    size = gp.normaliser.change_std
    parts = (
        points,
        lengths,
        np.exp(gp.theta[:, 0]) * size**2,
        gp.weights * (1 / size)[:, None],
        gp.explained() / size[:, None, None],
        np.exp(gp.theta[:, -1]) * size**2,
    )
    return Bumps(*(torch.as_tensor(np.ascontiguousarray(a)) for a in parts))


def trigonometric(mean: Tensor, cov: Tensor, angles: tuple[int, ...]) -> Moments:
    """Returns the moments of [cos(angles); sin(angles)] for x ~ N(mean (n,), cov (n, n)), exact."""
    import torch

    i = list(angles)
    m, S, count = mean[i], cov[i][:, i], len(angles)
    var = torch.diagonal(S)
    shrink = torch.exp(-0.5 * var)
    c, s = shrink * torch.cos(m), shrink * torch.sin(m)
    base = -0.5 * (var[:, None] + var)
    plus, minus = torch.exp(base - S), torch.exp(base + S)  # of sums and differences
    total, gap = m[:, None] + m, m[:, None] - m
    cc = 0.5 * (minus * torch.cos(gap) + plus * torch.cos(total))
    ss = 0.5 * (minus * torch.cos(gap) - plus * torch.cos(total))
    cs = 0.5 * (plus * torch.sin(total) - minus * torch.sin(gap))  # E cos_i sin_j
    y = torch.cat([c, s])
    second = torch.cat([torch.cat([cc, cs], 1), torch.cat([cs.mT, ss], 1)], 0)
    gain = torch.zeros(len(mean), 2 * count, dtype=torch.float64)
    rows, columns = torch.tensor(i * 2), torch.arange(2 * count)
    gain = gain.index_put((rows, columns), torch.cat([-s, c]))  # Stein: E of the derivative
    return Moments(y, second - torch.outer(y, y), gain)


def squashed(mean: Tensor, cov: Tensor) -> Moments:
    """Returns the moments of (9 sin v + sin 3v) / 8 for v ~ N(mean (d,), cov (d, d)), exact.

    A squashing to [-1, 1] whose moments are known; it is flat at its ends.
    """
    import torch

    d = len(mean)
    triple = torch.cat([mean, 3 * mean])
    spread = torch.cat([torch.cat([cov, 3 * cov], 1), torch.cat([3 * cov, 9 * cov], 1)], 0)
    sines = trigonometric(triple, spread, tuple(range(2 * d)))
    mix = torch.cat([torch.eye(d), torch.eye(d) / 9]).to(torch.float64) * 9 / 8  # (2d, d)
    half = sines.cov[2 * d :, 2 * d :]
    slope = torch.diagonal(sines.gain[:, 2 * d :])  # E cos of each
    gain = 9 / 8 * slope[:d] + 3 / 8 * slope[d:]
    return Moments(sines.mean[2 * d :] @ mix, mix.mT @ half @ mix, torch.diag(gain))


def saturating(mean: Tensor, cov: Tensor, width: float) -> Tensor:
    """Returns E exp(-1/2 |y|^2 / width^2) for y ~ N(mean (k,), cov (k, k)), exact."""
    import torch

    A = cov + width**2 * torch.eye(len(mean), dtype=torch.float64)
    det = torch.linalg.det(A / width**2)
    return det**-0.5 * torch.exp(-0.5 * mean @ torch.linalg.solve(A, mean))
