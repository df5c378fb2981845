"""The tuples that everything else speaks: one tuple is one density or one function.

T steps, dx states, du actions, n = dx + du, xu = [x; u]. States run 0..T, actions 0..T-1. Time
comes first, and any batch axes come before time. All arrays are C-contiguous float64.
"""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Gaussian(NamedTuple):
    """x ~ N(mean, cov)."""

    mean: Array  # (..., d)
    cov: Array  # (..., d, d)


class LinearGaussianController(NamedTuple):
    """u ~ N(K x + k, cov)."""

    K: Array  # (..., T, du, dx)
    k: Array  # (..., T, du)
    cov: Array  # (..., T, du, du)


class LinearGaussianDynamics(NamedTuple):
    """x' ~ N(F xu + f, cov)."""

    F: Array  # (..., T, dx, n)
    f: Array  # (..., T, dx)
    cov: Array  # (..., T, dx, dx)


class LinearGaussianObservation(NamedTuple):
    """o ~ N(H x + h, cov)."""

    H: Array  # (..., T+1, do, dx)
    h: Array  # (..., T+1, do)
    cov: Array  # (..., T+1, do, do)


class QuadraticCost(NamedTuple):
    """1/2 xu' C xu + c' xu + const at each step; at step T only the state's block counts."""

    C: Array  # (..., T+1, n, n)
    c: Array  # (..., T+1, n)
    const: Array  # (..., T+1)


class QuadraticValue(NamedTuple):
    """The cost-to-go 1/2 x' V x + v' x + const."""

    V: Array  # (..., T+1, dx, dx)
    v: Array  # (..., T+1, dx)
    const: Array  # (..., T+1)


class TrajectoryDistribution(NamedTuple):
    """The Gaussian marginals of xu = [x; u]; at step T the action's entries are zero."""

    mean: Array  # (..., T+1, n)
    cov: Array  # (..., T+1, n, n)
