"""SVG(H): the policy follows its gradient through H imagined steps and the critics after them.

    pi   <-  arg max E[ sum_i<H gamma^i r(x_i, u_i) + gamma^H min_j Q_j(x_H, u_H) ],   x_0 real,  u_i = pi(x_i, e_i)
    Q_j  <-  arg min E (Q_j(o, a) - r - gamma (min_j Q'_j(o', a') - alpha log pi))^2,   real steps

Heess et al., Learning Continuous Control Policies by Stochastic Value Gradients (2015), with the
model, an ensemble, of which each row follows one member, and soft actor-critic's entropy. H = 0 is
`sac`. The gradient through many steps explodes (`bptt`); the critic is what lets H be small.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..interfaces import Iteration, State, Task
from ..learners.off_policy import OffPolicy, OffPolicySettings, in_units
from ..learners.sac import Told
from ..settings import Positive, Whole
from .steps.environment_model import EnvironmentModel, ModelSettings
from .steps.model_fits import ModelFits
from .steps.pathwise import Pathwise

ACTOR = "policy"


@dataclass(frozen=True)
class Config(ModelSettings, OffPolicySettings):
    """Settings of stochastic value gradients."""

    update_ratio: Positive = 2.0  # updates for each step
    path_length: Whole = 5  # H, imagined steps that the gradient goes through
    gradient_clip: Positive = 10.0  # largest norm of the policy's gradient


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
        real = in_units(sac, rows)
        loss = sac.update_critic(real.o, real.a, sac.targets(real, run.rng))
        path = Pathwise(sac, env_model)
        entropy = path.update_actor(rows.x, c.path_length, run.rng, clip=c.gradient_clip)
        return Told(loss, entropy, sac.alpha)

    run = OffPolicy(task, c, rng, state, update, fits.prepare, fits=fits)
    for _ in run.iterations():
        found = run.collect()
        yield run.iteration(found, model_error=fits.model_error)
