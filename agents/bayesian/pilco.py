"""PILCO: a policy found by gradients through the exact moments of a Gaussian process.

    p(x_0) = N(m_0, S_0),    p(x_t+1) = N of the moments of x_t + f(x_t, pi_theta(x_t)),  one after the other
    theta  <-  argmin of  J = sum_t E c(x_t)   by L-BFGS,  dJ/dtheta through all steps

Deisenroth & Rasmussen, PILCO: A Model-Based and Data-Efficient Approach to Policy Search (2011),
algorithm 1. What the model does not know widens the distribution, which a saturating cost turns
into curiosity far from the goal and caution near it. A goal that is narrow has no slope far away: a
search begins with a wider one, and ends with the task's own (`widths`); where the first steps decide,
it may begin with a part of the episode (`growth`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lqr import InputError

from ..interfaces import Array, Iteration, State, Task
from ..rollout.visible import cost_variation
from ..saving import state_of
from ..settings import Count, Positive
from .steps import gaussian
from .steps.differentiable import goal_of, tensors_of
from .steps.gradients import Value, descend
from .steps.loop import Search, SearchSettings, start_moments
from .steps.spaces import space_of

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class Config(SearchSettings):
    """Settings of PILCO."""

    units: Count = 20  # basis functions of the policy
    search_steps: Count = 60  # of L-BFGS in each iteration, all stages together
    restarts: Count = 2  # searches in each iteration: from the last policy, then from random ones
    candidates: Count = 10  # random policies, of which the best begin
    widths: tuple[Positive, ...] = (4.0, 2.0, 1.0)  # of the reward, stage by stage, as factors
    growth: tuple[Positive, ...] = (1.0, 1.0, 1.0)  # shares of the episode, stage by stage


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    check(config)
    known = Search(task, config, rng, state)
    for _ in known.training.iterations():
        episodes = known.observe(rng)
        space = space_of("rbf", task, known.known, config.units)
        stages = stages_of(known, space, config, cost_variation(episodes))
        point, loss = found_point(known, space, stages, config, rng)
        policy = space.policy(point)
        scalars, arrays, saved = known.report(policy, episodes, rng, predicted=-loss)
        saved["policy"] = state_of(policy)
        yield known.training.iteration(policy, scalars, arrays, saved)


def check(config: Config) -> None:
    """Raises InputError where the stages do not fit each other, or do not end with the task's."""
    if len(config.widths) != len(config.growth) or config.growth[-1] != 1.0:
        raise InputError(
            f"widths are {config.widths} and growth {config.growth}; expected as many of each, and "
            "a growth that ends with 1, the whole episode"
        )


def stages_of(known: Search, space: Any, config: Config, unit: float) -> list[Value]:
    """Returns the losses to go down, one after the other: each maps a tensor (d,) to a number."""
    model, planned = tensors_of(known.task, known.model, space), known.planned
    starts = [gaussian.Belief(*moments) for moments in start_moments(known)]
    unit = unit if np.isfinite(unit) and unit > 0 else 1.0

    def stage(width: float, share: float) -> Value:
        goal = goal_of(known.task, width)
        T = known.task.horizon if goal is None else max(1, round(share * known.task.horizon))

        def value(point: Any) -> Any:
            found = [gaussian.loss(model, planned, goal, point, x, T, unit) for x in starts]
            return sum(found) / len(found)

        return value

    return [stage(*one) for one in zip(config.widths, config.growth, strict=True)]


def found_point(
    known: Search, space: Any, stages: list[Value], config: Config, rng: np.random.Generator
) -> tuple[Array, float]:
    """Returns the point (d,) of the lowest loss in the last stage, and that: the last policy's
    search goes through the last stage alone.
    """
    steps = -(-config.search_steps // len(stages))
    drawn = space.first(config.candidates, rng)
    order = np.argsort([float(stages[0](as_tensor(point))) for point in drawn])
    begins = [(drawn[i], stages) for i in order[: config.restarts]]
    if not known.acts_at_random:
        begins = [(space.point(known.policy), stages[-1:]), *begins][: config.restarts]
    ends = []
    for point, through in begins:
        for value in through:
            point = descend(value, point, steps if through is stages else config.search_steps)
        ends.append((point, float(stages[-1](as_tensor(point)))))
    return min(ends, key=lambda end: end[1] if np.isfinite(end[1]) else np.inf)


def as_tensor(point: Array) -> Any:
    """Returns a point as a tensor."""
    import torch

    return torch.as_tensor(point)
