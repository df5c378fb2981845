"""The controllers of the first episodes, by a word.

`zero` takes no action but noise. The others need to know which coordinates of the state the actions
drive, from the task's `joints`, a pair of indices of x, (du,) each: those of the positions and of
their rates. `hold` and `pd` are u = stiffness (q* - q) - damping q', in shares of half the action
range; `hold` takes each condition's start as q*, `pd` the task's `joint_target`, (du,) or (C, du).
`lqr` is the optimum (1960, Kalman) for a guess, q'' = authority u, of the quadratic cost 1/2
(stiffness |q - q*|^2 + damping |q'|^2 + |u|^2) per step, u in those shares, with the task's target
or else the start as q*. All explore with the same noise. A heavy arm needs one of these, or it
falls before it learns.
"""

import numpy as np

from agents.interfaces import Task
from agents.tasks.action_limits import resting
from agents.tasks.capabilities import Joints, JointTarget, capability, manifold_of
from lqr import (
    InputError,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    backward,
)

from .exploration import action_scale
from .settings import EpisodeSettings

Array = np.ndarray


def initial_controllers(task: Task, config: EpisodeSettings, word: str) -> LinearGaussianController:
    """Returns the controllers (leading axis C) that a word names.

    Raises InputError where the task lacks what they need to know.
    """
    zero = zero_controllers(task, config.initial_std)
    if word == "zero":
        return zero
    q, rate = _joints(task, word)
    target = _target(task, word, q)
    if word == "lqr":
        return _lqr(task, config, zero, q, rate, target)
    K, scale = zero.K.copy(), action_scale(task)
    own = np.arange(task.du)
    K[:, :, own, q] -= config.initial_stiffness * scale
    K[:, :, own, rate] -= config.initial_damping * scale
    return zero._replace(K=K, k=zero.k + (config.initial_stiffness * scale * target)[:, None])


def zero_controllers(task: Task, std: float) -> LinearGaussianController:
    """Returns controllers with the mean action of `resting`, 0 where the limits allow it; `std` is a share of half the
    action range.
    """
    C, T, dx, du = task.conditions, task.horizon, state_dim(task), task.du
    cov = np.diag((std * action_scale(task)) ** 2)
    return LinearGaussianController(
        np.zeros((C, T, du, dx)),
        np.tile(resting(task.action_low, task.action_high), (C, T, 1)),
        np.tile(cov, (C, T, 1, 1)),
    )


def state_dim(task: Task) -> int:
    """Returns how many numbers a controller sees: dx, or those of a tangent vector where states lie
    on a manifold.
    """
    manifold = manifold_of(task)
    return task.dx if manifold is None else int(manifold.dim)


def _lqr(
    task: Task,
    config: EpisodeSettings,
    zero: LinearGaussianController,
    q: Array,
    rate: Array,
    target: Array,
) -> LinearGaussianController:
    """Returns the optimal gains of the double integrator, which ignores the rest of the state."""
    (C, T, du, _), h, scale = zero.K.shape, task.dt, action_scale(task)
    I, O = np.eye(du), np.zeros((du, du))
    push = config.initial_authority / scale * I  # acceleration per unit of action
    F = np.block([[I, h * I, 0.5 * h**2 * push], [O, I, h * push]])
    weight = np.r_[
        np.full(du, config.initial_stiffness), np.full(du, config.initial_damping), scale**-2.0
    ]
    c = np.zeros((C, T + 1, 3 * du))
    c[..., :du] = -config.initial_stiffness * target[:, None]
    dynamics = LinearGaussianDynamics(
        np.tile(F, (C, T, 1, 1)), np.zeros((C, T, 2 * du)), np.zeros((C, T, 2 * du, 2 * du))
    )
    best, _ = backward(
        dynamics, QuadraticCost(np.tile(np.diag(weight), (C, T + 1, 1, 1)), c, np.zeros((C, T + 1)))
    )
    K = zero.K.copy()
    K[..., q], K[..., rate] = best.K[..., :du], best.K[..., du:]
    return zero._replace(K=K, k=best.k)


def _joints(task: Task, word: str) -> tuple[Array, Array]:
    """Returns the indices in x of the positions that the actions drive, and of their rates, (du,)
    each.
    """
    joints = capability(task, Joints)
    if joints is None or manifold_of(task):
        what = "no `joints`" if joints is None else "states on a manifold"
        raise InputError(
            f"got initial {word} for {task.name}, which has {what}; expected initial zero, or a task with"
        )
    q, rate = (np.asarray(part, dtype=int) for part in joints.joints)
    if q.shape != (task.du,) or rate.shape != (task.du,):
        raise InputError(
            f"{task.name}.joints has shapes {q.shape} and {rate.shape}; expected ({task.du},) each"
        )
    return q, rate


def _target(task: Task, word: str, q: Array) -> Array:
    """Returns the target of the joints, (C, du)."""
    told = capability(task, JointTarget)
    if word == "pd" and told is None:
        raise InputError(
            f"got initial pd for {task.name}, which has no `joint_target`; expected hold or lqr instead"
        )
    if word == "hold" or told is None:
        # a start like others of its condition
        start = task.reset(np.arange(task.conditions), np.random.default_rng(0))
        return start[:, q]
    return np.broadcast_to(np.asarray(told.joint_target, dtype=float), (task.conditions, task.du))
