"""Guided policy search as approximate mirror descent: every step starts from the policy itself.

Montgomery and Levine, Guided Policy Search via Approximate Mirror Descent (2016), algorithm 2. Each
iteration

    episodes     of the policy (on-policy) or of the last controllers (off-policy); models fitted to them
    anchor       pi_bar <-  the policy linearised along each condition's episodes
    C-step       p      <-  argmin E_p [cost]   subject to   KL(p || pi_bar) <= epsilon, in each condition
    S-step       pi     <-  argmin sum KL(pi || p), a weighted regression over all conditions
    epsilon      <-  epsilon * predicted / (2 (predicted - actual improvement)), section 4.2

The step rule compares the costs of the controllers, p ("classic"), or of the policy, pi_bar
("global"), which includes what the S-step loses. The cost of what did not act itself is the cost of
what did, plus the difference of the two under the models.

Where this departs from the paper: the S-step also sees states where the model predicts that the new
controllers will go. The episodes lie where the last controllers went, and a policy trained there
alone loses the new controllers' feedback, which leads from there to the new trajectories. Episodes
come in antithetic pairs. No episodes are rejected, however far they fall short of the prediction: a
policy cannot go back in one condition alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.settings import Count, Positive, Share, Whole
from lqr import (
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    forward,
)

from .steps.local_data import LocalData, initial_states
from .steps.local_models import model_cost
from .steps.local_policies import LocalPolicies
from .steps.policy_data import PolicyData, check_forecasts, with_forecast
from .steps.policy_step import GlobalPolicy, compare, report
from .steps.settings import LocalSettings, PolicySettings
from .steps.trajectory_step import trajectory_step

ACTOR = "controllers"  # whose the column cost is

Array = np.ndarray
REACH, STRENGTH = 5, 0.01  # of the linearisation


@dataclass(frozen=True)
class Config(PolicySettings, LocalSettings):
    """Settings of guided policy search by mirror descent."""

    # nats per trajectory, the first step; adapted per condition from then on
    kl_step: Positive = 0.5
    max_kl_step: Positive = 4.0  # nats per trajectory, the largest step
    initial_std: Positive = 0.08  # exploration at the start, as a share of half the action range
    min_std: Positive = 0.08  # exploration never falls below this, same unit
    std_share: Share = 0.0  # share of a larger or smaller step that exploration takes
    antithetic: bool = True  # episodes of a condition come in pairs whose noise has opposite signs
    policy_steps: Count = 1000  # minibatch steps of each regression
    replay: Count = 3  # iterations whose episodes the regression sees
    # whose episodes: on (the policy's) or off (the controllers')
    sampling: Literal["on", "off"] = "on"
    # whose costs set the step: classic (the controllers') or global (the policy's)
    step_rule: Literal["classic", "global"] = "global"

    # KL steps that the policy may differ from its controllers; over 0.5 if it learned none
    policy_kl_limit: Positive = 0.45
    # states of each step where new controllers are about to go; 0 for images and for memory
    forecasts: Whole = 30
    # how far they lie from each other, as a multiple of the deviations that the model predicts
    forecast_spread: Positive = 3.0


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's.

    Raises InputError for forecasts of pictures, or for a policy with memory.
    """
    check_forecasts(task, config.policy, config.forecasts)
    local = LocalPolicies(task, config, rng, state)
    policy = GlobalPolicy(task, config, local.std, rng, state)
    for number in local.iterations():
        given = number == 1 and local.initial != "zero"  # the first controllers act
        on_policy = config.sampling == "on" and not given
        new = local.sample(rng, policy.policy if on_policy else None)
        data = policy.add(new, new.chart)
        if given:
            imitate(local, policy, new, data, config, rng)
        pi_bar = policy.linearised(data, REACH, STRENGTH, latest=config.samples)
        new = evaluated(new._replace(controller=pi_bar), local, config)
        fit = policy.lag.scaled(local.fit_models(new, accept_all=True))
        step = trajectory_step(fit.data, fit.dynamics, fit.cost, fit.epsilon)
        data = policy.within_trust_region(policy.all(fit.data.chart), fit)
        near = with_forecast(
            data, step.distribution, config.samples, config.forecasts, config.forecast_spread, rng
        )
        loss = policy.distil(local.explored(fit, step), near, rng)
        local.update(fit, step)

        after = policy.linearised(data, REACH, STRENGTH)
        gap, kl = compare(after, local.controller, step.distribution)
        scalars, arrays = report(local, policy, fit, step, rng, gap=gap, kl=kl)
        scalars |= {"policy_loss": loss}
        yield policy.iteration(local.training, scalars, arrays, local.state())


def imitate(
    local: LocalPolicies,
    policy: GlobalPolicy,
    new: LocalData,
    data: PolicyData,
    config: Config,
    rng: np.random.Generator,
) -> None:
    """Trains the policy on the first controllers, so that it starts as these."""
    dynamics, _ = local.dynamics_and_cost(new)
    ahead = forward(dynamics, local.controller, initial_states(new))
    near = with_forecast(data, ahead, config.samples, config.forecasts, config.forecast_spread, rng)
    policy.distil(local.controller, near, rng)


def evaluated(new: LocalData, local: LocalPolicies, config: Config) -> LocalData:
    """Returns episodes with the cost that the step rule compares, for steps that start from
    new.controller, the linearised policy.
    """
    pi, p = new.controller, local.controller
    if config.sampling == "on" and config.step_rule == "global":
        return new
    dynamics, cost = local.dynamics_and_cost(new)
    actor = pi if config.sampling == "on" else p
    return with_cost_of(pi if config.step_rule == "global" else p, new, actor, dynamics, cost)


def with_cost_of(
    controller: LinearGaussianController,
    new: LocalData,
    actor: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
) -> LocalData:
    """Returns the episodes of `actor` with the cost that `controller` would have had: the
    difference is the model's.
    """
    x0 = initial_states(new)
    ours = model_cost(controller, dynamics, cost, x0)
    theirs = model_cost(actor, dynamics, cost, x0)
    anchor = model_cost(new.controller, dynamics, cost, x0)
    return new._replace(cost=new.cost + ours - theirs, baseline=ours - anchor)
