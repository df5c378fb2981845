"""A policy that improves by natural-gradient steps within a KL bound, from its own episodes: TRPO.

    maximise over theta   E[pi_theta(u|o) / pi_old(u|o)  A]  -  pull,    KL(pi_old || pi_theta) <= delta

`pull` draws it towards other policies, see `Pull`; without any it is plain TRPO.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..interfaces import Task
from ..policies import make_policy
from ..policies.layers import units
from ..policies.mlp import NeuralPolicy
from ..rollout import Trajectories
from .advantages import advantages, rewards_of
from .gaussian_layers import (
    GaussianLayers,
    Gaussians,
    divergences,
    slope_of_first,
    slope_of_second,
)
from .natural_gradient import Step, natural_step

Array = np.ndarray


class Batch(NamedTuple):
    """Steps of a policy's own episodes, (M, .) each."""

    x: Array  # (M, do), inputs, in normal units
    u: Array  # (M, du), in units of half the range
    advantage: Array  # (M,)


class Pull(NamedTuple):
    """What draws a policy towards another: `weight` times the mean divergence of `first` from
    `second` at inputs x, one of which is the policy itself and here None.
    """

    x: Array  # (M, do)
    weight: float
    first: Gaussians | None
    second: Gaussians | None


def initial_policy(
    task: Task, hidden: tuple[int, ...], std: Array, rng: np.random.Generator
) -> NeuralPolicy:
    """Returns a network whose mean is everywhere the action to begin with."""
    policy: NeuralPolicy = make_policy("mlp", task, hidden, std, rng)
    policy.weights[-1][:] = 0.0
    return policy


def is_new(policy: NeuralPolicy) -> bool:
    """Returns whether a policy has not seen an observation yet."""
    return bool((policy.scale == 1.0).all() and (policy.centre == 0.0).all())


def with_units(policy: NeuralPolicy, episodes: Trajectories) -> NeuralPolicy:
    """Returns a new policy with the units of the observations of its first episodes; any other as
    it is.
    """
    if not is_new(policy):
        return policy
    p, seen = policy, units(episodes.pairs[0])
    return NeuralPolicy(p.weights, p.biases, *seen, p.cov, p.low, p.high)


def batch_of(
    layers: GaussianLayers, episodes: Trajectories, discount: float, smoothing: float
) -> Batch:
    """Returns the steps of the episodes that did not diverge."""
    found = episodes.valid
    x, mask = layers.inputs(found.o[:, :-1]), found.mask
    advantage = advantages(rewards_of(found, discount), x, mask, discount, smoothing)
    return Batch(x[mask], found.u[mask] / layers.unit, advantage[mask])


def improved(
    layers: GaussianLayers,
    theta: Array,
    batch: Batch,
    bound: float,
    pulls: Sequence[Pull] = (),
    damping: float = 0.1,
) -> Step:
    """Returns the parameters (P,) after one step of at most `bound` nats."""
    old = layers.gaussians(theta, batch.x)
    before = layers.log_density(old, batch.u)[0]

    def objective(new: Array) -> float:
        log = layers.log_density(layers.gaussians(new, batch.x), batch.u)[0]
        gain = float((np.exp(log - before) * batch.advantage).mean())
        return gain - sum(pull.weight * _pulled(layers, new, pull) for pull in pulls)

    def divergence(new: Array) -> float:
        return float(divergences(old, layers.gaussians(new, batch.x)).mean())

    slope = gradient(layers, theta, batch, pulls)
    with np.errstate(over="ignore", invalid="ignore"):  # a step too long is halved
        return natural_step(
            theta,
            slope,
            layers.fisher(theta, batch.x),
            objective,
            divergence,
            bound,
            damping=damping,
        )


def gradient(
    layers: GaussianLayers, theta: Array, batch: Batch, pulls: Sequence[Pull] = ()
) -> Array:
    """Returns the gradient (P,) of the objective at theta, where the ratio of densities is 1."""
    rows = layers.log_density(layers.gaussians(theta, batch.x), batch.u)[1]
    weight = batch.advantage[:, None] / len(batch.x)
    slope = Gaussians(rows.mean * weight, (rows.log_std * weight).sum(0))
    found = layers.pulled(theta, batch.x, slope)
    for pull in pulls:
        now = layers.gaussians(theta, pull.x)
        if pull.second is not None:
            away = slope_of_first(now, pull.second)
        else:
            assert pull.first is not None
            away = slope_of_second(pull.first, now)
        found = found - pull.weight * layers.pulled(theta, pull.x, away)
    return found


def _pulled(layers: GaussianLayers, theta: Array, pull: Pull) -> float:
    now = layers.gaussians(theta, pull.x)
    first, second = (now if part is None else part for part in (pull.first, pull.second))
    return float(divergences(first, second).mean())
