"""The C-step: each condition's controller moves to lower cost within a KL bound.

minimise  E[cost (+ extra)]   subject to   KL(new || accepted) <= epsilon
"""

from typing import Any, NamedTuple

import numpy as np

from lqr import (
    LinearGaussianController,
    LinearGaussianDynamics,
    NumericalError,
    QuadraticCost,
    TrajectoryDistribution,
    expected_cost,
    forward,
    kl_divergence,
    minimise_cost_within_kl,
)

from .local_data import LocalData, initial_states
from .local_models import model_cost

Array = np.ndarray


class TrajectoryStep(NamedTuple):
    """The controllers to try next, and what the model predicts for them."""

    controller: LinearGaussianController
    mean: Array  # (C, T+1, n) and
    cov: Array  # (C, T+1, n, n), marginals of xu under the model
    predicted: Array  # (C,), expected cost of the accepted controllers minus that of these
    epsilon: Array  # (C,) nats
    kl: Array  # (C,) nats
    eta: Array  # (C,)
    solved: Array  # (C,) bool; False where the model was unusable and the controller is kept

    @property
    def distribution(self) -> TrajectoryDistribution:
        """The marginals under the model."""
        return TrajectoryDistribution(self.mean, self.cov)


def trajectory_step(
    data: LocalData,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    epsilon: Array,
    extra: QuadraticCost | None = None,
    temperature: Array | float = 0.0,
) -> TrajectoryStep:
    """Returns the controllers that minimise the cost (plus `extra`) within epsilon (C,) nats of the
    accepted ones.

    A condition whose model admits no solution keeps its controller; `solved` is False there.
    """
    x0 = initial_states(data)
    objective = cost
    if extra is not None:
        objective = QuadraticCost(*(a + b for a, b in zip(cost, extra, strict=True)))
    temperature = np.broadcast_to(temperature, data.u.shape[:1] + data.u.shape[2:3])
    C = len(epsilon)

    def solve(at: slice) -> Any:
        return minimise_cost_within_kl(
            _part(dynamics, at),
            _part(objective, at),
            _part(data.controller, at),
            _part(x0, at),
            epsilon[at],
            temperature[at],
        )

    try:
        parts = [(slice(None), solve(slice(None)))]
    except NumericalError:
        parts = []
        for c in range(C):
            try:
                parts.append((slice(c, c + 1), solve(slice(c, c + 1))))
            except NumericalError:  # this condition's model is unusable: its controller stays
                continue
    before = forward(dynamics, data.controller, x0)
    K, k, cov = (a.copy() for a in data.controller)
    mean, spread = before.mean.copy(), before.cov.copy()
    kl, eta, predicted, solved = np.zeros(C), np.zeros(C), np.zeros(C), np.zeros(C, bool)
    for at, result in parts:
        K[at], k[at], cov[at] = result.controller
        mean[at], spread[at] = result.distribution
        kl[at], eta[at], solved[at] = result.kl, result.eta, True
        old = expected_cost(_part(before, at), _part(cost, at))
        new = expected_cost(result.distribution, _part(cost, at))
        predicted[at] = (old - new).sum(-1)
    return TrajectoryStep(
        controller=LinearGaussianController(K, k, cov),
        mean=mean,
        cov=spread,
        predicted=predicted,
        epsilon=epsilon,
        kl=kl,
        eta=eta,
        solved=solved,
    )


def model_free_step(
    data: LocalData,
    controller: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    epsilon: Array,
    eta: Array,
) -> TrajectoryStep:
    """Returns controllers that were found without the model, with what the model predicts for
    them.
    """
    x0 = initial_states(data)
    under = forward(dynamics, controller, x0)
    old = model_cost(data.controller, dynamics, cost, x0)
    new = model_cost(controller, dynamics, cost, x0)
    return TrajectoryStep(
        controller=controller,
        mean=under.mean,
        cov=under.cov,
        predicted=old - new,
        epsilon=epsilon,
        kl=kl_divergence(controller, data.controller, under).sum(-1),
        eta=eta,
        solved=np.ones(len(epsilon), bool),
    )


def _part(value: Any, at: slice) -> Any:
    """Returns some conditions of a tuple of arrays."""
    return type(value)(*(a[at] for a in value))
