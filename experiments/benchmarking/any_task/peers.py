"""SAC of Stable-Baselines3 on a row's task: beside our method at the same steps, and as a
reference.
"""

import time
from pathlib import Path
from typing import Any

from agents.learners.sb3 import unlogged
from agents.tasks.adapters.gymnasium_env import TaskEnv
from agents.tasks.base.mujoco_warnings import heed
from lqr import InputError

from ...sweeps.ownership import claim
from ..peers import check
from .episodes import Peer, evaluate, fresh_task, keep
from .learning import EVALUATED
from .rows import ROWS, Row

PREFIX = "any_task:"  # and a row's name: what experiments/peers.py is told


def run(algorithm: str, word: str, steps: int, seed: int, folder: Path) -> int:
    """Trains on a row's task once, in a folder that says of whom it is; returns 0, at once where it
    is done.

    Raises InputError for an unknown row, and where it or Stable-Baselines3 is not installed.
    """
    rows = {PREFIX + row.name: row for row in ROWS}
    if word not in rows:
        raise InputError(f"got {word!r}; expected one of {', '.join(rows)}")
    check(algorithm, steps, seed)
    if rows[word].missing:
        raise InputError(f"got {word!r}, which {rows[word].missing}; expected it to be installed")
    about = {"algorithm": algorithm, "row": word, "steps": steps, "seed": seed}
    claim(folder, about, (EVALUATED,))
    if not (folder / EVALUATED).exists():
        train(algorithm, rows[word], steps, seed, folder)
    return 0


def train(algorithm: str, row: Row, steps: int, seed: int, folder: Path) -> None:
    """Trains with default settings, on one thread, and keeps how the mean action does."""
    import stable_baselines3
    import torch

    torch.set_num_threads(1)
    task = fresh_task(row, folder)
    env = environment(row, task)
    start = time.process_time()
    model = getattr(stable_baselines3, algorithm)("MlpPolicy", env, seed=seed, device="cpu")
    unlogged(model)
    model.learn(steps)
    spent = time.process_time() - start
    units = (env.middle, env.half) if isinstance(env, TaskEnv) else ()
    found = evaluate(task, Peer(model, *units))
    keep(folder / EVALUATED, found | {"env_steps": float(steps), "cpu_seconds": spent})


def environment(row: Row, task: Any) -> Any:
    """Returns what SAC learns in: the unmodified environment, cut after the row's steps, or the task
    as one.
    """
    import gymnasium

    if row.kind == "gymnasium":
        heed()
        return gymnasium.make(row.task, max_episode_steps=row.steps)
    return TaskEnv(task)
