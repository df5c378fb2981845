"""Path-integral guided policy search: path integrals improve the local controllers, one global
policy learns from them.

Chebotar, Kalakrishnan, Yahya, Li, Schaal and Levine, Path Integral Guided Policy Search (2017),
algorithm 1, in the form of mirror descent. Each iteration

    episodes     of the policy (on-policy) or of the last controllers (off-policy)
    anchor       pi_bar <-  the policy linearised along each condition's episodes
    C-step       p      <-  pi_bar moved towards the low-cost episodes, KL(their weights || even ones) <= epsilon
    S-step       pi     <-  argmin sum KL(pi || p), a weighted regression over all conditions

`mirror_descent` takes the C-step as a function. That of `pi2` needs neither a model nor a gradient
of the cost; `pilqr_gps` passes that of `pilqr`. All episodes count, whatever the models predicted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.settings import Settings

from . import pi2
from .steps.local_policies import LocalFit, LocalPolicies
from .steps.policy_step import GlobalPolicy, compare, report
from .steps.settings import PolicySettings
from .steps.trajectory_step import TrajectoryStep

ACTOR = "controllers"  # whose the column cost is

# the last argument is the share of a KL step that is to be taken
ControllerStep = Callable[[LocalFit, LocalPolicies, float], TrajectoryStep]


@dataclass(frozen=True)
class Sampling(Settings):
    """Whose episodes a method of mirror descent learns from."""

    # whose episodes: on (the policy's, with white noise) or off (the controllers')
    sampling: Literal["on", "off"] = "off"


@dataclass(frozen=True)
class Config(Sampling, PolicySettings, pi2.Config):
    """Settings of path-integral guided policy search."""


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    epsilon = np.full(task.conditions, config.kl_step)

    def step(fit: LocalFit, local: LocalPolicies, scale: float) -> TrajectoryStep:
        return pi2.path_integral_step(fit, local, scale * epsilon)

    return mirror_descent(task, config, rng, state, controller_step=step)


def mirror_descent(
    task: Task,
    config: Any,
    rng: np.random.Generator,
    state: State | None,
    controller_step: ControllerStep,
) -> Iterator[Iteration]:
    """Yields the iterations of mirror descent with this C-step; `config` has the fields of
    Sampling, PolicySettings and LocalSettings.
    """
    local = LocalPolicies(task, config, rng, state)
    policy = GlobalPolicy(task, config, local.std, rng, state)
    for _ in local.iterations():
        new = local.sample(rng, policy.policy if config.sampling == "on" else None)
        anchor = policy.linearised(policy.add(new, new.chart), latest=config.samples)
        fit = local.fit_models(new._replace(controller=anchor), accept_all=True)
        fit = policy.lag.scaled(fit)
        step = controller_step(fit, local, policy.lag.step_scale)
        data = policy.within_trust_region(policy.all(fit.data.chart), fit)
        loss = policy.distil(local.explored(fit, step), data, rng)
        local.update(fit, step)

        gap, kl = compare(policy.linearised(data), local.controller, step.distribution)
        scalars, arrays = report(local, policy, fit, step, rng, gap=gap, kl=kl)
        scalars |= {"policy_loss": loss}
        yield policy.iteration(local.training, scalars, arrays, local.state())
