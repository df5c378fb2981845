"""Trust region policy optimisation: natural-gradient steps of a policy within a KL bound.

    episodes of the policy
    advantages, by a value that is fitted to the same episodes
    theta  <-  argmax E[pi_theta / pi_old A]   within   E[KL(pi_old || pi_theta)] <= delta

Schulman, Levine, Moritz, Jordan & Abbeel (2015), algorithm 1, with generalised advantages. Without a
model: the baseline of `dnc`, which divides the starts among several such policies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..interfaces import Array, Iteration, State, Task
from ..learners.gaussian_layers import GaussianLayers
from ..learners.trust_region import batch_of, improved, initial_policy, with_units
from ..policies.mlp import NeuralPolicy
from ..rollout import rollout
from ..settings import Count, Counts, EvaluationSettings, Fraction, Positive
from ..tasks.action_limits import action_unit
from ..training import COUNTS, Training

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class TrustRegionSettings(EvaluationSettings):
    """Settings of policies that learn by natural-gradient steps."""

    iterations: Count = 100  # rounds of episodes
    samples: Count = 2  # episodes of each condition in each iteration
    hidden: Counts = (32, 32)  # units of the policy's hidden layers
    initial_std: Positive = 0.5  # of the actions at the start, in half action ranges
    kl_step: Positive = 0.02  # delta, nats per step of an episode
    damping: Positive = 0.1  # of the Fisher information, as a share of the gradient's curvature
    discount: Fraction = 0.99  # of a step
    smoothing: Fraction = 0.95  # lambda, of the advantages


@dataclass(frozen=True)
class Config(TrustRegionSettings):
    """Settings of TRPO."""


def begun_from(policy: NeuralPolicy, std: Array) -> State:
    """Returns a state from which `train` begins with this policy, and deviations (du,) of its
    actions: what was learned in other tasks.
    """
    begun = {**policy.state(), "cov": np.diag(np.asarray(std, dtype=float) ** 2)}
    return {**dict.fromkeys(COUNTS, 0), "policy": begun}


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    training = Training(task, config.iterations, state, config.evaluate_every)
    std = config.initial_std * action_unit(task.action_low, task.action_high)
    policy = initial_policy(task, config.hidden, std, rng) if not state else None
    policy = policy or NeuralPolicy.from_state(training.saved["policy"])
    for _ in training.iterations():
        every = np.arange(task.conditions)
        episodes = training.count(rollout(task, policy, every, config.samples, rng))
        policy = with_units(policy, episodes)
        layers = GaussianLayers(policy)
        batch = batch_of(layers, episodes, config.discount, config.smoothing)
        step = improved(layers, layers.flat(policy), batch, config.kl_step, (), config.damping)
        policy = layers.policy_of(step.theta)
        shown = training.evaluate(policy, rng)
        scalars = training.row(
            shown,
            sampled_cost=episodes.valid.costs.mean(),
            kl=step.kl,
            gain=step.gain,
            std=float(np.sqrt(np.diag(policy.cov)).mean()),
            diverged=episodes.failed.sum() + shown.failed.sum(),
        )
        yield training.iteration(policy, scalars, shown.evaluated, {"policy": policy.state()})
