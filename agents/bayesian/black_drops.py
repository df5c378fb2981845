"""Black-DROPS: a policy found by CMA-ES in imagined episodes of a Gaussian process.

    x_0 ~ p(x_0),    x_t+1 = mu(x_t, u_t) + sigma(x_t, u_t) z_t,    z_t ~ N(0, 1) cut to [-1, 1]
    theta  <-  argmax of the mean reward of such episodes,  in the box |theta| <= 5

Chatzilygeroudis, Rama, Kaushik, Goepp, Vassiliades & Mouret, Black-Box Data-efficient Policy Search
for Robotics (2017), algorithm 1. Nothing is differentiated, so that any reward and any policy will
do. Searches run side by side, all with the same z: independent ones hide which policy is better,
and one search alone ends in a poor optimum every second time. PILCO's search (`pilco`) has moments
in place of these episodes, MC-PILCO's (`mc_pilco`) their gradient.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..interfaces import Array, Iteration, State, Task
from ..saving import state_of
from ..settings import Count, Positive, Whole, word_of
from .steps.loop import Search, SearchSettings
from .steps.problem import episodes_of, loss_of
from .steps.searches import search
from .steps.spaces import SPACES, space_of

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class Config(SearchSettings):
    """Settings of Black-DROPS."""

    policy: Annotated[str, word_of(SPACES)] = "mlp"  # what is searched: mlp, rbf
    units: Count = 10  # tanh units or basis functions of the policy
    searches: Count = 8  # CMA-ES side by side
    population: Whole = 0  # of each search; 0: 4 + 3 log(parameters)
    evaluations: Count = 40_000  # policies that are tried in each iteration, by all searches
    imagined: Count = 5  # episodes of each policy in the model
    box: Positive = 5.0  # largest size of a parameter
    std: Positive = 1.0  # initial standard deviation of the searches
    cut: Positive = 1.0  # largest noise of an imagined step, in standard deviations


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    known = Search(task, config, rng, state)
    for _ in known.training.iterations():
        episodes = known.observe(rng)
        policy, predicted = found_policy(known, config, rng)
        scalars, arrays, saved = known.report(policy, episodes, rng, predicted=predicted)
        saved["policy"] = state_of(policy)
        yield known.training.iteration(policy, scalars, arrays, saved)


def found_policy(known: Search, config: Config, rng: np.random.Generator) -> tuple[Any, float]:
    """Returns the policy of the best search, and minus what it loses in fresh imagined episodes:
    its reward.
    """
    space = space_of(config.policy, known.task, known.known, config.units)
    first = space.first(config.searches, rng)
    if not known.acts_at_random:
        first[0] = space.point(known.policy)
    loss = losses(known, space, config, config.imagined, rng)
    found = search(loss, first, config.box, config.std, config.evaluations, config.population, rng)
    again = losses(known, space, config, 10 * config.imagined, rng)(found.best)
    best = int(np.argmin(np.where(np.isfinite(again), again, np.inf)))
    return space.policy(found.best[best]), -float(again[best])


def losses(known: Search, space: Any, config: Config, count: int, rng: np.random.Generator) -> Any:
    """Returns what maps points of a space (P, d) to the mean loss of `count` imagined episodes of
    each condition, (P,), all with the same starts and the same noise.
    """
    task = known.task
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(known.where == c), count) for c in range(task.conditions)]
    )
    noise = rng.standard_normal((task.horizon, len(rows), task.dx)).clip(-config.cut, config.cut)
    loss = loss_of(task, known.planned)

    def mean(points: Array) -> Array:
        act = space.act(points)
        found = episodes_of(task, known.model, act, known.starts[rows], noise, len(points))
        return loss(found.x, found.u).mean(-1)

    return mean
