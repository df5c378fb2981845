"""Model-based value expansion: targets of critics that look several imagined steps ahead.

From a real transition (o, a, r, x_0) the policy goes on for H steps in the model:

    y_H-1  =  r_H-1 + gamma V(x_H),         V(x) = min_j Q'_j(x, a) - alpha log pi(a | x)
    y_k    =  r_k + gamma (y_k+1 - alpha log pi(a_k+1 | x_k+1)),    or the value of an end in its place
    y_-1   =  r + gamma (y_0 - alpha log pi(a_0 | x_0))

Without entropy that is the n-step return of Feinberg et al. (2018). With H = 0 it is the usual target.
"""

from typing import Any, NamedTuple

import numpy as np

from dynamics.replay_buffer import Transitions

from ...interfaces import Array
from ...learners.off_policy import in_units
from ...learners.sac import SAC, Batch
from .environment_model import EnvironmentModel


class Path(NamedTuple):
    """What the policy did in the model, in the learner's units; H steps of B rows."""

    o: Array  # (H, B, do)
    a: Array  # (H, B, du)
    logp: Array  # (H, B)
    reward: Array  # (H, B)
    end: Array  # (H, B), 1 where the row ended with this step
    alive: Array  # (H, B) bool, whether the row was still going on before it
    last: Array  # (B, do), what is seen after all steps


def path(
    learner: SAC, env_model: EnvironmentModel, x: Array, alive: Array, H: int, rng: Any,
    member: Array | None = None,
) -> Path:  # fmt: skip
    """Returns H imagined steps from states x (B, dx), where `alive` (B,)."""
    n, steps = learner.units, []
    x = env_model.extended(x)
    for _ in range(H):
        seen = env_model.observation_of(x)
        o = ((seen - n.o_mean) / n.o_std).astype(learner.dtype)
        a, logp, _ = learner.act(o, learner.noise(len(o), rng))
        u = learner.policy.middle + learner.policy.half * a
        after = env_model.step(x, u, rng, member)
        sound = np.isfinite(after).all(-1) & alive
        after = np.where(sound[:, None], after, x)
        end = np.asarray(env_model.ends(after[:, : env_model.task.dx]), bool)
        reward = (env_model.rewards(x, u, after, end) - n.r_mean) / n.r_std
        steps.append((o, a, logp, reward.astype(o.dtype), (end & sound).astype(o.dtype), sound))
        alive, x = sound & ~end, after
    last = ((env_model.observation_of(x) - n.o_mean) / n.o_std).astype(learner.dtype)
    o, a, logp, reward, end, alive = (np.stack(part) for part in zip(*steps, strict=True))
    return Path(o, a, logp, reward, end, alive, last)


def targets(learner: SAC, made: Path, rng: np.random.Generator) -> Array:
    """Returns y_0 .. y_H-1, (H, B)."""
    y = np.empty_like(made.reward)
    gamma, alpha = learner.dtype(learner.discount), learner.dtype(learner.alpha)
    y[-1] = learner.bootstrap(made.reward[-1], made.end[-1], made.last, rng)
    for k in range(len(y) - 2, -1, -1):
        ahead = y[k + 1] - alpha * made.logp[k + 1]
        y[k] = made.reward[k] + gamma * np.where(made.end[k] > 0, learner.end_value, ahead)
    return y


def expanded(
    learner: SAC, env_model: EnvironmentModel, rows: Transitions, H: int, every: bool,
    rng: np.random.Generator,
) -> tuple[Batch, Array, Array, Array]:  # fmt: skip
    """Returns the real transitions, and observations, actions and targets for the critics: of the
    real step alone or, with `every`, of the imagined ones too (the TD-k trick).
    """
    real = in_units(learner, rows)
    if H == 0:
        return real, real.o, real.a, learner.targets(real, rng)
    made = path(learner, env_model, rows.xnext, real.end == 0, H, rng)
    y = targets(learner, made, rng)
    ahead = y[0] - learner.dtype(learner.alpha) * made.logp[0]
    first = real.reward + learner.dtype(learner.discount) * np.where(
        real.end > 0, learner.dtype(learner.end_value), ahead
    )
    lost = ~made.alive[0] & (real.end == 0)  # the model broke at once: the usual target stands
    if lost.any():
        first = np.where(lost, learner.targets(real, rng), first)
    if not every:
        return real, real.o, real.a, first
    use = made.alive
    return (
        real,
        np.concatenate([real.o, made.o[use]]),
        np.concatenate([real.a, made.a[use]]),
        np.concatenate([first, y[use]]),
    )


def weighted(
    learner: SAC, env_model: EnvironmentModel, rows: Transitions, H: int, rng: np.random.Generator
) -> tuple[Batch, Array]:
    """Returns the real transitions and STEVE's targets (B,): those of all horizons 0 .. H, weighed
    by one over their variance over the members of the model and the two critics.

    Buckman, Hafner, Tucker, Brevdo & Lee, Sample-Efficient Reinforcement Learning with Stochastic
    Ensemble Value Expansion (2018), with rewards that are known.
    """
    real, E = in_units(learner, rows), env_model.c.members
    B, gamma = len(real.reward), learner.dtype(learner.discount)
    x, member = np.tile(rows.xnext, (E, 1)), np.repeat(np.arange(E), B)
    made = path(learner, env_model, x, np.tile(real.end == 0, E), H, rng, member)
    alpha, total = learner.dtype(learner.alpha), np.tile(real.reward, E)[None]
    weight, on = gamma, np.tile(1 - real.end, E)
    total = total + weight * (1 - on) * learner.dtype(learner.end_value)
    found = []
    for h in range(H + 1):
        o = made.o[h] if h < H else made.last
        a, logp, _ = learner.act(o, learner.noise(len(o), rng))
        value = learner.value(learner.target, o, a) - alpha * logp
        found.append((total + weight * on * value).reshape(2 * E, B))
        if h < H:
            total = total + weight * on * (made.reward[h] - alpha * made.logp[h])
            weight = weight * gamma
            total = total + weight * on * made.end[h] * learner.dtype(learner.end_value)
            on = on * (1 - made.end[h])
    candidates = np.stack(found)  # (H + 1, 2 E, B)
    trust = 1 / (candidates.var(1) + 1e-8)
    return real, ((trust * candidates.mean(1)).sum(0) / trust.sum(0)).astype(learner.dtype)
