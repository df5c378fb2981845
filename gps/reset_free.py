"""Reset-free guided policy search: no start comes twice, so likely trials, not equal starts, share a controller.

Montgomery, Ajay, Finn, Abbeel and Levine, Reset-Free Guided Policy Search: Efficient Deep Reinforcement Learning with
Stochastic Initial States (2017), algorithm 2. Each iteration

    trials       of the policy, each from a start of its own
    groups       of the recent trials that one time-varying linear-Gaussian model explains (`clusters`)
    anchor       pi_bar <-  the policy linearised along each group's trials, and a model of their dynamics
    C-step       p      <-  argmin E_p [cost]   subject to   KL(p || pi_bar) <= epsilon, in each group
    S-step       pi     <-  argmin sum KL(pi || p), each trial taught by its group's controller
    epsilon      <-  epsilon * promise / (2 (promise - actual improvement)), one for all groups: these come and go

Where this departs from the paper: a group may hold trials of the last few iterations, not of the newest alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.neural_policy import NeuralPolicy
from agents.rollout import Trajectories, rollout
from dynamics import make_prior
from dynamics.storage import check_tree
from lqr import InputError, LinearGaussianController, TrajectoryDistribution

from . import local as lc
from .clusters import cluster
from .linearise import linearise
from .settings import Local, Neural, Rule, count, positive, whole
from .student import Seen, compare, distil, with_neighbours

Array = np.ndarray


@dataclass(frozen=True)
class Config(Neural, Local):
    """Settings of reset-free guided policy search."""

    iterations: int = 15  # rounds of trials
    samples: int = 1  # trials of each condition in each iteration
    clusters: int = 8  # groups of trials, at most
    replay: int = 3  # iterations whose trials are grouped and taught
    kl_step: float = 100.0  # nats per trajectory, the first step; adapted from then on
    max_kl_step: float = 1000.0  # nats per trajectory, the largest step
    initial_std: float = 0.1  # exploration at the start, as a share of half the action range
    min_std: float = 0.05  # exploration never falls below this, same unit
    neighbours: int = 2  # states near each one seen that the regression sees, too; 0 for none
    neighbour_spread: float = 1.0  # how far they lie, as a multiple of the trials' deviations from each other

    RULES: ClassVar[dict[str, Rule]] = {"clusters": count, "neighbours": whole, "neighbour_spread": positive}


def train(task: Task, config: Config, rng: np.random.Generator, state: State | None = None) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's.

    Raises InputError for a task whose states lie on a manifold.
    """
    rounds = Rounds(task, config, rng, state)
    policy = rounds.policy
    for number in rounds.left:
        rounds.sample(rng)
        local = rounds.grouped(cluster(*rounds.recent(), config.clusters, rng))
        fit, cost = lc.fit(local, rounds.prior, config.prior_strength), lc.expand(task.cost, local)
        step = lc.improve(local, fit.dynamics, cost, np.full(len(local.cost), rounds.epsilon))
        teacher = lc.with_floor(step.controller, config.min_std, rounds.scale)
        seen = Seen(local.x[:, :, :-1], local.o[:, :, :-1], local.used)
        near = with_neighbours(seen, config.neighbours, config.neighbour_spread, rng)
        loss = distil(policy, teacher, near, rng, config.policy_steps, config.policy_rate)
        rounds.promise = float(local.share @ step.predicted)
        ...
