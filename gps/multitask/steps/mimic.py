"""Soft targets and feature regression: a student does what its teachers do, for their reasons.

    minimise  E [ KL(pi || teacher_i) in the mean  +  beta |f_i(h(o)) - h_i(o)|^2 / units ]

h are the last hidden units of the student, h_i those of teacher i, and f_i a linear map for each
task that only training needs. Parisotto, Ba & Salakhutdinov, Actor-Mimic (2016), sections 3.1 and 3.2.
"""

from typing import Any

import numpy as np

from agents.interfaces import State
from agents.policies.layers import in_units, scaled_outputs, units
from agents.policies.mlp import NeuralPolicy
from agents.policies.numpy_training import adam, views
from agents.tasks.action_limits import action_unit
from dynamics.storage.tree import check_tree
from lqr import InputError, NumericalError

from .lessons import Lessons
from .teachers import Teachers

Array = np.ndarray


def hidden_units(policy: NeuralPolicy, o: Array) -> Array:
    """Returns the last hidden units (..., H) of a policy at observations (..., do). Raises
    InputError for a policy that is no network of tanh layers.
    """
    if not isinstance(policy, NeuralPolicy):
        raise InputError(f"got a teacher of the class {type(policy).__name__}; expected an mlp")
    h = (o - policy.centre) / policy.scale
    for W, b in zip(policy.weights[:-1], policy.biases[:-1], strict=True):
        h = np.tanh(h @ W.T + b)
    return h


class Mimic:
    """The linear maps f_i, which go on from round to round; `state` and `load_state` as a model's."""

    def __init__(self, tasks: int, units_of_teacher: int, units_of_student: int, weight: float):
        """`weight` is beta, of the features beside the actions."""
        self.maps = np.zeros((tasks, units_of_teacher, units_of_student))
        self.offsets = np.zeros((tasks, units_of_teacher))
        self.weight = weight

    def fit(
        self,
        student: NeuralPolicy,
        lessons: Lessons,
        teachers: Teachers,
        rng: np.random.Generator,
        steps: int,
        rate: float,
        batch: int = 256,
    ) -> float:
        """Trains the student and the maps; returns the mean square error of the features. Raises
        NumericalError, and keeps the old student, where the loss is not finite.
        """
        C = len(self.maps)
        used = lessons.weight > 0
        which = np.broadcast_to(np.arange(C)[:, None, None], used.shape)[used]
        features = np.stack([hidden_units(teachers.policies[i], lessons.o[i]) for i in range(C)])
        o, target, precision, h = (
            a[used] for a in (lessons.o, lessons.mean, lessons.precision, features)
        )
        student.cov = np.linalg.inv(precision.mean(0))
        unit, new = action_unit(student.low, student.high, target), units(o)
        first = in_units(
            student.weights[0], student.biases[0], (student.centre, student.scale), new
        )
        W, b = scaled_outputs(
            [first[0], *student.weights[1:]], [first[1], *student.biases[1:]], 1 / unit
        )
        x, target, precision = (
            (o - new[0]) / new[1],
            target / unit,
            precision * unit * unit[:, None],
        )
        precision = precision / np.trace(precision, axis1=1, axis2=2).mean() * len(unit)
        arrays = [*W, *b, self.maps, self.offsets]
        theta = np.concatenate([a.ravel() for a in arrays])
        slope = np.empty_like(theta)
        shapes = [a.shape for a in arrays]
        now, into = views(theta, shapes), views(slope, shapes)

        def gradient() -> Array:
            rows = rng.integers(len(x), size=min(batch, len(x)))
            data = (x[rows], target[rows], precision[rows], which[rows], h[rows])
            backpropagate(now, *data, self.weight, into)
            return slope

        with np.errstate(all="ignore"):  # a loss that is no number is refused below
            adam(theta, gradient, steps, rate)
            loss, error = backpropagate(now, x, target, precision, which, h, self.weight, into)
        if not np.isfinite(loss):
            raise NumericalError(f"the student's loss became {loss}; lower distil_rate")
        L = len(W)
        student.weights, student.biases = scaled_outputs(now[:L], now[L : 2 * L], unit)
        student.centre, student.scale = new
        self.maps, self.offsets = now[-2].copy(), now[-1].copy()
        return error

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        return {"maps": self.maps, "offsets": self.offsets}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(state, {"maps": self.maps.shape, "offsets": self.offsets.shape}, "mimic")
        self.maps, self.offsets = state["maps"].copy(), state["offsets"].copy()


def backpropagate(
    arrays: list[Array],
    x: Array,
    target: Array,
    precision: Array,
    which: Array,
    features: Array,
    weight: float,
    into: list[Array],
) -> tuple[float, float]:
    """Returns the loss, and the mean square error of the features; writes the gradient `into`.

    arrays: the layers' weights and biases, the maps (C, F, H) and their offsets (C, F). x (M, do),
    target (M, du), precision (M, du, du), which (M,) int, the task of each row, features (M, F).
    """
    L = (len(arrays) - 2) // 2
    W, b, maps, offsets = arrays[:L], arrays[L : 2 * L], arrays[-2], arrays[-1]
    h = [x]
    for Wi, bi in zip(W[:-1], b[:-1], strict=True):
        h.append(np.tanh(h[-1] @ Wi.T + bi))
    gap = h[-1] @ W[-1].T + b[-1] - target
    slope = (precision @ gap[..., None])[..., 0] / len(x)
    loss = 0.5 * float((gap * slope).sum())
    back, square = slope @ W[-1], 0.0
    into[L - 1][:], into[2 * L - 1][:] = slope.T @ h[-1], slope.sum(0)
    for i in range(len(maps)):
        own = which == i
        off = h[-1][own] @ maps[i].T + offsets[i] - features[own]
        square += float((off**2).sum())
        push = 2 * weight / features.size * off
        into[-2][i], into[-1][i] = push.T @ h[-1][own], push.sum(0)
        back[own] += push @ maps[i]
    for i in reversed(range(L - 1)):
        back = back * (1 - h[i + 1] ** 2)
        into[i][:], into[L + i][:] = back.T @ h[i], back.sum(0)
        back = back @ W[i]
    return loss + weight * square / features.size, square / features.size
