"""Path-integral guided policy search: path integrals improve the local controllers, one neural
policy learns from them.

Chebotar, Kalakrishnan, Yahya, Li, Schaal and Levine, Path Integral Guided Policy Search (2017),
algorithm 1, in the form of mirror descent. Each iteration

    trials       of the policy (on-policy) or of the last controllers (off-policy)
    anchor       pi_bar <-  the policy linearised along each condition's trials
    C-step       p      <-  pi_bar moved towards the cheaper trials, KL(weights of the trials || even ones) <= epsilon
    S-step       pi     <-  argmin sum KL(pi || p), a weighted regression over all conditions

`descend` takes the C-step as a function; that of `pi2` needs neither a model nor a slope of the
cost, and `pilqr_gps` passes that of `pilqr`. All trials count, whatever the models promised.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.saving import build_policy
from lqr import TrajectoryDistribution

from . import pi2
from .steps import trajectory_step as lc
from .steps.local_policies import Known, Rounds
from .steps.policy_step import Student, compare
from .steps.settings import Neural, Rule, one_of

Improve = Callable[
    [Known, Rounds, float], lc.Proposal
]  # the last is the share of a step that is to be taken


@dataclass(frozen=True)
class Sampling:
    """Whose trials a method of mirror descent learns from."""

    # whose trials: on (the policy's, with white noise) or off (the controllers')
    sampling: str = "off"

    RULES: ClassVar[dict[str, Rule]] = {"sampling": one_of("on", "off")}


@dataclass(frozen=True)
class Config(Sampling, Neural, pi2.Config):
    """Settings of path-integral guided policy search."""


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    epsilon = np.full(task.conditions, config.kl_step)
    return descend(
        task,
        config,
        rng,
        state,
        lambda known, rounds, pace: pi2.follow(known, rounds, pace * epsilon),
    )


def descend(
    task: Task, config: Any, rng: np.random.Generator, state: State | None, improve: Improve
) -> Iterator[Iteration]:
    """Yields the iterations of mirror descent with this C-step; `config` has Sampling, Neural and
    Local.
    """
    rounds = Rounds(task, config, state)
    student = Student(task, config, config.initial_std, rng, state)
    for number in rounds.left:
        new = rounds.sample(rng, student.policy if config.sampling == "on" else None)
        seen = student.see(new, new.chart)
        anchor = student.linearised(seen, latest=config.samples)
        known = student.imitation.paced(rounds.learn(new._replace(controller=anchor), refuse=False))
        step = improve(known, rounds, student.imitation.pace)
        seen = student.trusted(student.seen(known.local.chart), known)
        loss = student.distil(rounds.floored(step), seen, rng)
        rounds.adopt(known, step)

        scalars, arrays = rounds.report(known, step, rng)
        shown, pictures = student.report(rng)
        under = TrajectoryDistribution(step.mean, step.cov)
        gap, kl = compare(student.linearised(seen), rounds.controller, under)
        costs = scalars["cost"], shown["policy_cost"]
        scalars |= (
            shown | student.imitation.report(gap, kl, step.epsilon, costs) | {"policy_loss": loss}
        )
        frozen = rounds.state(number) | student.state()
        yield Iteration(
            number, build_policy(frozen["policy"], "state"), scalars, arrays | pictures, frozen
        )
