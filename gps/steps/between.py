"""Conditions in between: what a policy is taught about goals that no controller was trained for.

Two conditions whose trajectories are neighbours have, where the optimum depends smoothly on the
start and the goal, one between them whose optimal controller and trajectory are, to first order,
the same mixture of theirs. A mixture of linear controllers is one:

    (1 - a) (K_i x + k_i) + a (K_j x + k_j) = ((1 - a) K_i + a K_j) x + (1 - a) k_i + a k_j

so mixtures are conditions like any others, and cost no episode (mixup, Zhang et al. 2018, of
trajectories).
"""

from typing import NamedTuple

import numpy as np

from agents.interfaces import Task
from agents.tasks.capabilities import ObservationOf, capability
from lqr import LinearGaussianController

from .policy_data import PolicyData

Array = np.ndarray
NEAR = 6  # neighbours that a condition is mixed with


class Pairs(NamedTuple):
    """Which conditions are mixed, and how; leading axis B."""

    first: Array  # (B,), numbers of conditions
    second: Array  # (B,)
    share: Array  # (B,), of the second, in [0, 1)


def pairs_of_neighbours(x: Array, copies: int, near: int, rng: np.random.Generator) -> Pairs:
    """Returns `copies` pairs of each condition with one of the `near` whose trajectories are nearest
    to its own; x (C, T, dx) are these, which are compared in units of their deviations.
    """
    C = len(x)
    flat = (x / np.maximum(x.std((0, 1)), 1e-12)).reshape(C, -1)
    square = (flat**2).sum(1)
    distance = square[:, None] + square - 2 * flat @ flat.T
    np.fill_diagonal(distance, np.inf)
    order = np.argsort(distance, 1, kind="stable")[:, : min(near, C - 1)]
    first = np.repeat(np.arange(C), copies if C > 1 else 0)
    second = order[first, rng.integers(order.shape[1], size=len(first))] if C > 1 else first
    return Pairs(first, second, rng.uniform(size=len(first)))


def mixed(a: Array, pairs: Pairs) -> Array:
    """Returns an array (C, ...) and after it the mixtures, (C + B, ...)."""
    share = pairs.share.reshape(-1, *[1] * (a.ndim - 1))
    return np.concatenate([a, (1 - share) * a[pairs.first] + share * a[pairs.second]])


class Taught(NamedTuple):
    """What a policy is taught, leading axis C."""

    teacher: LinearGaussianController
    data: PolicyData
    nu: Array  # (C, T), weights
    shift: Array  # (C, T, du), that is taken off the teacher's mean actions


def with_mixtures(
    taught: Taught, copies: int, task: Task, rng: np.random.Generator, near: int = NEAR
) -> Taught:
    """Returns the same, and after it `copies` mixtures of each condition with one of its `near`
    nearest ones, (C + B, ...).

    States of the same numbers are mixed, and so are their observations, to first order, where the
    task does not say what is seen in a state. A step takes place where it does in both.
    """
    teacher, (x, o, used), nu, shift = taught
    share = used.sum(1)[..., None]
    pairs = pairs_of_neighbours(
        (used[..., None] * x).sum(1) / np.maximum(share, 1e-12), copies, near, rng
    )
    told = capability(task, ObservationOf)
    x = mixed(x, pairs)
    data = PolicyData(
        x,
        told.observation_of(x) if told else mixed(o, pairs),
        np.concatenate([used, used[pairs.first] * used[pairs.second]]),
    )
    controllers = LinearGaussianController(*(mixed(a, pairs) for a in teacher))
    return Taught(controllers, data, mixed(nu, pairs), mixed(shift, pairs))
