"""What teachers said in the states that were visited, kept over the rounds (DAgger)."""

from typing import NamedTuple

import numpy as np

from agents.interfaces import Iteration, Policy, State
from agents.rollout import Trajectories
from agents.saving import state_of
from agents.training import Training
from dynamics.storage.tree import check_tree
from lqr import InputError

from ...steps.distillation import Targets
from .teachers import Teachers

Array = np.ndarray


class Lessons(NamedTuple):
    """Episodes of all conditions, and what each condition's teacher would have done there; a new
    set of them is more episodes.
    """

    o: Array  # (C, N, T, do)
    mean: Array  # (C, N, T, du)
    precision: Array  # (C, N, T, du, du)
    weight: Array  # (C, N, T), 0 past an episode's end

    @property
    def targets(self) -> Targets:
        """What a student is to do."""
        return Targets(self.mean, self.precision)

    def and_more(self, other: "Lessons") -> "Lessons":
        """Returns these and others."""
        return Lessons(*(np.concatenate(part, 1) for part in zip(self, other, strict=True)))


def lessons_of(episodes: Trajectories, teachers: Teachers, soft: bool) -> Lessons:
    """Returns what the teachers say of episodes that come condition by condition. Without `soft`
    they tell their mean actions alone, each as sure as the others.
    """
    C = teachers.task.conditions
    o, weight = (
        a.reshape(C, -1, *a.shape[1:]) for a in (episodes.o[:, :-1], episodes.mask.astype(float))
    )
    mean = np.stack([teachers.policies[i].mean(o[i]) for i in range(C)])
    cov = np.stack([np.array(teachers.policies[i].covariance(o[i])) for i in range(C)])
    if not soft:
        cov = np.broadcast_to(cov.mean((0, 1, 2)), cov.shape)
    return Lessons(o, mean, np.linalg.inv(cov), weight)


def restored(state: State) -> Lessons:
    """Returns the lessons of a state. Raises CheckpointError for anything else."""
    form = {"o": ("C", "N", "T", "do"), "mean": ("C", "N", "T", "du")}
    form |= {"precision": ("C", "N", "T", "du", "du"), "weight": ("C", "N", "T")}  # type: ignore[dict-item]
    check_tree(state, form, "lessons")
    return Lessons(**state)


def round_ended(
    training: Training,
    student: Policy,
    teachers: Teachers,
    lessons: Lessons | None,
    rng: np.random.Generator,
    cost: float,
    **more: float,
) -> Iteration:
    """Returns what `train` yields after a round: the student's noise-free episodes, the mean `cost` of
    those that somebody learned from, the teachers' costs and more, and what a resumed run needs.
    """
    shown = training.evaluate(student, rng)
    scalars = training.row(shown, sampled_cost=cost, **more, teacher_cost=teachers.cost.mean())
    arrays = shown.evaluated | {"teacher_cost": teachers.cost}
    saved: State = {"teachers": teachers.state(), "policy": state_of(student)}
    saved["lessons"] = lessons._asdict() if lessons else None
    return training.iteration(student, scalars, arrays, saved)


def check_rounds(iterations: int, rounds: int) -> None:
    """Raises InputError where the teachers have no iteration."""
    if rounds >= iterations:
        raise InputError(
            f"rounds is {rounds}; expected less than iterations = {iterations}: the teachers learn in the others"
        )
