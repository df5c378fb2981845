"""DHMBPO: two horizons, long imagined rollouts for states, short ones for the policy's gradient.

    D_model  <-  D_model + k = 20 steps of pi in the model from real states
    Q_j      <-  arg min E (Q_j(o, a) - r - gamma (min_j Q'_j(o', a') - alpha log pi))^2,     D_model
    pi       <-  arg max E[ sum_i<H gamma^i r(x_i, u_i) + gamma^H min_j Q_j(x_H, u_H) ],      x_0 of D_model, H = 5

Kubo, Double Horizon Model-Based Policy Optimization (2025): the states are those that the policy of
now would come to, and the gradient has little variance, so that few updates for each step do. Parts
are those of `mbpo` and `svg`; the lengths are those of the author's ablations.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..interfaces import Iteration, State, Task
from ..learners.off_policy import OffPolicy, OffPolicySettings
from ..learners.sac import Told
from ..settings import Count, Counts, Positive, Whole
from .steps.imagined_data import ImaginedData, ImaginedSettings
from .steps.pathwise import Pathwise

ACTOR = "policy"


@dataclass(frozen=True)
class Config(ImaginedSettings, OffPolicySettings):
    """Settings of double horizons."""

    update_ratio: Positive = 2.0  # updates for each step
    rollouts: Count = 1000  # imagined rows begun at each fit
    # steps of a row: k, or four numbers: k at first, k at last, and the steps between which it grows
    rollout_length: Counts = (20,)
    path_length: Whole = 5  # H, imagined steps that the gradient goes through
    gradient_clip: Positive = 10.0  # largest norm of the policy's gradient


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError as `mbpo` does.
    """
    c = config
    imagined = ImaginedData(task, c)

    def update(run: OffPolicy) -> Told:
        sac, (x, batch) = run.learner, imagined.states_and_batch(run)
        loss = sac.update_critic(batch.o, batch.a, sac.targets(batch, run.rng))
        path = Pathwise(sac, imagined.env_model)
        entropy = path.update_actor(x, c.path_length, run.rng, clip=c.gradient_clip)
        return Told(loss, entropy, sac.alpha)

    run = OffPolicy(task, c, rng, state, update, imagined.prepare, imagined=imagined)
    for _ in run.iterations():
        found = run.collect()
        yield run.iteration(found, **imagined.numbers)
