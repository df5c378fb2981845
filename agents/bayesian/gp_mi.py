"""GP-MI: Black-DROPS behind a simulator whose parameters are identified.

    x'  =  f(x, u, phi)  +  a Gaussian process of what f misses
    phi  <-  the most probable factors on the simulator's parameters, given all transitions
    theta  <-  argmax of the mean reward of imagined episodes, as in `black_drops`

Chatzilygeroudis & Mouret, Using Parameterized Black-Box Priors to Scale Up Model-Based Policy Search
for Robotics (2018). What the simulator knows need not be learned from episodes; what it does not
know the process learns. The paper finds phi and the process's hyper-parameters together; here phi
comes first. A task without a simulator has a prior mean that changes nothing: Black-DROPS.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dynamics import IdentifiedSimulator
from dynamics.residual import Residual

from ..interfaces import Iteration, State, Task
from ..saving import state_of
from ..tasks.capabilities import HasSimulator, capability
from .black_drops import Config as SearchConfig
from .black_drops import found_policy
from .steps.loop import Search
from .steps.problem import process

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class Config(SearchConfig):
    """Settings of GP-MI: those of Black-DROPS, and the prior mean."""

    # of the process: the task's simulator, identified; as it is (fixed); or "nothing changes" (none)
    prior_mean: Literal["simulator", "fixed", "none"] = "simulator"


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's.
    Columns `factor_...` are what the simulator's parameters are multiplied by.
    """
    known = Search(task, config, rng, state, model_of(task, config.prior_mean))
    for _ in known.training.iterations():
        episodes = known.observe(rng)
        policy, predicted = found_policy(known, config, rng)
        found = factors(known.model)
        scalars, arrays, saved = known.report(policy, episodes, rng, predicted=predicted, **found)
        saved["policy"] = state_of(policy)
        yield known.training.iteration(policy, scalars, arrays, saved)


def model_of(task: Task, prior_mean: str) -> Any:
    """Returns a Gaussian process behind a prior mean; alone where there is none."""
    if prior_mean == "none" or capability(task, HasSimulator) is None:
        return process(task)
    simulator = IdentifiedSimulator(identify=prior_mean == "simulator")
    simulator.attach(task)
    return Residual(simulator, process(task))


def factors(model: Any) -> dict[str, float]:
    """Returns what the simulator's parameters are multiplied by, by column."""
    if not isinstance(model, Residual):
        return {}
    return {f"factor_{name.replace(' ', '_')}": f for name, f in model.base.factors.items()}
