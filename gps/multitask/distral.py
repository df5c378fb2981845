"""Distral: each task's policy is drawn towards one that is distilled from all of them.

    maximise  sum_i E_pi_i sum_t gamma^t [r_i - c_KL log (pi_i / pi_0) - c_Ent log pi_i]

    pi_i  proportional to  pi_0^alpha exp(beta Q_i)       soft Q-learning, task by task
    pi_0  <-  argmax  sum_i E_pi_i sum_t gamma^t log pi_0(a_t | s_t)        distillation

Teh, Bapst, Czarnecki, Quan, Kirkpatrick, Hadsell, Heess & Pascanu, Distral: Robust Multitask
Reinforcement Learning (2017), section 2, on tables. Each condition is a task. `goal_coordinates`
are what tells the tasks apart in the observation: the policies and values see them, pi_0 does not, so that
it holds what all tasks have in common. `--kl-cost 0` learns each task by itself, by soft Q-learning.

The entropy is paid for at each step, and so is a bonus for living: an agent that is to reach a goal
needs a step to cost more than c_Ent log(number of moves). Where a task does not tell its cells (see
`Cells`), both weights are in deviations of its rewards.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.rollout import rollout
from agents.settings import (
    Count,
    EvaluationSettings,
    Fraction,
    Indices,
    NotNegative,
    Positive,
    Share,
)
from agents.training import Training

from .steps.tables import Tables

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class Config(EvaluationSettings):
    """Settings of Distral on tables."""

    iterations: Count = 50  # rounds of episodes
    samples: Count = 1  # episodes of each condition in each iteration
    kl_cost: NotNegative = 1.0  # c_KL, reward per nat from the shared policy; 0: there is none
    entropy_cost: Positive = 0.5  # c_Ent, reward per nat of entropy
    discount: Share = 0.99  # of a step
    learning_rate: Fraction = 1.0  # of the values; 1: steps have no chance in them
    memory: Fraction = 0.9  # what the shared policy's visits count one iteration later
    goal_coordinates: Indices = ()  # of the observation, which the shared policy does not see
    bins: Count = 8  # cells along each observation, where the task does not tell its cells
    levels: Count = 5  # moves along each action, likewise


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's,
    or, on other tasks with the same cells, from what was learned of those.
    """
    tables = Tables(task, config)
    training = Training(task, config.iterations, state, config.evaluate_every, tables=tables)
    for _ in training.iterations():
        every = np.arange(task.conditions)
        episodes = training.count(rollout(task, tables, every, config.samples, rng))
        steps = tables.steps_of(episodes)
        tables.values.update(*steps.transitions, config.learning_rate)
        tables.values.distil(steps.s, steps.a, config.discount**steps.t, config.memory)
        policy = tables.greedy()
        shown = training.evaluate(policy, rng)
        scalars = training.row(
            shown,
            sampled_cost=episodes.valid.costs.mean(),
            episode_steps=episodes.valid.length.mean(),
            kl=tables.kl(steps.s),
            living_bonus=config.entropy_cost * np.log(len(tables.cells.moves)),
            diverged=episodes.failed.sum() + shown.failed.sum(),
        )
        yield training.iteration(policy, scalars, shown.evaluated)
