"""Guided policy search as approximate mirror descent: every step starts from the policy itself, so
that none is wasted.

Montgomery and Levine, Guided Policy Search via Approximate Mirror Descent (2016), algorithm 2. Each
iteration

    trials       of the policy (on-policy) or of the last controllers (off-policy); models fitted to them
    anchor       pi_bar <-  the policy linearised along each condition's trials
    C-step       p      <-  argmin E_p [cost]   subject to   KL(p || pi_bar) <= epsilon, in each condition
    S-step       pi     <-  argmin sum KL(pi || p), a weighted regression over all conditions
    epsilon      <-  epsilon * promise / (2 (promise - actual improvement)), section 4.2

The step rule compares the costs of the controllers, p ("classic"), or of the policy, pi_bar
("global"), which counts what the S-step loses, too. Costs of what was not itself tried are those of
what was, plus the difference of the two under the models.

Where this departs from the paper: the S-step also sees states where the model expects the new
controllers to go. The trials lie where the last ones went, and a policy that knows those alone
loses the controllers' feedback, by which they get from there to here. Trials come in antithetic
pairs. No trials are refused, however much they fall short of the promise: a policy cannot go back
in one condition alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.saving import build_policy
from agents.tasks.capabilities import Image, capability
from lqr import (
    InputError,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    TrajectoryDistribution,
    forward,
)

from .steps import trajectory_step as lc
from .steps.local_policies import Rounds
from .steps.policy_step import Student, compare, with_forecast
from .steps.settings import Local, Neural, Rule, one_of, positive, whole

Array = np.ndarray
LINES = {"reach": 5, "strength": 0.01}  # of the linearisation


@dataclass(frozen=True)
class Config(Neural, Local):
    """Settings of guided policy search by mirror descent."""

    kl_step: float = 0.5  # nats per trajectory, the first step; adapted per condition from then on
    max_kl_step: float = 4.0  # nats per trajectory, the largest step
    initial_std: float = 0.08  # exploration at the start, as a share of half the action range
    min_std: float = 0.08  # exploration never falls below this, same unit
    antithetic: bool = True  # trials of a condition come in pairs whose noise has opposite signs
    policy_steps: int = 1000  # minibatch steps of each regression
    replay: int = 3  # iterations whose trials the regression sees
    sampling: str = "on"  # whose trials: on (the policy's) or off (the controllers')
    # whose costs set the step: classic (the controllers') or global (the policy's)
    step_rule: str = "global"

    lag_limit: float = 0.45  # KL steps that the policy may differ from its controllers; over 0.5 if it learned none
    # states of each step where new controllers are about to go; 0 for images and for memory
    forecasts: int = 30
    # how far they lie from each other, as a multiple of what the model expects
    forecast_spread: float = 3.0

    RULES: ClassVar[dict[str, Rule]] = {
        **{"sampling": one_of("on", "off"), "step_rule": one_of("classic", "global")},
        **{"forecasts": whole, "forecast_spread": positive},
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    if config.forecasts and capability(task, Image) is not None:
        raise InputError(
            f"got forecasts of the pictures of {task.name}, which cannot be made; expected --forecasts 0"
        )
    if config.forecasts and config.policy == "recurrent":
        raise InputError(
            "got forecasts, which are no episodes, for a policy with memory; expected --forecasts 0"
        )
    rounds = Rounds(task, config, state)
    student = Student(task, config, config.initial_std, rng, state)
    on_policy, by_policy = config.sampling == "on", config.step_rule == "global"
    ahead = config.samples, config.forecasts, config.forecast_spread
    for number in rounds.left:
        given = (
            number == 1 and config.initial != "zero"
        )  # controllers that try first; the policy starts as these
        new = rounds.sample(rng, student.policy if on_policy and not given else None)
        seen = student.see(new, new.chart)
        if given:
            expected = forward(rounds.controller, rounds.model(new)[0], lc.start(new))
            student.distil(rounds.controller, with_forecast(seen, expected, *ahead, rng), rng)
        pi, p = student.linearised(seen, **LINES, latest=config.samples), rounds.controller
        new = new._replace(controller=pi)
        if not (on_policy and by_policy):
            new = priced(new, pi if on_policy else p, pi if by_policy else p, *rounds.model(new))
        known = student.imitation.paced(rounds.learn(new, refuse=False))
        step = lc.improve(known.local, known.dynamics, known.cost, known.epsilon)
        seen = student.trusted(student.seen(known.local.chart), known)
        expected = TrajectoryDistribution(step.mean, step.cov)
        near = with_forecast(seen, expected, *ahead, rng)
        loss = student.distil(rounds.floored(step), near, rng)
        rounds.adopt(known, step)

        scalars, arrays = rounds.report(known, step, rng)
        shown, pictures = student.report(rng)
        after = student.linearised(seen, **LINES)
        gap, kl = compare(after, rounds.controller, expected)
        costs = scalars["cost"], shown["policy_cost"]
        scalars |= (
            shown | student.imitation.report(gap, kl, known.epsilon, costs) | {"policy_loss": loss}
        )
        frozen = rounds.state(number) | student.state()
        policy = build_policy(frozen["policy"], "state")
        yield Iteration(number, policy, scalars, arrays | pictures, frozen)


def priced(
    new: lc.Local,
    tried: LinearGaussianController,
    judged: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
) -> lc.Local:
    """Returns trials of `tried` as those by which `judged` is judged, in steps that start from
    new.controller.
    """
    x0 = lc.start(new)
    ours, theirs, base = (
        lc.model_cost(c, dynamics, cost, x0) for c in (judged, tried, new.controller)
    )
    return new._replace(cost=new.cost + ours - theirs, lead=ours - base)
