"""A policy evaluated: episodes of its mean action, in unmodified Gymnasium, in its task, or in
conditions that training never saw.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import metrics_of, rollout
from agents.tasks.action_limits import bounded, resting
from agents.tasks.capabilities import env_id_of

from .episodes import FIRST_SEED, acting, digests_of, episodes, taken


class Evaluation(NamedTuple):
    """How a policy does in an environment."""

    episodes: int
    mean_return: float
    standard_error: float  # of distinct episodes: one that was repeated says nothing new
    worst_return: float
    best_return: float
    spread: float  # standard deviation of the episodes' returns
    final_distance: float | None  # mean, in metres, where the environment tells
    returns: tuple[float, ...]  # of each episode, in order


def evaluate_policy(env_id: str, policy: Any, episodes: int = 100) -> Evaluation:
    """Runs the policy's mean action. Raises SimulationError where an action or a return is not
    finite.
    """
    return _evaluate_in(env_id, acting(policy), episodes, getattr(policy, "reset", None))


def evaluate_random(env_id: str, episodes: int = 20) -> Evaluation:
    """Runs uniformly random actions, the line below which nothing was learned."""
    rng = np.random.default_rng(FIRST_SEED)
    return _evaluate_in(
        env_id,
        lambda env, observation: taken(
            random_actions(env.action_space.low, env.action_space.high, rng), env.action_space
        ),
        episodes,
    )


def evaluate_idle(env_id: str, episodes: int = 20) -> Evaluation:
    """Runs zero actions: where actions cost much, doing nothing beats random actions without having
    learned.
    """
    return _evaluate_in(
        env_id,
        lambda env, observation: taken(np.zeros(env.action_space.shape), env.action_space),
        episodes,
    )


def random_actions(low: Any, high: Any, rng: np.random.Generator) -> np.ndarray:
    """Returns uniformly random numbers between limits; where one is none, normal ones about
    the action to begin with.
    """
    limited = bounded(low, high)
    if limited.all():
        return rng.uniform(low, high)
    inside = rng.uniform(np.where(limited, low, 0.0), np.where(limited, high, 1.0))
    normal = resting(low, high) + rng.standard_normal(np.shape(low))
    return np.where(limited, inside, np.clip(normal, low, high))


class Acting:
    """Random actions, or none, as a policy of a task."""

    input = "o"

    def __init__(self, task: Any, rng: np.random.Generator | None):
        self.low, self.high, self.rng = task.action_low, task.action_high, rng

    def sample(self, o: np.ndarray, t: int, rng: Any) -> np.ndarray:
        """Returns actions (B, du)."""
        none = np.zeros((len(o), len(self.low)))
        if self.rng is None:
            return np.clip(none, self.low, self.high)
        return random_actions(none + self.low, none + self.high, self.rng)


def evaluate_in_task(task: Any, policy: Any, least: int = 20) -> dict[str, Evaluation]:
    """Returns how the policy's mean action does in the task, from each condition once, beside
    random actions and none from the same starts; random ones again and again, at least so many
    times.
    """
    local = isinstance(policy, ControllerPolicy)
    actor, chart = (policy.controller, policy.chart) if local else (policy, None)
    every, again = np.arange(task.conditions), -(-least // task.conditions)
    random = Acting(task, np.random.default_rng(FIRST_SEED))

    def run(actor: Any, rounds: int, chart: Any = None) -> Evaluation:
        totals, digests = [], []
        for _ in range(rounds):
            rng = np.random.default_rng(FIRST_SEED)  # the same starts each time
            done = rollout(task, actor, every, 1, rng, noise=0.0, chart=chart)
            totals.append(metrics_of(task, done).get("return", -done.cost.sum(-1)))
            digests += digests_of(done)
        return _summary(np.concatenate(totals).astype(float), None, digests)

    return {
        "evaluation": run(actor, 1, chart),
        "random": run(random, again),
        "idle": run(Acting(task, None), 1),
    }


def evaluate_held_out(task: Any, policy: Any) -> dict[str, float]:
    """Returns how the policy's mean action does in the conditions of `task.held_out()`: how many
    there are, and the mean of each of the task's metrics over them.
    """
    fresh = task.held_out()
    shown = rollout(
        fresh, policy, np.arange(fresh.conditions), 1, np.random.default_rng(FIRST_SEED), noise=0.0
    )
    means = {name: float(value.mean()) for name, value in metrics_of(fresh, shown).items()}
    return {"conditions": float(fresh.conditions), **means}


def mean_return(task: Any, policy: Any, episodes: int) -> float:
    """Returns the mean return of the policy's mean action, as `evaluation_row` finds it."""
    return evaluation_row(task, policy, episodes)["evaluated_return"]


def evaluation_row(task: Any, policy: Any, episodes: int) -> dict[str, float]:
    """Returns evaluated_return, the mean return of the policy's mean action: in Gymnasium where the
    task is from there, else in `task`; evaluated_error, its standard error; and
    evaluated_distance, the mean distance (m) that is left at the end, where Gymnasium tells it.

    Local controllers, which see the task's state and know their condition, are tried in `task` at
    least once each. A task without a measure named return is judged by its negated cost.
    """
    local = isinstance(policy, ControllerPolicy)
    if not local and (env_id := env_id_of(task)):
        found = evaluate_policy(env_id, policy, episodes)
        left = {} if found.final_distance is None else {"evaluated_distance": found.final_distance}
        return {
            "evaluated_return": found.mean_return,
            "evaluated_error": found.standard_error,
            **left,
        }
    actor, chart = (policy.controller, policy.chart) if local else (policy, None)
    every, rng = np.arange(task.conditions), np.random.default_rng(FIRST_SEED)
    trajectories = rollout(
        task, actor, every, -(-episodes // len(every)), rng, noise=0.0, chart=chart
    )
    own = metrics_of(task, trajectories).get("return")
    total = np.asarray(-trajectories.cost.sum(-1) if own is None else own, float)
    shown = _summary(total, None, digests_of(trajectories))
    return {"evaluated_return": shown.mean_return, "evaluated_error": shown.standard_error}


def evaluation_count(task: Any, policy: Any, episodes: int) -> int:
    """Returns how many episodes `evaluation_row` makes: as many, or whole rounds of the task's
    conditions.
    """
    if not isinstance(policy, ControllerPolicy) and env_id_of(task):
        return episodes
    return -(-episodes // task.conditions) * int(task.conditions)


def _evaluate_in(
    env_id: str, act: Callable[[Any, Any], Any], count: int, begin: Callable[[], None] | None = None
) -> Evaluation:
    found = episodes(env_id, act, count, begin)
    total = np.array([episode.total for episode in found])
    distances = [episode.distance for episode in found]
    distance = None if None in distances else float(np.mean(distances))  # type: ignore[arg-type]
    return _summary(total, distance, [episode.digest for episode in found])


def _summary(total: np.ndarray, distance: float | None, digests: Sequence[str]) -> Evaluation:
    """Returns the figures of returns (N,) of episodes with these digests."""
    count, spread = len(total), _deviation(total)
    own = np.array(list(dict(zip(digests, total, strict=True)).values()))
    return Evaluation(
        count,
        float(total.mean()),
        float(_deviation(own) / np.sqrt(len(own))),
        float(total.min()),
        float(total.max()),
        spread,
        distance,
        tuple(map(float, total)),
    )


def _deviation(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
