"""MC-PILCO: a policy found by gradients through particles that are drawn from a Gaussian process.

    x_t+1 = x_t + mu(x_t, u_t) + sigma(x_t, u_t) z_t,    z_t ~ N(0, 1) drawn before,    u_t = pi_theta(x_t)
    theta  <-  theta - Adam of  d/dtheta  1/M sum over the particles of  sum_t c(x_t)

Amadio, Dalla Libera, Antonello, Nikovski, Carli & Romeres (2022), algorithm 1, with the model and
the policy of PILCO. Any distribution may come out, where PILCO's is Gaussian at each step. Basis
functions of the policy are left out at random while it learns (dropout), which takes the search out
of poor optima. As in `pilco`, a narrow goal is sought with a wider one first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..interfaces import Array, Iteration, State, Task
from ..rollout.visible import cost_variation
from ..saving import state_of
from ..settings import Count, Positive, Share
from .steps import particles
from .steps.differentiable import goal_of, tensors_of
from .steps.gradients import Value, wander
from .steps.loop import Search, SearchSettings
from .steps.spaces import space_of

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class Config(SearchSettings):
    """Settings of MC-PILCO."""

    units: Count = 20  # basis functions of the policy
    search_steps: Count = 300  # of Adam in each iteration
    rate: Positive = 0.05  # Adam's learning rate at first
    particles: Count = 100  # imagined trajectories that a gradient is the mean of
    dropout: Share = 0.1  # share of the basis functions that is left out
    # of the reward, as factors, one after the other in equal parts of a search
    widths: tuple[Positive, ...] = (4.0, 2.0, 1.0)


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    known = Search(task, config, rng, state)
    for _ in known.training.iterations():
        episodes = known.observe(rng)
        space = space_of("rbf", task, known.known, config.units)
        draw = drawing(known, space, config, cost_variation(episodes), rng)
        first = space.first(1, rng)[0] if known.acts_at_random else space.point(known.policy)
        point = first
        for width in config.widths:
            stage, steps = partial(draw, width), -(-config.search_steps // len(config.widths))
            point = wander(stage, point, steps, config.rate)
        policy = space.policy(point)
        predicted = -float(draw(1.0, kept=True)(as_tensor(point)))
        scalars, arrays, saved = known.report(policy, episodes, rng, predicted=predicted)
        saved["policy"] = state_of(policy)
        yield known.training.iteration(policy, scalars, arrays, saved)


def drawing(
    known: Search, space: Any, config: Config, unit: float, rng: np.random.Generator
) -> Any:
    """Returns what draws starts, noise and dropout, and hands out the loss of them; `kept` leaves
    nothing out.
    """
    model, task, planned = tensors_of(known.task, known.model, space), known.task, known.planned
    unit = unit if np.isfinite(unit) and unit > 0 else 1.0
    M = config.particles

    def draw(width: float, kept: bool = False) -> Value:
        goal = goal_of(task, width)
        rows = rng.integers(len(known.starts), size=M)
        noise = rng.standard_normal((task.horizon, M, task.dx))
        share = 0.0 if kept else config.dropout
        weight = (rng.random((M, config.units)) >= share) / (1.0 - share)
        x, z, w = (as_tensor(a) for a in (known.starts[rows], noise, weight))
        return lambda point: particles.loss(model, planned, goal, point, x, z, w, unit)

    return draw


def as_tensor(a: Array) -> Any:
    """Returns an array as a tensor."""
    import torch

    return torch.as_tensor(a)
