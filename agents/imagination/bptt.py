"""Backpropagation through time: the policy follows its gradient through whole imagined episodes.

    pi  <-  arg max E[ sum_t<T gamma^t r(x_t, u_t) ],    x_0 initial states,  u_t = pi(x_t, e_t)

The baseline that short paths with a critic (`svg`, `dhmbpo`) are an answer to: over many steps the
gradient explodes or vanishes, and one optimum of many is found (Parmas et al., PIPPS: Flexible
Model-Based Policy Search Robust to the Curse of Chaos, 2018).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..interfaces import Iteration, State, Task
from ..learners.off_policy import OffPolicy, OffPolicySettings
from ..learners.sac import Told
from ..settings import Count, Positive, Whole
from .steps.environment_model import EnvironmentModel, ModelSettings
from .steps.model_fits import ModelFits
from .steps.pathwise import Pathwise

ACTOR = "policy"


@dataclass(frozen=True)
class Config(ModelSettings, OffPolicySettings):
    """Settings of backpropagation through time."""

    update_ratio: Positive = 0.2  # updates for each step
    path_length: Whole = 0  # steps that the gradient goes through; 0: an episode's
    paths: Count = 50  # imagined episodes of an update
    gradient_clip: Positive = 10.0  # largest norm of the policy's gradient


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError as `mbpo` does.
    """
    c, horizon = config, config.path_length or task.horizon
    env_model = EnvironmentModel(task, c)
    fits = ModelFits(env_model)

    def update(run: OffPolicy) -> Told:
        lengths = np.array(run.buffer.lengths)
        starts = run.buffer.data.x[np.cumsum(lengths) - lengths]
        x0 = starts[run.rng.integers(len(starts), size=c.paths)]
        path = Pathwise(run.learner, env_model)
        entropy = path.update_actor(x0, horizon, run.rng, value=False, clip=c.gradient_clip)
        return Told(0.0, entropy, run.learner.alpha)

    run = OffPolicy(task, c, rng, state, update, fits.prepare, fits=fits)
    for _ in run.iterations():
        found = run.collect()
        yield run.iteration(found, model_error=fits.model_error)
