"""The natural gradient: a step of given divergence, whatever the parameters' units are.

    F s = g  by conjugate gradients,    theta  <-  theta + c sqrt(2 delta / s' F s) s

with g the gradient of what is to grow, F the Fisher information, and c the first of 1, 0.8, 0.64 ...
at which the objective grows and the divergence stays within delta. Kakade, A Natural Policy Gradient
(2001); Schulman, Levine, Moritz, Jordan & Abbeel, Trust Region Policy Optimization (2015), appendix C.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Array = np.ndarray
Product = Callable[[Array], Array]
SHORTER, TRIALS = 0.8, 15  # factor on a step that is too long, and how often it is tried


class Step(NamedTuple):
    """What a step came to."""

    theta: Array  # (P,), the old ones where no step was good
    kl: float  # nats, from the old policy
    gain: float  # of the objective


def conjugate_gradients(product: Product, b: Array, steps: int, tolerance: float = 1e-10) -> Array:
    """Returns x (P,) with product(x) = b (P,), of a positive definite matrix, by at most so many
    products.
    """
    x, r = np.zeros_like(b), b.copy()
    p, size = r.copy(), float(r @ r)
    least = tolerance**2 * size
    for _ in range(steps):
        if size <= least:
            break
        Ap = product(p)
        length = size / float(p @ Ap)
        x, r = x + length * p, r - length * Ap
        size, before = float(r @ r), size
        p = r + size / before * p
    return x


def natural_step(
    theta: Array,
    gradient: Array,
    fisher: Product,
    objective: Callable[[Array], float],
    divergence: Callable[[Array], float],
    bound: float,
    products: int = 10,
    damping: float = 0.1,
) -> Step:
    """Returns the parameters (P,) after one step up the objective, whose divergence is at most
    `bound`, nats.

    `gradient` (P,) is the objective's at theta; `fisher(v)` the Fisher information times v; a share
    `damping` of the gradient's curvature g'Fg / g'g is added to its diagonal.
    """
    size = float(gradient @ gradient)
    if size == 0.0:
        return Step(theta, 0.0, 0.0)
    extra = damping * float(gradient @ fisher(gradient)) / size
    way = conjugate_gradients(lambda v: fisher(v) + extra * v, gradient, products)
    curvature = float(way @ fisher(way))
    if curvature <= 0.0:
        return Step(theta, 0.0, 0.0)
    way, now = np.sqrt(2 * bound / curvature) * way, objective(theta)
    for trial in range(TRIALS):
        new = theta + SHORTER**trial * way
        kl, gain = divergence(new), objective(new) - now
        if kl <= bound and gain > 0:  # False with NaN
            return Step(new, kl, gain)
    return Step(theta, 0.0, 0.0)
