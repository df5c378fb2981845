"""Learning to act by predicting the future: what each move changes in what is measured is regressed
on, for goals that differ from episode to episode; a goal is told when the policy acts.

    F   <-  argmin  E sum_j |F_j(o, g)[a] - (m_t+tau_j - m_t) / unit_j|^2,   within its episode
    a    =  argmax_a  g' sum_j w_j F_j(o, g)[a],   at random with a probability that falls

Dosovitskiy & Koltun, Learning to Act by Predicting the Future (2017). Goals g are weights of the
task's measurements (`Measured`), from -1 to 1; units are deviations in the first episodes, so that
near steps count as much as far ones. A task that measures nothing is measured by what it earns, minus
its costs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lqr import InputError

from ..interfaces import Array, Iteration, State, Task
from ..learners.stepwise import refuse_unlimited
from ..rollout.running import run_rows
from ..settings import Count, Counts, EvaluationSettings, Numbers, Positive, Share
from ..training import Training
from .steps.futures import Memory, Predictor, Sizes

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class Config(EvaluationSettings):
    """Settings of direct future prediction."""

    iterations: Count = 30  # rounds of episodes
    samples: Count = 32  # episodes of a round, over the conditions in turn
    goal: Numbers = ()  # of the policy that is handed out; none: the first measurement alone
    # goals of the episodes that it learns from: each its own, from -1 to 1, or the policy's
    training_goals: Literal["varied", "fixed"] = "varied"
    ahead: Counts = (1, 2, 4, 8, 16, 32)  # steps, tau
    # w of these, in a choice, each in its own unit: the deviation of what changes within so many steps
    weights: Numbers = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    hidden: Counts = (128, 128)  # units of the hidden layers
    updates: Count = 130  # of the network, in a round
    batch: Count = 128  # steps in an update
    rate: Positive = 1e-3  # Adam's learning rate
    epsilon: Share = 0.05  # share of random moves in the last round; all in the first
    memory: Count = 50_000  # newest steps that are learned from
    levels: Count = 5  # equal parts of each action, where the task does not tell its moves

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.weights) != len(self.ahead):
            raise InputError(
                f"weights is {self.weights}; expected one for each of ahead = {self.ahead}"
            )


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's.
    Raises InputError for actions without limits, and for episodes shorter than all of `ahead`.
    """
    refuse_unlimited(task)
    if min(config.ahead) > task.horizon:
        raise InputError(
            f"ahead is {config.ahead}; expected one of them within the {task.horizon} steps of {task.name}"
        )
    c, sizes = config, Sizes(config.hidden, config.ahead, config.weights, config.levels)
    start = np.random.default_rng(0) if state else rng  # what is drawn is restored
    learner, memory = Predictor(task, sizes, c.goal, start), Memory(c.memory)
    training = Training(task, c.iterations, state, c.evaluate_every, learner=learner, memory=memory)
    where = np.arange(c.samples) % task.conditions
    for number in training.iterations():
        goals = goals_of(learner, c, rng)
        share = 1 - (1 - c.epsilon) * (number - 1) / max(c.iterations - 1, 1)
        explore = Explore(learner, goals, share, task.horizon, rng)
        found = training.count(run_rows(task, explore, where, rng), explored=False)
        memory.add(**learner.rows(task, found, explore.moves, goals))
        losses = [learner.update(memory.draw(c.batch, rng), c.rate) for _ in range(c.updates)]
        policy = learner.policy.copy()
        shown = training.evaluate(policy, rng)
        scalars = training.row(
            shown,
            sampled_cost=found.valid.costs.mean(),
            prediction_loss=float(np.mean(losses)),
            random_share=share,
            diverged=found.failed.sum() + shown.failed.sum(),
        )
        yield training.iteration(policy, scalars, shown.evaluated)


def goals_of(learner: Predictor, c: Config, rng: np.random.Generator) -> Array:
    """Returns the goals of a round's episodes, (N, K)."""
    if c.training_goals == "fixed" or learner.goals == 1:
        return np.tile(learner.policy.goal, (c.samples, 1))
    return rng.uniform(-1, 1, (c.samples, learner.goals))


class Explore:
    """Acts for goals (N, K), at random with the probability `share`; keeps its moves, (N, T)."""

    def __init__(
        self, learner: Predictor, goals: Array, share: float, T: int, rng: np.random.Generator
    ):
        """All chance is drawn here, so that episodes may run side by side or in turn."""
        self.policy, self.goals = learner.policy, goals
        self.random = rng.random((len(goals), T)) < share
        self.moves = rng.integers(len(learner.moves), size=(len(goals), T))

    def __call__(self, x: Array, o: Array, t: int, rows: slice) -> Array:
        """Returns actions (B, du) for observations (B, do) of these episodes."""
        best = self.policy.choose(o, self.goals[rows])
        chosen = np.where(self.random[rows, t], self.moves[rows, t], best)
        self.moves[rows, t] = chosen
        return self.policy.moves[chosen]
