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
from itertools import product

import numpy as np

from dynamics import ReplayBuffer
from lqr import InputError

from ..interfaces import Array, Iteration, State, Task
from ..learners.stepwise import Stepwise, refuse_unlimited
from ..learners.tabular import TabularQ
from ..policies.tabular import Grid, TabularPolicy
from ..settings import Count, EvaluationSettings, NotNegative, Positive, Share, Whole
from ..tasks.capabilities import Tabular, capability
from ..training import Training

ACTOR = "policy"
MOST = 10**6  # entries of a table


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
        self.task, self.c = task, c
        refuse_unlimited(task)
        told = capability(task, Tabular)
        low, high = task.action_low, task.action_high
        steps = [np.linspace(a, b, c.levels) for a, b in zip(low, high, strict=True)]
        self.moves = told.moves if told else np.array(list(product(*steps)))
        counts = told.cells[2] if told else np.full(task.do, c.bins)
        if np.prod(counts, dtype=float) * len(self.moves) > MOST:
            raise InputError(
                f"{task.name} has {task.do} observations and {task.du} actions: a table of {c.bins} bins and "
                f"{c.levels} levels has more than {MOST} entries; expected fewer, or another method"
            )
        extent = told.cells[:2] if told else (np.zeros(task.do), np.ones(task.do))
        self.grid, self.mean, self.ready = Grid(extent[0], extent[1], counts), 0.0, told is not None
        self.learner = TabularQ(
            self.grid.cells, len(self.moves), c.learning_rate, c.discount, c.curiosity
        )

    def measure(self, o: Array, reward: Array) -> None:
        """Learns the range of observations (M, do) and the mean of rewards (M,)."""
        self.grid = Grid(o.min(0), o.max(0), self.grid.counts)
        self.mean, self.ready = float(reward.mean()), True

    def policy(self, rng: np.random.Generator) -> TabularPolicy:
        """Returns the greedy policy."""
        Q = self.learner.Q
        best = self.moves[np.argmax(Q, 1)]
        return TabularPolicy(self.grid, best, self.task.action_low, self.task.action_high)

    def act(self, x: Array, o: Array, rng: np.random.Generator) -> Array:
        """Returns a move (1, du): greedy but for a share, and at random before the cells are
        known.
        """
        if not self.ready:
            return rng.uniform(self.task.action_low, self.task.action_high, (1, self.task.du))
        cell = int(self.grid.cell_of(o)[0])
        return self.moves[[self.learner.choose(cell, self.c.epsilon, rng)]]

    def learn(self, buffer: ReplayBuffer, rng: np.random.Generator) -> None:
        """Learns from the newest transition, and plans."""
        if not self.ready and buffer.total >= self.c.warm_up:
            self.measure(buffer.data.o, buffer.data.reward)  # type: ignore[arg-type]
        if not self.ready:
            return
        row = buffer.data
        assert row.o is not None
        assert row.onext is not None
        assert row.reward is not None
        assert row.end is not None
        s, after = self.grid.cell_of(row.o[-1]), self.grid.cell_of(row.onext[-1])
        a = int(np.argmin((((self.moves - row.u[-1]) / self.task.action_high.max()) ** 2).sum(1)))
        end, reward = bool(row.end[-1]), float(row.reward[-1]) - self.mean
        reward -= self.mean * self.c.discount / (1 - self.c.discount) if end else 0.0
        self.learner.update(int(s), a, reward, int(after), end, self.c.planning_steps, rng)

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        grid = {"low": self.grid.low, "high": self.grid.high, "mean": self.mean}
        return {"learner": self.learner.state(), "ready": self.ready, **grid}

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned."""
        self.learner.load_state(state["learner"])
        self.grid = Grid(state["low"], state["high"], self.grid.counts)
        self.mean, self.ready = state["mean"], state["ready"]


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
        policy = table.policy(rng)
        shown = training.evaluate(policy, rng)
        scalars = training.row(
            shown,
            sampled_cost=found.valid.costs.mean(),
            episode_steps=float(found.length.min()),
            diverged=found.failed.sum() + shown.failed.sum(),
        )
        arrays = {"policy_cost": shown.costs, "policy_x": shown.states}
        yield training.iteration(policy, scalars, arrays)
