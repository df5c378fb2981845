"""Distillation: one policy imitates many teachers in many states, with soft targets.

For each state a teacher gives the mean and the covariance of its actions. The student minimises

    sum  weight KL(student || teacher),    in the mean 1/2 gap' P gap with P the teacher's precision,

over all states and teachers. It follows a teacher most closely where that teacher's covariance is
small (Levine, Finn et al. 2016, appendix A). With one teacher and equal precisions this is
behavioural cloning of the means.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lqr import InputError, LinearGaussianController

Array = np.ndarray
# a policy, or a callable: states (..., dx) -> mean actions (..., du), or a pair of these and covariances
Teacher = Any


class Targets(NamedTuple):
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

    teachers: controllers with leading axis C, which teach along episodes (C, N, T, dx); or a
    sequence of C teachers. A policy among them sees the observations. A callable sees the states
    and returns mean actions, or a pair of these and covariances (du, du) or (..., du, du); `cov`
    (du, du) is used where it returns none. Teacher c teaches at states[c] (..., dx), where the
    student sees observations[c] (..., do), or the states if there are none. `weight` (C, ...)
    weighs the states; 0 leaves one out. A student with memory needs whole episodes, (N, T, dx)
    each. Trains by `steps` minibatches at Adam's `rate`. Raises InputError for shapes that do not
    fit together.
    """
    if isinstance(teachers, LinearGaussianController):
        x = np.asarray(states)
        targets = controller_targets(teachers, x)
        o = x if observations is None else np.asarray(observations)
    else:
        targets, o = _queried(list(teachers), list(states), observations, cov)
    return fit_student(student, targets, o, rng, weight, steps, rate)


def fit_student(
    student: Any,
    targets: Targets,
    o: Array,
    rng: np.random.Generator,
    weight: Array | None = None,
    steps: int = 500,
    rate: float = 3e-3,
) -> float:
    """Trains a student towards targets at observations (..., do), weighed by `weight` (...);
    returns the loss per sample.

    A student whose covariance does not depend on the observation takes the inverse of its teachers'
    mean precision where the weight is not 0, each counted once. Any other student learns its own.
    """
    shape = targets.mean.shape[:-1]
    weight = np.ones(shape) if weight is None else np.asarray(weight, dtype=float)
    if o.shape[:-1] != shape or weight.shape != shape:
        raise InputError(
            f"got observations of shape {o.shape} and weights {weight.shape}; expected the states' leading axes {shape}"
        )
    if hasattr(student, "cov"):
        student.cov = np.linalg.inv(_mean_precision(targets, weight))
    precision = np.broadcast_to(targets.precision, (*targets.mean.shape, targets.mean.shape[-1]))
    steps_of = shape[2:]  # (C, N, T, ...): episodes stay whole, for students with memory
    o, mean, precision, weight = (
        a.reshape(-1, *steps_of, *a.shape[len(shape) :])
        for a in (o, targets.mean, precision, weight)
    )
    return student.fit(o, mean, precision, rng, steps, rate=rate, weight=weight)


def _mean_precision(targets: Targets, weight: Array) -> Array:
    du = targets.mean.shape[-1]
    if (weight != 0).all() or not (weight != 0).any():
        return targets.precision.reshape(-1, du, du).mean(0)
    return np.broadcast_to(targets.precision, (*targets.mean.shape, du))[weight != 0].mean(0)


def controller_targets(teacher: LinearGaussianController, x: Array) -> Targets:
    """Returns the targets of controllers with leading axis C along episodes (C, N, T, dx)."""
    C, T, _, dx = teacher.K.shape
    if x.ndim != 4 or (x.shape[0], *x.shape[2:]) != (C, T, dx):
        raise InputError(
            f"the states have shape {x.shape}; expected ({C}, N, {T}, {dx}), as the controllers' K"
        )
    mean = np.einsum("ctij,cntj->cnti", teacher.K, x) + teacher.k[:, None]
    return Targets(mean, _inverse(teacher.cov)[:, None])


def _queried(
    teachers: list[Teacher], states: list[Array], observations: Any, cov: Array | None
) -> tuple[Targets, Array]:
    """Returns the targets of each teacher in its own states, and the student's observations
    there.
    """
    seen = states if observations is None else list(observations)
    if not teachers or not len(teachers) == len(states) == len(seen):
        raise InputError(
            f"got {len(teachers)} teachers, {len(states)} sets of states and {len(seen)} of observations; "
            "expected one set for each teacher"
        )
    pairs = zip(teachers, states, seen, strict=True)
    parts = [_targets(teacher, x, o, cov) for teacher, x, o in pairs]
    try:
        targets = Targets(*(np.stack(part) for part in zip(*parts, strict=True)))
        return targets, np.stack([np.asarray(o, dtype=float) for o in seen])
    except ValueError:
        raise InputError(
            f"the states have shapes {[np.shape(x) for x in states]}; expected one shape for all teachers"
        ) from None


def _targets(teacher: Teacher, x: Array, o: Array, cov: Array | None) -> Targets:
    x, o = np.asarray(x, dtype=float), np.asarray(o, dtype=float)
    if hasattr(teacher, "mean"):  # a policy
        answer = teacher.mean(o), teacher.covariance(o)
    else:
        answer = teacher(x)
    mean, spread = answer if isinstance(answer, tuple) else (answer, cov)
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
    return Targets(mean, np.broadcast_to(_inverse(spread), (*mean.shape, du)))


def _inverse(cov: Array) -> Array:
    try:
        return np.linalg.inv(cov)
    except np.linalg.LinAlgError:
        raise InputError(
            "a teacher gave a singular covariance; expected some spread in each direction"
        ) from None
