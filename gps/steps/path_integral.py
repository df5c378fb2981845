"""Path integrals: a controller moves towards its low-cost episodes, without a model and without a
gradient of the cost.

Chebotar, Hausman, Zhang, Sukhatme, Schaal and Levine, Combining Model-Based and Model-Free Updates
for Trajectory-Centric Reinforcement Learning (2017), section 3; Theodorou, Buchli and Schaal, A
Generalized Path Integral Control Approach to Reinforcement Learning (2010). The weight of episode i
at step t is

    P_i = exp(-S_i / eta) / sum_j exp(-S_j / eta),     S_i its cost from step t on,

and the controller moves by the mean of the episodes' deviations delta_i = u_i - K x_i - k under P,
minus their plain mean, which is chance alone. eta is the lowest temperature at which KL(P || even
weights) <= epsilon. K and the covariance stay.
"""

import numpy as np

from lqr import LinearGaussianController, LinearGaussianDynamics, QuadraticCost

Array = np.ndarray


def cost_to_go(cost: Array) -> Array:
    """Returns the cost of each step 0..T-1 and all later ones, (..., T), of costs (..., T+1)."""
    return np.cumsum(cost[..., ::-1], -1)[..., ::-1][..., :-1]


def weights(S: Array, eta: Array, used: Array) -> Array:
    """Returns the weights of episodes (C, N, T) at temperatures eta (C, T); 0 where a step did not
    take place.
    """
    best = np.where(used > 0, S, np.inf).min(1, keepdims=True)
    gap = np.where(used > 0, S - np.where(np.isfinite(best), best, 0.0), 0.0)
    P = used * np.exp(-gap / eta[:, None])
    return P / np.maximum(P.sum(1, keepdims=True), 1e-300)


def divergence(P: Array, used: Array) -> Array:
    """Returns KL(P || even weights) of each step in nats, (C, T)."""
    count = np.maximum(used.sum(1), 1)
    return (P * np.log(np.maximum(P * count[:, None], 1e-300))).sum(1)


def temperature(S: Array, epsilon: Array, used: Array, passes: int = 60) -> Array:
    """Returns the lowest temperatures (C, T) that keep the weights within epsilon (C,) nats of even
    ones at each step.

    By bisection of log eta, between 1e-6 and 1e6 times the spread of the costs.
    """
    count = np.maximum(used.sum(1), 1)
    mean = (used * S).sum(1) / count
    spread = np.sqrt((used * (S - mean[:, None]) ** 2).sum(1) / count)
    spread = np.maximum(spread, np.maximum(1e-12 * abs(mean), np.finfo(float).tiny))
    low, high = np.full(spread.shape, -6 * np.log(10)), np.full(spread.shape, 6 * np.log(10))
    for _ in range(passes):
        middle = 0.5 * (low + high)
        enough = divergence(weights(S, spread * np.exp(middle), used), used) <= epsilon[:, None]
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return spread * np.exp(high)


def deviations(controller: LinearGaussianController, x: Array, u: Array) -> Array:
    """Returns u - K x - k (C, N, T, du) of episodes x (C, N, T+1, dx), u (C, N, T, du)."""
    return u - np.einsum("ctij,cntj->cnti", controller.K, x[:, :, :-1]) - controller.k[:, None]


def moved(
    controller: LinearGaussianController, delta: Array, P: Array, used: Array
) -> LinearGaussianController:
    """Returns the controllers moved by the mean deviation under P (C, N, T), less the plain
    mean.
    """
    even = used / np.maximum(used.sum(1, keepdims=True), 1)
    return controller._replace(k=controller.k + ((P - even)[..., None] * delta).sum(1))


def explained(
    controller: LinearGaussianController,
    delta: Array,
    x0: Array,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
) -> Array:
    """Returns the cost of each step (C, N, T+1) that a model predicts for these deviations from x0
    (C, N, dx).
    """
    (C, N, T, du), dx = delta.shape, x0.shape[-1]
    xu, x = np.zeros((C, N, T + 1, dx + du)), x0
    for t in range(T):
        u = (
            np.einsum("cij,cnj->cni", controller.K[:, t], x)
            + controller.k[:, None, t]
            + delta[:, :, t]
        )
        xu[:, :, t] = np.concatenate([x, u], -1)
        x = np.einsum("cij,cnj->cni", dynamics.F[:, t], xu[:, :, t]) + dynamics.f[:, None, t]
    xu[:, :, T, :dx] = x
    quadratic = 0.5 * np.einsum("cnti,ctij,cntj->cnt", xu, cost.C, xu) + np.einsum(
        "cnti,cti->cnt", xu, cost.c
    )
    return quadratic + cost.const[:, None]
