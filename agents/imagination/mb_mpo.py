"""MB-MPO: each member of an ensemble is a task, and one policy is a step away from a good one in each.

    collect real episodes of phi_1 .. phi_K;    fit the ensemble p_1 .. p_K to all of them
    repeat    imagined episodes of theta in each p_k;    phi_k = theta + alpha grad J_k(theta)
              imagined episodes of phi_k in p_k
              theta  <-  a trust-region step up  mean_k J_k(phi_k),  through the steps to phi_k

Clavera, Rothfuss, Schulman, Fujita, Asfour & Abbeel, Model-Based Reinforcement Learning via
Meta-Policy Optimization (2018), algorithm 1. Where members disagree, their phi_k differ, and so do
the real episodes. `--inner-rate 0` takes no step: one policy for all members. The policy that is
handed out is a step away in all members together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..interfaces import Iteration, State, Task
from ..settings import Count, NotNegative, Positive
from .steps.meta_policy import MetaPolicy
from .steps.on_policy import OnPolicy, OnPolicySettings

ACTOR = "policy"


@dataclass(frozen=True)
class Config(OnPolicySettings):
    """Settings of MB-MPO."""

    updates: Count = 20  # of the policy in each round
    imagined: Count = 20  # episodes that are imagined in each member for each update, twice
    inner_rate: NotNegative = 0.1  # alpha, of the members' steps; 0: they make none
    kl_step: Positive = 0.02  # nats per step of an episode, of the adapted policies
    damping: Positive = 0.1  # of the Fisher information, as a share of the gradient's curvature


PAPER = replace(
    Config(), iterations=100, iteration_steps=4000, warm_up=5000, model_hidden=(512, 512), updates=30,
    imagined=20, imagined_steps=200, inner_rate=1e-3, kl_step=0.01, discount=0.99, starts="initial",
)  # fmt: skip


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError as `mbpo` does.
    """
    run = OnPolicy(task, config, rng, state)
    meta = MetaPolicy(run)
    for _ in run.iterations():
        found = run.collect()
        run.fit()
        told = meta.improve()
        yield run.iteration(found, told, meta.numbers, saved=meta.state())
