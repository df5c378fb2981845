"""A policy evaluated: episodes of its mean action, in unmodified Gymnasium, in its task, or in
conditions that training never saw.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.action_form import ActionForm
from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import Trajectories, metrics_of, rollout
from agents.tasks.capabilities import env_id_of
from lqr import InputError, SimulationError

from .load_run import Opened

SUCCESS = ("success", "reached", "balanced")  # what tasks call it among their metrics
FIRST_SEED = 1_000_000  # of the resets; training draws from other generators


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
    return _evaluate_in(env_id, _acting(policy), episodes, getattr(policy, "reset", None))


def evaluate_random(env_id: str, episodes: int = 20) -> Evaluation:
    """Runs uniformly random actions, the line below which nothing was learned."""
    rng = np.random.default_rng(FIRST_SEED)
    return _evaluate_in(
        env_id,
        lambda env, observation: _taken(
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
        lambda env, observation: _taken(np.zeros(env.action_space.shape), env.action_space),
        episodes,
    )


def _taken(action: np.ndarray, space: Any) -> np.ndarray:
    """Returns an action in the shape, the type and the limits of a space."""
    return ActionForm.of(space).fitted(np.ravel(action))


def random_actions(low: Any, high: Any, rng: np.random.Generator) -> np.ndarray:
    """Returns uniformly random numbers between limits; where one is infinite, normal ones."""
    limited = np.isfinite(low) & np.isfinite(high)
    if limited.all():
        return rng.uniform(low, high)
    inside = rng.uniform(np.where(limited, low, 0.0), np.where(limited, high, 1.0))
    return np.where(limited, inside, np.clip(rng.standard_normal(np.shape(low)), low, high))


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
            digests += _digests(done)
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
    shown = _summary(total, None, _digests(trajectories))
    return {"evaluated_return": shown.mean_return, "evaluated_error": shown.standard_error}


def evaluation_count(task: Any, policy: Any, episodes: int) -> int:
    """Returns how many episodes `evaluation_row` makes: as many, or whole rounds of the task's
    conditions.
    """
    if not isinstance(policy, ControllerPolicy) and env_id_of(task):
        return episodes
    return -(-episodes // task.conditions) * int(task.conditions)


class Episode(NamedTuple):
    """One episode in an environment."""

    seed: int  # of the reset
    total: float  # return
    steps: int
    distance: float | None  # m, at its end, where the environment tells
    success: bool | None  # whether the environment said so in any step, where it tells
    digest: str = ""  # of what was seen and done: two episodes with one digest are the same one
    start: Any = None  # what the policy saw first, (do,)


def episodes(
    env_id: str,
    act: Callable[[Any, Any], Any],
    count: int,
    begin: Callable[[], None] | None = None,
    first: int = 0,
) -> list[Episode]:
    """Runs act(env, observation) for so many episodes, from the resets that training never saw,
    number `first` and on; `begin()` before each.

    Raises SimulationError where an action or a return is not finite.
    """
    import gymnasium

    env = gymnasium.make(env_id)
    try:
        found = []
        for i in range(count):
            if begin:
                begin()  # a policy with memory forgets
            found.append(_episode(env, act, FIRST_SEED + first + i))
    finally:
        env.close()
    total = np.array([episode.total for episode in found])
    if not np.isfinite(total).all():
        raise SimulationError(
            f"{env_id}: got a return of {total[~np.isfinite(total)][0]}; expected finite; did it diverge?"
        )
    return found


def run_episodes(run: Opened, count: int, env_id: str | None, first: int = 0) -> list[Episode]:
    """Returns episodes of the policy's mean action, from number `first` on: in Gymnasium where
    env_id names an environment, else in its task.

    Raises InputError where the policy cannot act there.
    """
    if env_id is None:
        return episodes_in_task(run, count, first)
    if run.sees_state:
        raise InputError(
            f"{run.path}: got {env_id} for a policy that sees the state of {run.task.name}; expected no --env, or a "
            "policy that sees observations"
        )
    check_fit(run, env_id)
    begin = getattr(run.policy, "reset", None)
    return episodes(env_id, _acting(run.policy), count, begin, first)


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
    sizes = [None if shape is None else math.prod(shape) for shape in spaces]
    if sizes != [task.do, task.du]:
        raise InputError(
            f"{env_id} has observations {spaces[0]} and actions {spaces[1]}; expected {(task.do,)} and {(task.du,)}, "
            f"those of {task.name}"
        )


def episodes_in_task(run: Opened, count: int, first: int = 0) -> list[Episode]:
    """Returns episodes in the run's own task, its conditions in turn; the return is minus the
    cost. Another `first` draws other starts, where the task draws them, and begins with the
    condition whose turn it is.
    """
    task, policy = run.task, run.policy
    skipped = first % task.conditions
    samples = math.ceil((skipped + count) / task.conditions)
    local = isinstance(policy, ControllerPolicy)
    actor, chart = (policy.controller, policy.chart) if local else (policy, None)
    rng = np.random.default_rng(FIRST_SEED + first)
    trajectories = rollout(
        task, actor, np.arange(task.conditions), samples, rng, noise=0.0, chart=chart
    )
    measured = metrics_of(task, trajectories)
    told = next((measured[name] for name in SUCCESS if name in measured), None)
    digests = _digests(trajectories)
    turn = np.arange(len(trajectories.length)).reshape(task.conditions, samples).T.ravel()
    return [
        Episode(
            FIRST_SEED + first,
            float(measured["return"][i] if "return" in measured else -trajectories.cost[i].sum()),
            int(trajectories.length[i]),
            float(measured["distance"][i]) if "distance" in measured else None,
            None if told is None else bool(told[i] > 0.5) and not trajectories.failed[i],
            digests[i],
            trajectories.o[i, 0],
        )
        for i in turn[skipped : skipped + count]
    ]


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


def _episode(env: Any, act: Callable[[Any, Any], Any], seed: int) -> Episode:
    """Returns one episode of the mean action."""
    observation, info = env.reset(seed=seed)
    total, steps, over, success = 0.0, 0, False, None
    seen = [observation]
    while not over:
        action = act(env, observation)
        if not np.isfinite(action).all():
            raise SimulationError(
                f"{env.spec.id}: got the action {action}; expected finite numbers; was training healthy?"
            )
        observation, reward, terminated, truncated, info = env.step(action)
        seen.append(observation)
        total, steps, over = total + float(reward), steps + 1, terminated or truncated
        told = info.get("is_success", info.get("success"))
        success = success if told is None else bool(told) or bool(success)
    distance = info.get("reward_dist")  # Gymnasium's reaching tasks give minus the distance
    left = None if distance is None else -float(distance)
    return Episode(seed, total, steps, left, success, _digest(*seen), np.ravel(seen[0]))


def _acting(policy: Any) -> Callable[[Any, Any], np.ndarray]:
    """Returns act(env, observation): the policy's mean action, of the shape and type that the
    environment takes; the policy sees a vector, whatever shape the observation has.
    """

    def act(env: Any, observation: Any) -> np.ndarray:
        action = np.asarray(policy.act(np.ravel(observation)))
        return _taken(action, env.action_space) if np.isfinite(action).all() else action

    return act


def _digests(shown: Trajectories) -> list[str]:
    """Returns a digest of each episode."""
    return [_digest(x, u) for x, u in zip(shown.x, shown.u, strict=True)]


def _digest(*arrays: Any) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:12]
