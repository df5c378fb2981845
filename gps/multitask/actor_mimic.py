"""Actor-mimic: one policy of all tasks acts from the beginning, and mimics its teachers' actions and
features; from there a new task is learned sooner.

    teacher i    learns in condition i alone
    in rounds    episodes of the student, and from all so far
    pi, f  <-  argmin  sum_i E KL(pi || teacher_i) + beta |f_i(h) - h_i|^2

Parisotto, Ba & Salakhutdinov, Actor-Mimic: Deep Multitask and Transfer Reinforcement Learning (2016).
h are the student's last hidden units, h_i the teacher's, f_i linear. For a new task go on from the
policy by `trpo.begun_from(policy)`. `--features 0` is `policy_distillation` with a student that acts from the
first round on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.policies import make_policy
from agents.rollout import rollout
from agents.saving import build_policy
from agents.settings import Counts, NotNegative
from agents.training import Training

from ..steps.exploration import action_scale
from .policy_distillation import TeacherSettings
from .steps.lessons import lessons_of, restored, round_ended
from .steps.mimic import Mimic
from .steps.teachers import Teachers

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class Config(TeacherSettings):
    """Settings of actor-mimic."""

    hidden: Counts = (32, 32)  # units of the student's hidden layers
    features: NotNegative = 0.1  # beta, of the features beside the divergence of the actions
    student_std: NotNegative = 0.3  # of the student's actions in the first round, half ranges


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round; `state` continues from an earlier Iteration's."""
    mimic = Mimic(task.conditions, config.teacher_hidden[-1], config.hidden[-1], config.features)
    training = Training(task, config.iterations, state, config.evaluate_every, mimic=mimic)
    teachers = Teachers(task, config, rng, state["teachers"] if state else None)
    lessons = restored(state["lessons"]) if state and state["lessons"] else None
    student: Any = build_policy(state["policy"], "state") if state else None
    std = config.student_std * action_scale(task)
    student = student or make_policy("mlp", task, config.hidden, std, rng)
    every = np.arange(task.conditions)
    for number in training.iterations():
        error = 0.0
        if number <= config.iterations - config.rounds:
            cost = teachers.advance(training)
        else:
            episodes = training.count(rollout(task, student, every, config.samples, rng))
            cost, more = episodes.valid.costs.mean(), lessons_of(episodes, teachers, True)
            lessons = lessons.and_more(more) if lessons else more
            error = mimic.fit(
                student, lessons, teachers, rng, config.distil_steps, config.distil_rate
            )
        yield round_ended(training, student, teachers, lessons, rng, cost, feature_error=error)
