"""Episodes of a policy's mean action, one by one: in unmodified Gymnasium, or in its task."""

import hashlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import Trajectories, metrics_of, rollout
from agents.tasks.action_form import ActionForm
from agents.tasks.base.mujoco_warnings import heed
from lqr import InputError, SimulationError

from .load_run import Opened

SUCCESS = ("success", "reached", "balanced")  # what tasks call it among their metrics

FIRST_SEED = 1_000_000  # of the resets; training draws from other generators


def taken(action: np.ndarray, space: Any) -> np.ndarray:
    """Returns an action in the shape, the type and the limits of a space."""
    return ActionForm.of(space).fitted(np.ravel(action))


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

    heed()
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
    return episodes(env_id, acting(run.policy), count, begin, first)


def check_fit(run: Opened, env_id: str) -> None:
    """Raises InputError where an environment is unknown, or sees or does other things than the
    policy.
    """
    import gymnasium

    if ":" in env_id:
        raise InputError(
            f"--env is {env_id!r}; expected a plain id: what stands before a colon would be imported"
        )
    heed()
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
    digests = digests_of(trajectories)
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


def acting(policy: Any) -> Callable[[Any, Any], np.ndarray]:
    """Returns act(env, observation): the policy's mean action, of the shape and type that the
    environment takes; the policy sees a vector, whatever shape the observation has.
    """

    def act(env: Any, observation: Any) -> np.ndarray:
        action = np.asarray(policy.act(np.ravel(observation)))
        return taken(action, env.action_space) if np.isfinite(action).all() else action

    return act


def digests_of(shown: Trajectories) -> list[str]:
    """Returns a digest of each episode."""
    return [_digest(x, u) for x, u in zip(shown.x, shown.u, strict=True)]


def _digest(*arrays: Any) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:12]
