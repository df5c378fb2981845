"""MPC with a learned value at the end of a short horizon: the planner looks a few steps ahead, and the
critics of soft actor-critic beyond.

    act      U*  =  arg min  sum_h<H c(x_h, u_h) + V(x_H),    x_h+1 = f(x_h, u_h), the ensemble's mean
             V(x)  =  - min_j Q_j(x, pi(x))
    learn    Q, pi  <-  soft actor-critic on imagined steps and a share of real ones, as in MBPO

Lowrey, Rajeswaran, Kakade, Todorov & Mordatch, Plan Online, Learn Offline (2019); Hansen, Wang & Su,
Temporal Difference Learning for Model Predictive Control (2022), whose states are latent. The same
model is planned and imagined in. `--horizon 25 --no-value` is MPC, `--horizon 5 --no-value` what the
value has to make up for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..imagination.steps.imagined_data import ImaginedData, ImaginedSettings
from ..interfaces import Iteration, State, Task
from ..learners.off_policy import OffPolicy, OffPolicySettings
from ..learners.sac import Told
from ..planners import CEM, PlannerSetting
from ..settings import Count, Positive
from .steps.valued import ValuedPlanner

ACTOR = "planner"  # whose the column cost is


@dataclass(frozen=True)
class Config(ImaginedSettings, OffPolicySettings):
    """Settings of MPC with a learned value."""

    planner: PlannerSetting = CEM(samples=60, elites=6, iterations=3)  # of action sequences
    horizon: Count = 5  # H, steps planned ahead
    value: bool = True  # count what lies beyond the horizon
    update_ratio: Positive = 10.0  # updates for each step


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. All hold the one planner whose model and value go on learning. Raises InputError as
    `mbpo` does.
    """
    imagined = ImaginedData(task, config)

    def update(run: OffPolicy) -> Told:
        return run.learner.update(imagined.batch(run), run.rng)

    planner = ValuedPlanner(task, config, imagined)
    run = OffPolicy(
        task, config, rng, state, update, planner.prepare, actor=planner.acts,
        imagined=imagined, planner=planner,
    )  # fmt: skip
    for _ in run.iterations():
        planner.begin_round()
        found = run.collect()
        planner.learn(found, rng)
        yield run.iteration(found, model_calls=planner.calls_per_step(), **imagined.numbers)
