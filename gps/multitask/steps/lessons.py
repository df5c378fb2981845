"""What teachers said in the states that were visited, kept over the rounds (DAgger)."""

from typing import NamedTuple

import numpy as np

from agents.interfaces import State
from agents.rollout import Trajectories
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


def check_rounds(iterations: int, rounds: int) -> None:
    """Raises InputError where the teachers have no iteration."""
    if rounds >= iterations:
        raise InputError(
            f"rounds is {rounds}; expected less than iterations = {iterations}: the teachers learn in the others"
        )
