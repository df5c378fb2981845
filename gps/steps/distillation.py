"""Distillation: what many teachers would do in many states, taught to one policy, with soft
targets.

Each teacher says of a state the mean and the covariance of its actions. The student minimises

    sum  weight KL(student || teacher),    in the mean 1/2 gap' P gap with P the teacher's precision,

over all states and teachers: it follows most closely where a teacher is sure (Levine, Finn et al.
2016, appendix A; with one teacher and equal precisions, behavioural cloning of its means).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lqr import InputError, LinearGaussianController

Array = np.ndarray
Teacher = Any  # a policy, or a callable: states (..., dx) -> mean actions (..., du), or a pair of these and covariances


class Lesson(NamedTuple):
    """Soft targets; `...` are the leading axes of the states."""

    mean: Array  # (..., du), of the teachers' actions
    precision: Array  # (..., du, du), their inverse covariances, or what broadcasts to that


def distil(
    teachers: LinearGaussianController | Sequence[Teacher],
    states: Array | Sequence[Array],
    student: Any,
    rng: np.random.Generator,
    observations: Array | Sequence[Array] | None = None,
    weight: Array | None = None,
    cov: Array | None = None,
    steps: int = 500,
    rate: float = 3e-3,
) -> float:
    """Trains `student`, any of `agents.policies.POLICIES`, towards its teachers; returns the loss
    per sample.

    teachers: controllers with leading axis C, which teach along trials (C, N, T, dx); or a sequence
    of C policies, which see the observations, and callables, which see the states and return mean
    actions, or a pair of these and covariances (du, du) or (..., du, du). Teacher c teaches at
    states[c] (..., dx), where the student, too, sees observations[c] (..., do), or the states where
    there are none. `cov` (du, du) is that of callables that tell none. `weight` (C, ...) counts the
    states, 0 for not at all. A student with memory needs whole episodes, (N, T, dx) each. Trains by
    `steps` minibatches at Adam's `rate`. Raises InputError for shapes that do not fit together.
    """
    if isinstance(teachers, LinearGaussianController):
        x = np.asarray(states)
        lesson = controllers_lesson(teachers, x)
        o = x if observations is None else np.asarray(observations)
    else:
        lesson, o = _said(list(teachers), list(states), observations, cov)
    return teach(student, lesson, o, rng, weight, steps, rate)


def teach(
    student: Any,
    lesson: Lesson,
    o: Array,
    rng: np.random.Generator,
    weight: Array | None = None,
    steps: int = 500,
    rate: float = 3e-3,
) -> float:
    """Trains a student on a lesson at observations (..., do), weighed by `weight` (...); returns
    the loss per sample.

    A student whose covariance does not depend on the observation takes the inverse of its teachers'
    mean precision where the weight is not 0, each counted once; another learns its own.
    """
    lead = lesson.mean.shape[:-1]
    weight = np.ones(lead) if weight is None else np.asarray(weight, dtype=float)
    if o.shape[:-1] != lead or weight.shape != lead:
        raise InputError(
            f"got observations of shape {o.shape} and weights {weight.shape}; expected the states' leading axes {lead}"
        )
    if hasattr(student, "cov"):
        student.cov = np.linalg.inv(_mean_precision(lesson, weight))
    precision = np.broadcast_to(lesson.precision, (*lesson.mean.shape, lesson.mean.shape[-1]))
    steps_of = lead[2:]  # (C, N, T, ...): episodes stay whole, for students with memory
    data = [
        a.reshape(-1, *steps_of, *a.shape[len(lead) :]) for a in (o, lesson.mean, precision, weight)
    ]
    return student.fit(*data[:3], rng, steps, rate=rate, weight=data[3])


def _mean_precision(lesson: Lesson, weight: Array) -> Array:
    du = lesson.mean.shape[-1]
    if (weight != 0).all() or not (weight != 0).any():
        return lesson.precision.reshape(-1, du, du).mean(0)
    return np.broadcast_to(lesson.precision, (*lesson.mean.shape, du))[weight != 0].mean(0)


def controllers_lesson(teacher: LinearGaussianController, x: Array) -> Lesson:
    """Returns the targets of controllers with leading axis C along trials (C, N, T, dx)."""
    C, T, _, dx = teacher.K.shape
    if x.ndim != 4 or (x.shape[0], *x.shape[2:]) != (C, T, dx):
        raise InputError(
            f"the states have shape {x.shape}; expected ({C}, N, {T}, {dx}), as the controllers' K"
        )
    mean = np.einsum("ctij,cntj->cnti", teacher.K, x) + teacher.k[:, None]
    return Lesson(mean, _inverse(teacher.cov)[:, None])


def _said(
    teachers: list[Teacher], states: list[Array], observations: Any, cov: Array | None
) -> tuple[Lesson, Array]:
    """Returns what each teacher says of its own states, one after another, and what the student
    sees there.
    """
    seen = states if observations is None else list(observations)
    if not teachers or not len(teachers) == len(states) == len(seen):
        raise InputError(
            f"got {len(teachers)} teachers, {len(states)} sets of states and {len(seen)} of observations; "
            "expected one set for each teacher"
        )
    parts = [_lesson(*each, cov) for each in zip(teachers, states, seen, strict=True)]
    try:
        lesson = Lesson(*(np.stack(part) for part in zip(*parts, strict=True)))
        return lesson, np.stack([np.asarray(o, dtype=float) for o in seen])
    except ValueError:
        raise InputError(
            f"the states have shapes {[np.shape(x) for x in states]}; expected one shape for all teachers"
        ) from None


def _lesson(teacher: Teacher, x: Array, o: Array, cov: Array | None) -> Lesson:
    x, o = np.asarray(x, dtype=float), np.asarray(o, dtype=float)
    if hasattr(teacher, "mean"):  # a policy
        said = teacher.mean(o), teacher.covariance(o)
    else:
        said = teacher(x)
    mean, spread = said if isinstance(said, tuple) else (said, cov)
    mean = np.asarray(mean, dtype=float)
    if mean.ndim < 1 or mean.shape[:-1] != x.shape[:-1]:
        raise InputError(
            f"a teacher gave actions of shape {mean.shape} in states {x.shape}; expected a row for each"
        )
    du = mean.shape[-1]
    spread = np.eye(du) if spread is None else np.asarray(spread, dtype=float)
    if spread.shape[-2:] != (du, du):
        raise InputError(
            f"a teacher gave covariances of shape {spread.shape}; expected ({du}, {du}) at the end"
        )
    if not (np.isfinite(mean).all() and np.isfinite(spread).all()):
        raise InputError(
            "a teacher gave a number that is not finite; expected finite means and covariances"
        )
    return Lesson(mean, np.broadcast_to(_inverse(spread), (*mean.shape, du)))


def _inverse(cov: Array) -> Array:
    try:
        return np.linalg.inv(cov)
    except np.linalg.LinAlgError:
        raise InputError(
            "a teacher gave a singular covariance; expected some spread in each direction"
        ) from None
