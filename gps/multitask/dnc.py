"""Divide and conquer: policies of parts of the starts, held together and distilled into one.

    maximise  sum_i  E[pi_i / old A_i]  -  alpha mean_j 1/2 (KL(pi_i || pi_j) + KL(pi_j || pi_i))
    each within  KL(old || pi_i) <= delta;   every R iterations
    pi_c  <-  argmin sum_i E KL(pi_c || pi_i),    pi_i  <-  pi_c

Ghosh, Singh, Rajeswaran, Kumar & Levine, Divide-and-Conquer Reinforcement Learning (2018), algorithm 1.
Each policy sees the starts of one part alone, whose returns differ less, so that its gradient is less
noisy. KL(pi_i || pi_j) is taken in the states of i, KL(pi_j || pi_i) in those of j. The parts are
clusters of what is observed at the starts of the first episodes. `--penalty 0` lets the policies go
apart; `trpo` is one policy for all starts. The paper's central policy is the most likely one given
what the others do, of the divergence the other way round, and keeps how far they lie apart as noise;
here it is distilled as everywhere in `gps`, by the others' precision, and keeps their own noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.baselines.trpo import TrustRegionSettings
from agents.interfaces import Iteration, State, Task
from agents.learners.trust_region import initial_policy
from agents.settings import Count, NotNegative, Positive
from agents.tasks.action_limits import action_unit
from agents.training import Training

from .steps.parts import Parts

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class Config(TrustRegionSettings):
    """Settings of divide and conquer."""

    parts: Count = 4  # k, of the starts, each with a policy of its own
    # alpha, of divergences between the policies: deviations of the advantage per nat
    penalty: NotNegative = 0.1
    distil_every: Count = 10  # R, iterations between the distillations into one policy
    distil_steps: Count = 1000  # minibatch steps of each
    distil_rate: Positive = 3e-3  # Adam's learning rate at the start of each


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    parts = Parts(task, config)
    if not state:
        std = config.initial_std * action_unit(task.action_low, task.action_high)
        parts.begin(initial_policy(task, config.hidden, std, rng))
    training = Training(task, config.iterations, state, config.evaluate_every, parts=parts)
    for number in training.iterations():
        episodes = training.count(parts.rollout(rng))
        if not parts.divided:
            parts.divide(episodes, rng)
        batches = parts.batches(episodes)
        steps = parts.climb(batches)
        if number % config.distil_every == 0 or number == config.iterations:
            parts.distil(batches, rng)
        shown = training.evaluate(parts.central, rng)
        scalars = training.row(
            shown,
            sampled_cost=episodes.valid.costs.mean(),
            kl=float(np.mean([step.kl for step in steps])),
            gain=float(np.mean([step.gain for step in steps])),
            apart=parts.apart[-1].sum() / max(len(steps) * (len(steps) - 1), 1),
            policy_loss=parts.loss,
            diverged=episodes.failed.sum() + shown.failed.sum(),
        )
        arrays = shown.evaluated | {"pairwise_kl": parts.apart}
        yield training.iteration(parts.central, scalars, arrays)
