"""Final figures: the policy's mean action, in unmodified Gymnasium or in conditions that training
never saw.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import rollout
from agents.tasks.capabilities import env_id_of
from lqr import SimulationError

FIRST_SEED = 1_000_000  # of the resets; training draws from other generators


class Grade(NamedTuple):
    """How a policy does in an environment."""

    episodes: int
    mean_return: float
    standard_error: float
    worst_return: float
    best_return: float
    spread: float  # standard deviation of the episodes' returns
    final_distance: float | None  # mean, in metres, where the environment tells


def grade(env_id: str, policy: Any, episodes: int = 100) -> Grade:
    """Runs the policy's mean action. Raises SimulationError where an action or a return is not
    finite.
    """
    return _grade(
        env_id,
        lambda env, observation: policy.act(observation),
        episodes,
        getattr(policy, "reset", None),
    )


def grade_random(env_id: str, episodes: int = 20) -> Grade:
    """Runs uniformly random actions, the line below which nothing was learned."""
    rng = np.random.default_rng(FIRST_SEED)
    return _grade(
        env_id,
        lambda env, observation: rng.uniform(env.action_space.low, env.action_space.high),
        episodes,
    )


def grade_still(env_id: str, episodes: int = 20) -> Grade:
    """Runs zero actions: where actions cost much, doing nothing beats random actions without having
    learned.
    """
    return _grade(env_id, lambda env, observation: np.zeros(env.action_space.shape), episodes)


def grade_unseen(task: Any, policy: Any) -> dict[str, float]:
    """Returns how the policy's mean action does in the conditions of `task.held_out()`: how many
    there are, and the mean of each of the task's metrics over them.
    """
    fresh = task.held_out()
    shown = rollout(
        fresh, policy, np.arange(fresh.conditions), 1, np.random.default_rng(FIRST_SEED), noise=0.0
    )
    means = {name: float(value.mean()) for name, value in fresh.metrics(shown.x, shown.u).items()}
    return {"conditions": float(fresh.conditions), **means}


def mean_return(task: Any, policy: Any, episodes: int) -> float:
    """Returns the mean return of the policy's mean action, as `judge` finds it."""
    return judge(task, policy, episodes)["graded_return"]


def judge(task: Any, policy: Any, episodes: int) -> dict[str, float]:
    """Returns graded_return, the mean return of the policy's mean action: in Gymnasium where the
    task is from there, else in `task`; and graded_distance, the mean distance (m) that is left at
    the end, where Gymnasium tells it.

    Local controllers, which see the task's state and know their condition, are tried in `task` at
    least once each. A task without a measure named return is judged by its negated cost.
    """
    local = isinstance(policy, ControllerPolicy)
    if not local and (env_id := env_id_of(task)):
        found = grade(env_id, policy, episodes)
        left = {} if found.final_distance is None else {"graded_distance": found.final_distance}
        return {"graded_return": found.mean_return, **left}
    actor, chart = (policy.controller, policy.chart) if local else (policy, None)
    every, rng = np.arange(task.conditions), np.random.default_rng(FIRST_SEED)
    trials = rollout(task, actor, every, -(-episodes // len(every)), rng, noise=0.0, chart=chart)
    own = task.metrics(trials.x, trials.u).get("return")
    return {"graded_return": float(np.mean(-trials.cost.sum(-1) if own is None else own))}


class Episode(NamedTuple):
    """One episode in an environment."""

    seed: int  # of the reset
    total: float  # return
    steps: int
    distance: float | None  # m, at its end, where the environment tells
    success: bool | None  # whether the environment said so in any step, where it tells


def episodes(
    env_id: str, act: Callable[[Any, Any], Any], count: int, begin: Callable[[], None] | None = None
) -> list[Episode]:
    """Runs act(env, observation) for so many episodes, from the resets that training never saw;
    `begin()` before each.

    Raises SimulationError where an action or a return is not finite.
    """
    import gymnasium

    env = gymnasium.make(env_id)
    try:
        found = []
        for i in range(count):
            if begin:
                begin()  # a policy with memory forgets
            found.append(_episode(env, act, FIRST_SEED + i))
    finally:
        env.close()
    total = np.array([episode.total for episode in found])
    if not np.isfinite(total).all():
        raise SimulationError(
            f"{env_id}: got a return of {total[~np.isfinite(total)][0]}; expected finite; did it diverge?"
        )
    return found


def _grade(
    env_id: str, act: Callable[[Any, Any], Any], count: int, begin: Callable[[], None] | None = None
) -> Grade:
    found = episodes(env_id, act, count, begin)
    total = np.array([episode.total for episode in found])
    distances = [episode.distance for episode in found]
    distance = None if None in distances else float(np.mean(distances))  # type: ignore[arg-type]
    spread = float(total.std(ddof=1)) if count > 1 else 0.0
    error = spread / np.sqrt(count)
    return Grade(
        count,
        float(total.mean()),
        float(error),
        float(total.min()),
        float(total.max()),
        spread,
        distance,
    )


def _episode(env: Any, act: Callable[[Any, Any], Any], seed: int) -> Episode:
    """Returns one episode of the mean action."""
    observation, info = env.reset(seed=seed)
    total, steps, over, success = 0.0, 0, False, None
    while not over:
        action = act(env, observation)
        if not np.isfinite(action).all():
            raise SimulationError(
                f"{env.spec.id}: got the action {action}; expected finite numbers; was training healthy?"
            )
        observation, reward, terminated, truncated, info = env.step(action)
        total, steps, over = total + float(reward), steps + 1, terminated or truncated
        told = info.get("is_success", info.get("success"))
        success = success if told is None else bool(told) or bool(success)
    distance = info.get("reward_dist")  # Gymnasium's reaching tasks give minus the distance
    return Episode(seed, total, steps, None if distance is None else -float(distance), success)
