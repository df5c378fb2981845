"""A policy's episodes, one by one, and what they say: return, distance and success with 95 %
intervals.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import rollout
from lqr import InputError

from .grading import FIRST_SEED, Episode, episodes
from .load_run import Opened

SUCCESS = ("success", "reached", "balanced")  # what tasks call it among their metrics
LEVEL = 0.95


class Interval(NamedTuple):
    """A figure and the interval that holds it with probability LEVEL."""

    mean: float
    low: float
    high: float


def evaluate(run: Opened, count: int, env_id: str | None) -> list[Episode]:
    """Returns episodes of the policy's mean action: in Gymnasium where env_id names an environment,
    else in its task.

    Raises InputError where the policy cannot act there.
    """
    if env_id is None:
        return in_task(run, count)
    if run.sees_state:
        raise InputError(
            f"{run.path}: got {env_id} for a policy that sees the state of {run.task.name}; expected no --env, or a "
            "policy that sees observations"
        )
    check_fit(run, env_id)
    begin = getattr(run.policy, "reset", None)
    return episodes(env_id, lambda env, observation: run.policy.act(observation), count, begin)


def check_fit(run: Opened, env_id: str) -> None:
    """Raises InputError where an environment is unknown, or sees or does other things than the
    policy.
    """
    import gymnasium

    if ":" in env_id:
        raise InputError(
            f"--env is {env_id!r}; expected a plain id: what stands before a colon would be imported"
        )
    try:
        env = gymnasium.make(env_id)
    except gymnasium.error.Error as error:
        raise InputError(
            f"--env is {env_id!r}; expected an environment of Gymnasium ({error})"
        ) from None
    with env:
        spaces = env.observation_space.shape, env.action_space.shape
    task = run.task
    if spaces != ((task.do,), (task.du,)):
        raise InputError(
            f"{env_id} has observations {spaces[0]} and actions {spaces[1]}; expected {(task.do,)} and {(task.du,)}, "
            f"those of {task.name}"
        )


def in_task(run: Opened, count: int) -> list[Episode]:
    """Returns episodes in the run's own task, its conditions in turn; the return is minus the
    cost.
    """
    task, policy = run.task, run.policy
    samples = math.ceil(count / task.conditions)
    local = isinstance(policy, ControllerPolicy)
    actor, chart = (policy.controller, policy.chart) if local else (policy, None)
    rng = np.random.default_rng(FIRST_SEED)
    trials = rollout(task, actor, np.arange(task.conditions), samples, rng, noise=0.0, chart=chart)
    measured = task.metrics(trials.x, trials.u)
    told = next((measured[name] for name in SUCCESS if name in measured), None)
    turn = np.arange(len(trials.length)).reshape(task.conditions, samples).T.ravel()[:count]
    return [
        Episode(
            FIRST_SEED,
            float(measured["return"][i] if "return" in measured else -trials.cost[i].sum()),
            int(trials.length[i]),
            float(measured["distance"][i]) if "distance" in measured else None,
            None if told is None else bool(told[i] > 0.5) and not trials.failed[i],
        )
        for i in turn
    ]


def successes(found: Sequence[Episode], within: float) -> list[bool] | None:
    """Returns which episodes succeeded: as the task tells, or by ending within so many metres;
    None: nobody can say.
    """
    if all(episode.success is not None for episode in found):
        return [bool(episode.success) for episode in found]
    if all(episode.distance is not None for episode in found):
        return [episode.distance <= within for episode in found]  # type: ignore[operator]
    return None


def mean_interval(values: Sequence[float]) -> Interval:
    """Returns the mean with Student's interval; of one value the interval is all numbers."""
    from scipy.stats import t as student

    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(float(x.mean()), -math.inf, math.inf)
    half = student.ppf(0.5 + LEVEL / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def rate_interval(done: Sequence[bool]) -> Interval:
    """Returns the share of successes with Wilson's interval."""
    from scipy.stats import binomtest

    test = binomtest(sum(done), len(done))
    ends: Any = test.proportion_ci(LEVEL, method="wilson")
    return Interval(float(test.statistic), float(ends.low), float(ends.high))
