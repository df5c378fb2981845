"""Policy distillation: teachers of one task each teach one policy of all tasks.

    teacher i    learns in condition i alone, by guided policy search or without a model
    in rounds    episodes of the teachers, then of the student, and from all so far
    pi  <-  argmin  sum_i E KL(pi || teacher_i)

Rusu, Colmenarejo, Gulcehre, Desjardins, Kirkpatrick, Pascanu, Mnih, Kavukcuoglu & Hadsell, Policy
Distillation (2015), for Gaussian actions; from the second round on the student acts and its
teachers say what they would have done (Ross, Gordon & Bagnell, DAgger, 2011). The student must see
which task it is in. `--acts teacher` stays in the teachers' states; `--no-soft` regresses on the
mean actions alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.policies import POLICIES, make_policy
from agents.rollout import rollout
from agents.saving import build_policy
from agents.settings import Count, Counts, EvaluationSettings, Positive, word_of
from agents.training import Training

from ..steps.distillation import fit_student
from ..steps.exploration import action_scale
from .steps.lessons import check_rounds, lessons_of, restored, round_ended
from .steps.teachers import TEACHERS, Teachers

ACTOR = "policy"  # whose the column cost is


@dataclass(frozen=True)
class TeacherSettings(EvaluationSettings):
    """Settings of teachers, and of the rounds in which they teach."""

    iterations: Count = 30  # rounds of episodes, of the teachers' learning and of distillation
    rounds: Count = 5  # the last ones, of distillation
    samples: Count = 10  # episodes of each condition in a round of distillation
    # how a teacher learns: badmm (guided policy search), trpo (without a model)
    teacher: Annotated[str, word_of(TEACHERS)] = "badmm"
    teacher_samples: Count = 5  # episodes of each teacher in an iteration
    teacher_hidden: Counts = (64, 64)  # units of a teacher's hidden layers
    hidden: Counts = (16, 16)  # units of the student's hidden layers
    distil_steps: Count = 3000  # minibatch steps of each round
    distil_rate: Positive = 1e-2  # Adam's learning rate at the start of each round

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rounds(self.iterations, self.rounds)


@dataclass(frozen=True)
class Config(TeacherSettings):
    """Settings of policy distillation."""

    policy: Annotated[str, word_of(POLICIES)] = "mlp"  # the student: mlp, mlp_std, recurrent
    acts: Literal["student", "teacher"] = "student"  # from the second round of distillation on
    soft: bool = True  # teachers weigh by their precision; else their mean actions count alone


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round; `state` continues from an earlier Iteration's."""
    training = Training(task, config.iterations, state, config.evaluate_every)
    teachers = Teachers(task, config, rng, state["teachers"] if state else None)
    lessons = restored(state["lessons"]) if state and state["lessons"] else None
    student = build_policy(state["policy"], "state") if state else None
    student = student or make_policy(config.policy, task, config.hidden, action_scale(task), rng)
    every = np.arange(task.conditions)
    for number in training.iterations():
        loss = 0.0
        if number <= config.iterations - config.rounds:
            cost = teachers.advance(training)
        else:
            alone = lessons is None or config.acts == "teacher"
            episodes = training.count(
                teachers.rollout(config.samples, rng)
                if alone
                else rollout(task, student, every, config.samples, rng)
            )
            cost, more = episodes.valid.costs.mean(), lessons_of(episodes, teachers, config.soft)
            lessons = lessons.and_more(more) if lessons else more
            loss = fit_student(
                student, lessons.targets, lessons.o, rng, lessons.weight,
                config.distil_steps, config.distil_rate,
            )  # fmt: skip
        yield round_ended(training, student, teachers, lessons, rng, cost, policy_loss=loss)
