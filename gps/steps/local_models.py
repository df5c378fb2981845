"""The local models: linear-Gaussian dynamics and a quadratic cost around each condition's
episodes.
"""

from typing import Any

import numpy as np

from agents.interfaces import Cost
from dynamics import Fit, InChart, fit_linear_gaussian
from lqr import (
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    NumericalError,
    QuadraticCost,
    expected_cost,
    forward,
)
from lqr.cost_terms import careful
from lqr.expansion import make_convex

from .local_data import LocalData, states, step_shares

Array = np.ndarray


def fit_dynamics(data: LocalData, prior: Any, strength: float | None = None) -> Fit:
    """Returns linear-Gaussian models around the episodes; `strength` as in `fit_linear_gaussian`.

    Raises NumericalError where the samples are too few for the prior.
    """
    seen: Any = prior if data.chart is None else InChart(prior, data.chart)
    try:
        return fit_linear_gaussian(data.x, data.u, seen, weight=data.used, strength=strength)
    except np.linalg.LinAlgError as error:
        raise NumericalError(
            f"the local models cannot be fitted to {data.u.shape[1]} samples ({error}); expected a prior that is "
            "definite where they are few: take more samples, or another prior"
        ) from None


def expand_cost(cost: Cost, data: LocalData) -> QuadraticCost:
    """Returns each condition's quadratic cost: convex expansions around its episodes, averaged over
    them.

    As in the episodes, the steps after an episode's end cost nothing.
    """
    x = states(data)
    terms = careful(cost).expand(x, data.u)
    if data.chart is not None:
        terms = data.chart.cost(terms, x, data.u)
    terms = make_convex(terms, around=(data.x, data.u))
    share = step_shares(data)
    return QuadraticCost(*(np.einsum("cnt,cnt...->ct...", share, a) for a in terms))


def model_cost(
    controller: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    x0: Gaussian,
) -> Array:
    """Returns the expected cost of controllers under a model, (C,)."""
    return expected_cost(forward(dynamics, controller, x0), cost).sum(-1)
