"""Augmented random search: a linear policy climbs along random directions that paid.

Mania, Guy & Recht, Simple random search of static linear policies is competitive for reinforcement
learning (2018), algorithm 2, version V2-t: with N directions d_k, of which the b best count,

    M  <-  M + alpha / (b s)  sum_k (r(M + nu d_k) - r(M - nu d_k)) d_k,     s = deviation of the 2 b returns

Each direction is tried in every condition; observations are normalised by all seen so far.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..interfaces import Iteration, State, Task
from ..policies.linear import LinearPolicy
from ..rollout import run_rows
from ..settings import Count, EvaluationSettings, Positive
from ..training import Training

ACTOR = "policy"


@dataclass(frozen=True)
class Config(EvaluationSettings):
    """Settings of augmented random search."""

    iterations: Count = 100  # rounds of episodes
    directions: Count = 8  # N, each tried forwards and backwards in every condition
    elites: Count = 4  # b, the best of them; at most all of them
    step: Positive = 0.1  # alpha, in half action ranges per deviation of the observations
    noise: Positive = 0.05  # nu, same unit


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    training = Training(task, config.iterations, state, config.evaluate_every)
    policy = LinearPolicy.from_state(state["policy"]) if state else LinearPolicy.zero(task)
    for _ in training.iterations():
        d = rng.standard_normal((config.directions, *policy.gain.shape))
        gains = policy.gain + np.repeat(config.noise * np.concatenate([d, -d]), task.conditions, 0)
        where = np.tile(np.arange(task.conditions), 2 * config.directions)
        episodes = training.count(run_rows(task, policy.rows(gains), where, rng))
        r = -episodes.costs.reshape(2, config.directions, -1).mean(-1)
        r = np.where(np.isnan(r), np.nanmin(r), r)  # one that diverged is as bad as the worst
        best = np.argsort(-r.max(0))[: config.elites]
        slope = np.einsum("k,kij->ij", r[0, best] - r[1, best], d[best]) / len(best)
        step = config.step * slope / max(r[:, best].std(), 1e-12 * np.abs(r).max())
        policy = policy.moved(step, episodes.pairs[0])
        shown = training.evaluate(policy, rng)
        scalars = training.row(shown, sampled_cost=-r.mean(), diverged=episodes.failed.sum())
        yield training.iteration(policy, scalars, shown.evaluated, {"policy": policy.state()})
