"""Learns a row with a seed, and keeps what its policy then does in fresh episodes."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.baselines import sac
from agents.tasks import make_task
from gps import badmm, lqr_flm

from ...engine import tables
from ...engine.load_run import open_run
from ...engine.saved_files import RESULT
from ...engine.signals import Stop
from ...sweeps.seeds import sweep
from .episodes import evaluate, fresh_task, keep, task_word
from .rows import Row

COMMANDS = Path(__file__).resolve().parents[2]
EVALUATED = "evaluated.json"
SAC = sac.Config(  # of the references: an update for each step
    iteration_steps=5000, update_ratio=1.0, batch=128, warm_up=1000, evaluate_every=0
)
SETTINGS = {"lqr_flm": {"initial_controllers": 4}}  # beside the default ones, of all rows alike
METHODS: dict[str, Any] = {"lqr_flm": lqr_flm, "badmm": badmm}


def command(row: Row, folder: Path, budget: int) -> list[str]:
    """Returns the words of the run of a row, without its seed and its folder."""
    words = [row.method, "--task", task_word(row, folder), "--budget", str(budget)]
    if row.kind == "gymnasium" and row.steps:
        words += ["--task-horizon", str(row.steps)]
    return words


def learn(row: Row, seeds: Sequence[int], folder: Path, budget: int, jobs: int, stop: Stop) -> int:
    """Runs the seeds that are not finished; returns the code of the first that failed, or 0."""
    if row.local:
        for seed in seeds:
            place = folder / f"seed_{seed}"
            if not stop.asked and not (place / EVALUATED).exists():
                learn_here(row, seed, place)
        return 0
    left = [s for s in seeds if not (folder / f"seed_{s}" / EVALUATED).exists()]
    words = [sys.executable, str(COMMANDS / "run.py"), *command(row, folder, budget)]
    ended = sweep(words, left, folder, jobs, stop) if left else []
    for seed in left:
        place = folder / f"seed_{seed}"
        if (place / RESULT).exists() and not stop.asked:
            evaluate_run(row, folder, place)
    return next((abs(outcome.code) for outcome in ended if outcome.code), 0)


def evaluate_run(row: Row, folder: Path, place: Path) -> None:
    """Keeps how the policy of a finished run does in the row's fresh episodes."""
    run = open_run(place, task=task_word(row, folder))
    found = evaluate(fresh_task(row, folder), run.policy)
    last = tables.read(place / "metrics.csv")[-1]
    spent = sum(line.get("cpu", 0.0) for line in tables.read(place / "timing.csv"))
    keep(place / EVALUATED, found | {"env_steps": last["env_steps"], "cpu_seconds": spent})


def learn_here(row: Row, seed: int, place: Path, **changes: int) -> None:
    """Learns a row in this process, by its method's default settings, but for `changes`."""
    task, method = fresh_task(row, place), METHODS[row.method]
    config = replace(method.Config(), **SETTINGS.get(row.method, {}) | changes)
    start = time.process_time()
    *_, last = method.train(task, config, np.random.default_rng(seed))
    spent = time.process_time() - start
    found = evaluate(task, last.policy)
    numbers = {"env_steps": last.scalars["env_steps"], "cpu_seconds": spent}
    keep(place / EVALUATED, found | numbers)


def learn_by_sac(row: Row, seed: int, place: Path, steps: int, early: int) -> None:
    """Learns a row by soft actor-critic in this process, and keeps how its policies do after `early`
    steps, as `early`, and after all.
    """
    fresh, start, first = fresh_task(row, place), time.process_time(), dict[str, Any]()
    task: Any = fresh
    if row.kind == "gymnasium":  # other starts than the fresh ones
        count = max(steps // fresh.horizon, 1)
        task = make_task(f"gymnasium:{row.task}", horizon=row.steps, conditions=count)
    config = replace(SAC, iterations=-(-steps // SAC.iteration_steps))
    for last in sac.train(task, config, np.random.default_rng(seed)):
        taken = int(last.scalars["env_steps"])
        if not first and taken >= min(early, steps):
            first = evaluate(fresh, last.policy) | {"env_steps": taken}
        if taken >= steps:
            break
    spent = time.process_time() - start
    numbers = {"env_steps": last.scalars["env_steps"], "cpu_seconds": spent, "early": first}
    keep(place / EVALUATED, evaluate(fresh, last.policy) | numbers)
