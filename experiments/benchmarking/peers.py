"""Stable-Baselines3's SAC and PPO in an environment of Gymnasium, evaluated as our policies are."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.learners.sb3 import unlogged
from agents.tasks.base.mujoco_warnings import heed
from dynamics.storage.files import discard, read_file, read_json, write_file
from lqr import CheckpointError, InputError

from ..engine.evaluation import evaluate_policy
from ..engine.tables import Table
from ..sweeps.ownership import claim

ALGORITHMS = ("SAC", "PPO")
CURVE, DONE = "curve.csv", "done"  # the end of a run
# The curve's columns: env_steps, evaluated_return and evaluated_error, cpu_seconds (without the
# evaluation), and evaluated_distance (m) where it is told

MOST_BYTES = 1 << 26  # of a curve


def run(algorithm: str, env_id: str, steps: int, seed: int, every: int, folder: Path) -> int:
    """Trains once, in a folder that says of whom it is; returns 0, at once where it is done.

    Raises CheckpointError for a folder of other words, or one that says not whose it is; InputError,
    before there is a folder, for words that cannot be.
    """
    check(algorithm, steps, seed)
    check_environment(env_id)
    if every < 1:
        raise InputError(f"got {every} steps between two evaluations; expected 1 or more")
    mark = {
        "algorithm": algorithm,
        "env_id": env_id,
        "steps": steps,
        "seed": seed,
        "every": every,
    }
    claim(folder, mark, (CURVE, DONE))
    if finished(folder, mark):
        return 0
    discard(folder / CURVE)
    train(algorithm, env_id, steps, seed, every, folder)
    finish_curve(folder, mark)
    return 0


def finish_curve(folder: Path, mark: Mapping[str, Any]) -> None:
    """Marks a run as done, with what it was of and the digest of its curve."""
    curve = hashlib.sha256(read_file(folder / CURVE, MOST_BYTES)).hexdigest()
    write_file(folder / DONE, json.dumps({**mark, "curve": curve}, indent=1).encode())


def finished(folder: Path, mark: Mapping[str, Any]) -> bool:
    """Returns whether the run of these words is done. Raises CheckpointError where another one is
    said to be, or its curve was changed.
    """
    if not os.path.lexists(folder / DONE):
        return False
    said = read_json(folder / DONE)
    curve = hashlib.sha256(read_file(folder / CURVE, MOST_BYTES)).hexdigest()
    mine = {**mark, "curve": curve}
    if odd := sorted(key for key, value in mine.items() if said.get(key) != value):
        raise CheckpointError(
            f"{folder / DONE}: got another {', '.join(odd)} than expected; take another --out"
        )
    return True


def check(algorithm: str, steps: int, seed: int) -> None:
    """Raises InputError for an algorithm, steps or a seed that cannot be, and where
    Stable-Baselines3 is not installed.
    """
    if algorithm not in ALGORITHMS or steps < 1 or not 0 <= seed < 2**32:
        raise InputError(
            f"got {algorithm}, {steps} steps and the seed {seed}; expected one of {ALGORITHMS}, 1 or more, and "
            f"0 or more, less than {2**32}"
        )
    if find_spec("stable_baselines3") is None:
        raise InputError(
            "stable_baselines3 is not installed; expected it for the peers: "
            'pip install -c constraints.txt -e ".[peers]"'
        )


def check_environment(env_id: str) -> None:
    """Raises InputError for an environment that Gymnasium does not know, or whose actions are no
    numbers with limits.
    """
    import gymnasium

    heed()
    try:
        env = gymnasium.make(env_id)
    except gymnasium.error.Error as error:
        raise InputError(
            f"got the environment {env_id!r}; expected one that Gymnasium knows: {error}"
        ) from None
    with env:
        if not isinstance(env.action_space, gymnasium.spaces.Box):
            raise InputError(
                f"{env_id} has the actions {env.action_space}; expected a Box of numbers, as these peers are compared "
                "with"
            )


class Greedy:
    """A trained policy's mean action, in the form that is evaluated."""

    def __init__(self, model: Any):
        self.model = model

    def act(self, observation: Any) -> Any:
        """Returns the action (du,) for one observation."""
        return self.model.predict(observation, deterministic=True)[0]


def train(
    algorithm: str, env_id: str, steps: int, seed: int, every: int, folder: Path, episodes: int = 20
) -> None:
    """Trains for `steps` steps and writes a row of CURVE after every `every`; one thread, so that a
    seed repeats.
    """
    import gymnasium
    import stable_baselines3
    import torch

    torch.set_num_threads(1)
    heed()
    model = getattr(stable_baselines3, algorithm)(
        "MlpPolicy", gymnasium.make(env_id), seed=seed, device="cpu"
    )
    unlogged(model)
    curve, spent = Table(folder / CURVE), 0.0
    while model.num_timesteps < steps:
        start = time.process_time()
        model.learn(min(every, steps - model.num_timesteps), reset_num_timesteps=False)
        spent += time.process_time() - start
        found = evaluate_policy(env_id, Greedy(model), episodes)
        mean, far = found.mean_return, found.final_distance
        row = {
            "env_steps": float(model.num_timesteps),
            "evaluated_return": mean,
            "evaluated_error": found.standard_error,
            "cpu_seconds": spent,
        }
        curve.append(row | ({} if far is None else {"evaluated_distance": far}))
        print(
            f"{algorithm} {env_id} seed {seed}: {model.num_timesteps} steps, {mean:.2f}, {spent:.0f} CPU s",
            flush=True,
        )
