"""Model-based acceleration: imagined rollouts in local linear models, at first, for Q-learning.

    after each episode:   F_c,t, f_c,t  <-  linear regression on the last episodes of condition c
                          D_imagined    <-  D_imagined + l steps of the policy from their states
    after each step:      Q(o, a) = V - 1/2 (a - mu)' L L' (a - mu)  <-  r + gamma V'(o'),   half of D, half imagined

Gu, Lillicrap, Sutskever & Levine, Continuous Deep Q-Learning with Model-based Acceleration (2016),
algorithm 2, without its episodes of iLQG. Imagination stops after `imagination_episodes`: later it would
harm. With 0 it is NAF alone, algorithm 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..interfaces import Iteration, State, Task
from ..learners.naf import NAF
from ..learners.off_policy import OffPolicy, OffPolicySettings
from ..learners.sac import Told, Units
from ..settings import Count, Positive, Whole
from .steps.local_data import LocalData

ACTOR = "policy"


@dataclass(frozen=True)
class Config(OffPolicySettings):
    """Settings of model-based acceleration."""

    update_ratio: Positive = 5.0  # updates for each step
    noise: Positive = 0.3  # deviation of exploration, before actions are squashed
    history: Count = 5  # newest episodes of each condition that its models are fitted to
    rollouts: Count = 500  # imagined rows begun after each episode
    rollout_length: Count = 10  # l, steps of a row
    imagination_episodes: Whole = 50  # of the run in which imagined rows are used; 0: NAF alone


def make(task: Task, c: Any, rng: np.random.Generator) -> NAF:
    """Returns a learner that has seen nothing."""
    units = Units(np.zeros(task.do), np.ones(task.do), np.array(0.0), np.array(1.0))
    low, high = task.action_low, task.action_high
    return NAF(low, high, units, rng, c.hidden, c.discount, c.critic_rate, c.track, c.noise)


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError for actions without limits, and a cost that changes with time.
    """
    local = LocalData(task, config)

    def update(run: OffPolicy) -> Told:
        told: Told = run.learner.update(local.batch(run), run.rng)
        return told

    run = OffPolicy(task, config, rng, state, update, local.prepare, make=make, local=local)
    for _ in run.iterations():
        found = run.collect()
        yield run.iteration(found, imagined=float(len(local.buffer)))
