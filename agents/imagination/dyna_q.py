"""Dyna-Q: a table of values learns from each step, and from n remembered ones.

    Q(s, a)      <-  Q(s, a) + alpha (r + gamma max_a' Q(s', a') - Q(s, a))
    model(s, a)  <-  r, s'
    n times:     Q(s, a)  <-  the same, of a remembered s, a and model(s, a)

Sutton (1990); Sutton & Barto (2018), section 8.2. `--curiosity 1e-3` is Dyna-Q+ (section 8.3). A task may
tell its cells and moves (`Tabular`); any other is cut into `bins` along each observation, between the
least and the largest of the random steps, and `levels` of each action.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dynamics import ReplayBuffer

from ..interfaces import Array, Iteration, State, Task
from ..learners.cells import Cells
from ..learners.stepwise import Stepwise
from ..learners.tabular import TabularQ
from ..policies.tabular import TabularPolicy
from ..settings import Count, EvaluationSettings, NotNegative, Positive, Share, Whole
from ..training import Training

ACTOR = "policy"


@dataclass(frozen=True)
class Config(EvaluationSettings):
    """Settings of Dyna-Q."""

    iterations: Count = 20  # rounds of whole episodes
    iteration_steps: Count = 200  # steps of a round, at least
    # steps of random moves at the start, where the task does not tell its cells
    warm_up: Count = 200
    planning_steps: Whole = 50  # n, remembered steps that are learned from after each real one
    learning_rate: Positive = 0.1  # alpha, of the values
    discount: Share = 0.95  # of a step
    epsilon: Share = 0.1  # share of random moves
    curiosity: NotNegative = 0.0  # kappa, in units of reward per root of a step
    bins: Count = 8  # cells along each observation
    levels: Count = 5  # moves along each action


class Table:
    """The cells, the moves, and the learner; made when the cells are known."""

    def __init__(self, task: Task, c: Config):
        self.c, self.cells = c, Cells(task, c.bins, c.levels)
        self.learner = TabularQ(
            self.cells.grid.cells,
            len(self.cells.moves),
            c.learning_rate,
            c.discount,
            c.curiosity,
        )

    def policy(self) -> TabularPolicy:
        """Returns the greedy policy."""
        return self.cells.policy(np.argmax(self.learner.Q, 1))

    def act(self, x: Array, o: Array, rng: np.random.Generator) -> Array:
        """Returns a move (1, du): greedy but for a share, and at random before the cells are
        known.
        """
        if not self.cells.ready:
            return self.cells.random_moves(1, rng)
        cell = int(self.cells.grid.cell_of(o)[0])
        return self.cells.moves[[self.learner.choose(cell, self.c.epsilon, rng)]]

    def learn(self, buffer: ReplayBuffer, rng: np.random.Generator) -> None:
        """Learns from the newest transition, and plans."""
        if not self.cells.ready and buffer.total >= self.c.warm_up:
            self.cells.measure(buffer.data.o, buffer.data.reward)  # type: ignore[arg-type]
        if not self.cells.ready:
            return
        row = buffer.data
        assert row.o is not None
        assert row.onext is not None
        assert row.reward is not None
        assert row.end is not None
        s, after = (int(self.cells.grid.cell_of(o[-1])) for o in (row.o, row.onext))
        a, end = int(self.cells.move_of(row.u[-1])), bool(row.end[-1])
        reward = float(self.cells.worth(row.reward[-1], end, self.c.discount))  # type: ignore[arg-type]
        self.learner.update(s, a, reward, after, end, self.c.planning_steps, rng)

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        return {"learner": self.learner.state(), "cells": self.cells.state()}

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned."""
        self.learner.load_state(state["learner"])
        self.cells.load_state(state["cells"])


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of whole episodes; `state` continues from an earlier
    Iteration's. Raises InputError for a table that would be too large.
    """
    table, buffer = Table(task, config), ReplayBuffer()
    steps = Stepwise(task, buffer, lambda: table.learn(buffer, rng))
    training = Training(
        task, config.iterations, state, config.evaluate_every, table=table, replay=buffer
    )
    for _ in training.iterations():
        found = training.count(
            steps.episodes(
                lambda x, o, t: table.act(x, o, rng), config.iteration_steps, training.episodes, rng
            )
        )
        policy = table.policy()
        shown = training.evaluate(policy, rng)
        scalars = training.row(
            shown,
            sampled_cost=found.valid.costs.mean(),
            episode_steps=float(found.length.min()),
            diverged=found.failed.sum() + shown.failed.sum(),
        )
        arrays = {"policy_cost": shown.costs, "policy_x": shown.states}
        yield training.iteration(policy, scalars, arrays)
