"""PILQR: an LQR step on the part of the cost that the model explains, then a path-integral step on
the residual.

    cost_i  =  what model and expanded cost predict for episode i  +  residual_i
    p      <-  argmin of the first   subject to   KL(p || last p) <= epsilon
    k      <-  k + sum_i (P_i - 1/N) (u_i - K x_i - k),      P_i ~ exp(-(sum of residual_i from here on) / eta)

Chebotar et al., Combining Model-Based and Model-Free Updates for Trajectory-Centric Reinforcement
Learning (2017), section 4. The cost of each episode is split into the part that the fitted dynamics
and the expanded cost predict for its start and its deviations, and a residual. KL-constrained LQR
minimises the first, path integrals the second. The LQR step has a tighter bound than in the other
methods: where the model sees no gradient, it leads back to where the model sees one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.settings import Count, NotNegative, Positive, Share

from .steps.local_data import episode_costs
from .steps.local_policies import LocalFit, LocalPolicies
from .steps.path_integral import cost_to_go, deviations, explained, moved, temperature, weights
from .steps.settings import LocalSettings
from .steps.trajectory_step import TrajectoryStep, trajectory_step

ACTOR = "controllers"  # whose the column cost is


@dataclass(frozen=True)
class Config(LocalSettings):
    """Settings of PILQR."""

    iterations: Count = 20  # rounds of episodes and updates
    samples: Count = 20  # episodes of each condition in each iteration
    # nats per trajectory, the first LQR step; adapted per condition from then on
    kl_step: Positive = 2.0
    max_kl_step: Positive = 5.0  # nats per trajectory, the largest LQR step
    initial_std: Positive = 0.2  # exploration at the start, as a share of half the action range
    min_std: Positive = 0.2  # exploration never falls below this, same unit
    std_share: Share = 0.0  # share of a larger or smaller step that exploration takes
    smoothing: NotNegative = 4.0  # steps over which the controllers' noise is smoothed; 0: white
    # nats per trajectory that the weights of the episodes may differ from even ones
    residual_step: Positive = 40.0


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    local = LocalPolicies(task, config, rng, state)
    for _ in local.iterations():
        fit = local.fit_models(local.sample(rng), accept_all=True)
        step = pilqr_step(fit, local, config.residual_step)
        local.update(fit, step)
        yield local.iteration(fit, step, rng)


def pilqr_step(fit: LocalFit, local: LocalPolicies, residual_step: float) -> TrajectoryStep:
    """Returns the controllers after both steps."""
    step = trajectory_step(fit.data, fit.dynamics, fit.cost, fit.epsilon)
    return residual_update(fit, step, episode_costs(local.task.cost, fit.data), residual_step)


def residual_update(
    fit: LocalFit, step: TrajectoryStep, cost: np.ndarray, epsilon: float
) -> TrajectoryStep:
    """Returns the step moved towards the episodes whose costs (C, N, T+1) were below what the model
    explains.
    """
    data, used = fit.data, fit.data.used
    delta = deviations(data.controller, data.x, data.u)
    model = explained(data.controller, delta, data.x[:, :, 0], fit.dynamics, fit.cost)
    S = cost_to_go(cost - model)
    eta = temperature(S, np.full(len(S), epsilon / S.shape[-1]), used)
    return step._replace(controller=moved(step.controller, delta, weights(S, eta, used), used))
