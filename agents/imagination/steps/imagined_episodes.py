"""Imagined episodes of a stochastic policy, and what each member of the ensemble thinks of it.

    x_t+1  ~  member k_t of the ensemble, drawn anew at each step, or one member for the whole episode

A policy that improves in one member may do so by that member's error. One that improves in most of
them improves by what they agree on.
"""

from typing import Any

import numpy as np

from ...imagine import imagine
from ...interfaces import Array
from ...rollout import Trajectories
from .environment_model import EnvironmentModel

FAR = 20.0  # deviations from the mean of the data


def imagined_episodes(
    env_model: EnvironmentModel,
    policy: Any,
    x0: Array,
    horizon: int,
    rng: np.random.Generator,
    member: Array | None = None,
    deterministic: bool = False,
) -> Trajectories:
    """Returns imagined episodes from states x0 (N, dx) and what their steps cost, each row's of its
    `member` (N,), or of one drawn anew at each step.

    What is paid for an end is a part of the last step's cost; what comes after the last step is
    taken to cost what steps cost on the average.
    """
    draws = None if deterministic else rng
    found = imagine(
        lambda x, u: within(env_model, env_model.step(x, u, rng, member)),
        lambda x, o, t: policy.sample(o, t, draws),
        env_model.extended(x0),
        horizon,
        env_model.task.action_low,
        env_model.task.action_high,
        observation_of=env_model.observation_of,
        ended=lambda x: env_model.ends(x[..., : env_model.task.dx]),
    )
    return with_costs(env_model, found)


def within(env_model: EnvironmentModel, x: Array) -> Array:
    """Returns imagined states (..., dx) cut to `FAR` deviations from the mean of those that the model
    was fitted to: beyond, it knows nothing, and may blow up.
    """
    if env_model.true is not None:
        return x
    n, dx = env_model.model.normaliser, env_model.task.dx
    assert n is not None
    rate = n.inverse_std[:dx]
    far = np.where(rate > 0, FAR / np.where(rate > 0, rate, 1.0), np.inf)
    x[..., :dx] = np.clip(x[..., :dx], n.mean[:dx] - far, n.mean[:dx] + far)
    return x


def with_costs(env_model: EnvironmentModel, found: Trajectories) -> Trajectories:
    """Returns imagined episodes with what their steps cost; those that diverged cost infinitely
    much."""
    sound, rows = ~found.failed, np.arange(len(found.length))
    x, u, xnext = found.x[sound, :-1], found.u[sound], found.x[sound, 1:]
    last = np.arange(1, u.shape[1] + 1) == found.length[sound][:, None]
    end = last & np.asarray(env_model.ends(xnext[..., : env_model.task.dx]), bool)
    cost = np.where(sound[:, None], 0.0, np.full(found.cost.shape, np.inf))
    mask = found.valid.mask
    paid = np.where(mask, -env_model.rewards(x, u, xnext, end), 0.0)
    cost[sound, :-1] = paid
    if mask.any():
        cost[rows[sound], found.length[sound]] = paid[mask].mean()
    return found._replace(cost=cost)


def member_costs(
    env_model: EnvironmentModel, policy: Any, x0: Array, horizon: int, seed: int
) -> Array:
    """Returns what noise-free episodes from states x0 (N, dx) cost in each member, (members,): the
    same draws of the models for the same seed.
    """
    rng = np.random.default_rng(seed)
    members = env_model.c.members if env_model.true is None else 1
    which = np.repeat(np.arange(members), len(x0))
    found = imagined_episodes(
        env_model, policy, np.tile(x0, (members, 1)), horizon, rng, which, deterministic=True
    )
    costs: Array = found.cost[:, :-1].sum(1).reshape(members, -1).mean(1)
    return costs
