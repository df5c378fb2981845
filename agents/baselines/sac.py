"""Soft actor-critic: a policy and its critics learn from all that was tried, without a model.

    y     =  r + gamma (min_j Q'_j(o', a') - alpha log pi(a' | o')),    0 after an end
    Q_j  <-  arg min E (Q_j(o, a) - y)^2
    pi   <-  arg min E (alpha log pi(a | o) - min_j Q_j(o, a))

Haarnoja et al., Soft Actor-Critic Algorithms and Applications (2018), algorithm 1, with
`update_ratio` updates for each step: with 10 or 20 this is what model-based methods have to beat
(Chen et al., Randomized Ensembled Double Q-Learning, 2021). `--layer-norm` is that of DroQ (Hiraoka
et al. 2022).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..interfaces import Iteration, State, Task
from ..learners.off_policy import OffPolicy, OffPolicySettings

ACTOR = "policy"


@dataclass(frozen=True)
class Config(OffPolicySettings):
    """Settings of soft actor-critic."""


PAPER = replace(
    Config(), update_ratio=1.0, hidden=(256, 256), actor_rate=3e-4, critic_rate=3e-4,
    temperature_rate=3e-4, warm_up=10_000, capacity=1_000_000,
)  # fmt: skip


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError for actions without limits, and a cost that changes with time.
    """
    run = OffPolicy(task, config, rng, state)
    for _ in run.iterations():
        found = run.collect()
        yield run.iteration(found)
