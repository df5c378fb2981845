"""Path-integral policy improvement: each controller moves towards its low-cost episodes, with no
model at all.

    P_i  ~   exp(-S_i / eta),  S_i the cost of episode i from this step on,    KL(P || even weights) <= epsilon
    k   <-   k + sum_i (P_i - 1/N) (u_i - K x_i - k)

Chebotar et al. (2017), section 3.2; `path_integral` holds the update. Local models are fitted only
for the predictions in the report. The method needs more episodes than the others, and no gradient
of the cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.settings import Count, NotNegative, Positive, Share, or_object, word_of
from dynamics import PRIORS

from .steps.local_data import episode_costs
from .steps.local_policies import LocalFit, LocalPolicies
from .steps.path_integral import cost_to_go, deviations, moved, temperature, weights
from .steps.settings import LocalSettings
from .steps.trajectory_step import TrajectoryStep, model_free_step

ACTOR = "controllers"  # whose the column cost is


@dataclass(frozen=True)
class Config(LocalSettings):
    """Settings of path-integral policy improvement."""

    iterations: Count = 20  # rounds of episodes and updates
    samples: Count = 20  # episodes of each condition in each iteration
    # prior global model of the report's predictions: flat, gmm, simulator, nn, ensemble, gp
    prior: Annotated[str, word_of(PRIORS), or_object] = "flat"
    # nats per trajectory that the weights of the episodes may differ from even ones
    kl_step: Positive = 40.0
    initial_std: Positive = 0.07  # exploration at the start, as a share of half the action range
    std_share: Share = 0.0  # share of a larger or smaller step that exploration takes
    smoothing: NotNegative = 4.0  # steps over which the controllers' noise is smoothed; 0: white


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    local = LocalPolicies(task, config, rng, state)
    for _ in local.iterations():
        fit = local.fit_models(local.sample(rng), accept_all=True)
        step = path_integral_step(fit, local, np.full(task.conditions, config.kl_step))
        local.update(fit, step)
        yield local.iteration(fit, step, rng)


def path_integral_step(fit: LocalFit, local: LocalPolicies, epsilon: np.ndarray) -> TrajectoryStep:
    """Returns the controllers moved towards their low-cost episodes, within epsilon (C,) nats per
    trajectory.
    """
    data = fit.data
    S = cost_to_go(episode_costs(local.task.cost, data))
    eta = temperature(S, epsilon / S.shape[-1], data.used)
    delta = deviations(data.controller, data.x, data.u)
    return model_free_step(
        data,
        controller=moved(data.controller, delta, weights(S, eta, data.used), data.used),
        dynamics=fit.dynamics,
        cost=fit.cost,
        epsilon=epsilon,
        eta=np.median(eta, -1),
    )
