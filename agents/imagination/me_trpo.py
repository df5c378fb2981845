"""ME-TRPO: TRPO on the imagined episodes of an ensemble, as long as its members agree.

    collect real episodes of pi;    fit the ensemble p_1 .. p_K to all of them
    repeat    imagined episodes of pi,  x' ~ p_k(x, u) with k drawn anew at each step
              pi  <-  a trust-region step on them
    until     fewer than 70 % of the members say that pi improves;  then the last pi of which they did

Kurutach, Clavera, Duan, Tamar & Abbeel, Model-Ensemble Trust-Region Policy Optimization (2018),
algorithm 2. `--optimiser ppo` takes steps of proximal policy optimisation instead, `--members 1` is
one network, `--validate-every 0` never asks the members, and `--model simulator` is the true model.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..interfaces import Iteration, State, Task
from ..learners.clipped import clipped_update
from ..learners.gaussian_layers import GaussianLayers
from ..learners.trust_region import batch_of, improved
from ..policies.mlp import NeuralPolicy
from ..rollout import Trajectories
from ..settings import Count, Fraction, Positive, Whole
from .steps.on_policy import OnPolicy, OnPolicySettings, Update

ACTOR = "policy"


@dataclass(frozen=True)
class Config(OnPolicySettings):
    """Settings of ME-TRPO."""

    validate_every: Whole = 10  # updates after which members are asked about the policy; 0: never
    # least share of members in which it improved; with less the round ends, with the best so far
    agreement: Fraction = 0.7
    member_of: Literal["step", "episode"] = "step"  # how often an imagined row draws its member
    optimiser: Literal["trpo", "ppo"] = "trpo"  # of the policy on imagined episodes
    kl_step: Positive = 0.05  # of TRPO: nats per step of an episode
    damping: Positive = 0.1  # of TRPO: of the Fisher information, a share of the curvature
    clip: Positive = 0.2  # of PPO: how far a ratio of densities may be from 1 to count
    epochs: Count = 10  # of PPO: passes over the imagined steps
    rate: Positive = 1e-3  # of PPO: learning rate


PAPER = replace(
    Config(), iterations=100, iteration_steps=3000, model_hidden=(512, 512), updates=400,
    imagined=500, imagined_steps=100, validate_every=5, kl_step=0.01, starts="initial",
)  # fmt: skip


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError as `mbpo` does.
    """
    run = OnPolicy(task, config, rng, state)
    for _ in run.iterations():
        found = run.collect()
        run.fit()
        told = run.improve(update_of(config))
        yield run.iteration(found, told)


def update_of(c: Config) -> Update:
    """Returns the function that improves a policy on its imagined episodes."""

    def update(
        policy: NeuralPolicy, episodes: Trajectories, rng: np.random.Generator
    ) -> NeuralPolicy:
        layers = GaussianLayers(policy)
        theta = layers.flat(policy)
        batch = batch_of(layers, episodes, c.discount, c.smoothing)
        if c.optimiser == "ppo":
            theta = clipped_update(layers, theta, batch, rng, c.clip, c.epochs, c.rate)
        else:
            theta = improved(layers, theta, batch, c.kl_step, (), c.damping).theta
        return layers.policy_of(theta)

    return update
