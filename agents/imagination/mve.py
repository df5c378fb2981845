"""MVE: critics learn from targets that look several imagined steps ahead.

    y_k  =  sum_i=k..H-1 gamma^(i-k) r_i  +  gamma^(H-k) (min_j Q'_j(x_H, a_H) - alpha log pi),   k = -1 .. H-1
    Q_j  <-  arg min E (Q_j(x_k, a_k) - y_k)^2,     x_-1, a_-1, x_0 real, the rest imagined under pi

Feinberg et al., Model-Based Value Expansion for Efficient Model-Free Reinforcement Learning (2018),
on soft actor-critic, whose entropies are paid on the way as well. Without `--every-step` only k = -1
is learned, for which the targets' states are not those that the critics are used in. `--weights
steve` takes all horizons up to H, by how sure each is (Buckman et al. 2018). With
`--value-expansion 0` it is `sac`, to the same bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..interfaces import Iteration, State, Task
from ..learners.off_policy import OffPolicy, OffPolicySettings
from ..learners.sac import Told
from ..settings import Whole
from .steps.environment_model import EnvironmentModel, ModelSettings
from .steps.expansion import expanded, weighted
from .steps.model_fits import ModelFits

ACTOR = "policy"


@dataclass(frozen=True)
class Config(ModelSettings, OffPolicySettings):
    """Settings of value expansion."""

    value_expansion: Whole = 3  # H, imagined steps of a target
    every_step: bool = True  # learn the values of the imagined steps too (TD-k)
    # the last horizon's target, or STEVE's mean of all by their certainty
    weights: Literal["last", "steve"] = "last"


PAPER = replace(Config(), update_ratio=4.0)


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError as `mbpo` does.
    """
    c = config
    env_model = EnvironmentModel(task, c)
    fits = ModelFits(env_model)

    def update(run: OffPolicy) -> Told:
        sac, rows = run.learner, run.buffer.sample(c.batch, run.rng)
        if c.weights == "steve" and c.value_expansion:
            real, y = weighted(sac, env_model, rows, c.value_expansion, run.rng)
            return sac.update(real, run.rng, y)
        real, o, a, y = expanded(sac, env_model, rows, c.value_expansion, c.every_step, run.rng)
        loss = sac.update_critic(o, a, y)
        return Told(loss, sac.update_actor(real.o, run.rng), sac.alpha)

    prepare = fits.prepare if c.value_expansion else None
    run = OffPolicy(task, c, rng, state, update, prepare, fits=fits)
    for _ in run.iterations():
        found = run.collect()
        yield run.iteration(found, model_error=fits.model_error)
