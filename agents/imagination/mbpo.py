"""MBPO: soft actor-critic on short imagined rollouts that branch from real states.

    p        <-  arg max  sum over D of log p(x' | x, u), an ensemble;    every `fit_every` real steps
    D_model  <-  D_model + k steps of pi in p from states of D,           `rollouts` times after each fit
    pi, Q    <-  an update of soft actor-critic from D_model, a share from D,    `update_ratio` times a step

Janner, Fu, Zhang & Levine, When to Trust Your Model: Model-Based Policy Optimization (2019),
algorithm 2. Settings make it its successors: `--trust 2` goes on where the members agree (MACURA),
`--mask 0.5` leaves the worst rows out (M2AC), `--bonus 1` looks for what is not known (SOMBRL).
`--real-share 1` is the same learner without the model, and `--model simulator` with a perfect one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..interfaces import Iteration, State, Task
from ..learners.off_policy import OffPolicy, OffPolicySettings
from ..learners.sac import Told
from ..settings import Positive
from .steps.imagined_data import ImaginedData, ImaginedSettings

ACTOR = "policy"


@dataclass(frozen=True)
class Config(ImaginedSettings, OffPolicySettings):
    """Settings of MBPO."""

    update_ratio: Positive = 20.0  # updates for each step


PAPER = replace(
    Config(), members=7, model_hidden=(200, 200, 200, 200), hidden=(256, 256), rollouts=100_000,
    actor_rate=3e-4, critic_rate=3e-4, temperature_rate=3e-4, warm_up=5000, retain=1,
    capacity=1_000_000,
)  # fmt: skip


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError for actions without limits, a cost that changes with time, and an
    observation that is no function of the state.
    """
    imagined = ImaginedData(task, config)

    def update(run: OffPolicy) -> Told:
        return run.learner.update(imagined.batch(run), run.rng)

    run = OffPolicy(task, config, rng, state, update, imagined.prepare, imagined=imagined)
    for _ in run.iterations():
        found = run.collect()
        yield run.iteration(found, **imagined.numbers)
