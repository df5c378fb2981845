"""One run, from its first iteration or from a checkpoint to its report."""

import dataclasses
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.interfaces import Iteration
from dynamics.storage import save_tree
from lqr import CheckpointError, GPSError

from . import versions
from .catalogue import Experiment
from .command import PROGRAM
from .display import Display
from .finish import finish, finished
from .folder import Checkpoint, RunFolder, saved_config
from .stopping import Stop
from .tables import Events, read

DRAWN = 8  # conditions whose trajectories are kept for the figure


def describe(experiment: Experiment, config: Any, seed: int) -> dict[str, Any]:
    """Returns what config.json says."""
    return {
        "experiment": experiment.name,
        "text": experiment.text,
        "method": experiment.method.__name__,
        "seed": seed,
        "config": dataclasses.asdict(config),
        "version": versions.library_version(),
        "fingerprint": versions.fingerprint(),
        "dependencies": versions.dependencies(),
    }


def restore(path: Path, experiment: Experiment) -> tuple[Any, int]:
    """Returns the config and the seed of the run in a folder.

    Raises CheckpointError, naming what differs, where the run is of another experiment, method or version.
    """
    saved = saved_config(path)
    mine = {"experiment": experiment.name, "method": experiment.method.__name__, "version": versions.library_version()}
    for key, value in mine.items():
        if saved[key] != value:
            raise CheckpointError(
                f"{path}: got a run of {key} {saved[key]!r}, expected {value!r}; resume it by what made it"
            )
    names = {field.name for field in dataclasses.fields(experiment.config)}
    if odd := sorted(names ^ set(saved["config"])):
        raise CheckpointError(
            f"{path}: got settings that differ from this method's in {', '.join(odd)}; it is of another version"
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in saved["config"].items()}
    for name, value in values.items():
        if type(value) is not type(default := getattr(experiment.config, name)) and None not in (value, default):
            raise CheckpointError(f"{path}: got {name} = {value!r} in config.json, expected a {type(default).__name__}")
    try:
        return type(experiment.config)(**values), saved["seed"]
    except (GPSError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: got a config.json that is refused: {error}") from None


def run(experiment: Experiment, config: Any, seed: int, path: Path, resume: bool = False) -> int:
    """Trains, and leaves everything in the folder `path`. Returns the process's exit code: 0, or 128 + a signal."""
    with Stop() as stop, RunFolder(path) as folder:
        about = describe(experiment, config, seed)
        if resume:
            folder.reopen()
            if finished(path):
                print(f"{path} is finished already; its report is {path / 'report.html'}")
                return 0
            _warn_of_other_machine(saved_config(path)["fingerprint"], about["fingerprint"])
        task = experiment.task()
        if not resume:
            folder.begin(about)
        _train(experiment, task, config, seed, folder, stop)
        if not stop.asked:
            finish(task, folder, stop)
        if stop.asked:
            print(f"stopped and saved; go on with:  {PROGRAM} {experiment.name} --resume {path}", flush=True)
            return 128 + stop.asked
        return 0


def _train(experiment: Experiment, task: Any, config: Any, seed: int, folder: RunFolder, stop: Stop) -> None:
    """Runs the iterations that are missing, with a checkpoint after each."""
    rng = np.random.default_rng(seed)
    checkpoint = folder.newest()
    state, done, before = None, 0, 0.0
    if checkpoint:
        _check_owner(checkpoint, experiment, config, seed, folder.path)
        state, done, before = checkpoint.tree["state"], checkpoint.meta["iteration"], checkpoint.meta["seconds"]
        _restore_generator(rng, checkpoint.meta["rng"], folder.path)
    folder.cut_back(checkpoint)
    total = getattr(config, "iterations", None)
    if total is not None and done >= total:
        return
    events = Events(folder.path, read(folder.metrics.path))
    display = Display(f"{experiment.name}, seed {seed}, in {folder.path}", total, done)
    start = last = time.perf_counter()
    try:
        for iteration in experiment.method.train(task, config, rng, state=state):
            _one_thread()
            now = time.perf_counter()
            row = {"iteration": iteration.number, **iteration.scalars}
            folder.metrics.append(row)
            folder.conditions.append(*by_condition(iteration))
            folder.timing.append(
                {"iteration": iteration.number, "elapsed": before + now - start, "seconds": now - last}
            )
            events.append(row)
            if iteration.number == total or stop.asked or total is None:
                save_tree(folder.path / "trajectories", drawn(iteration.arrays), finite=False)
            meta = {
                "experiment": experiment.name,
                "config": dataclasses.asdict(config),
                "seed": seed,
                "rng": rng.bit_generator.state,
                "seconds": before + time.perf_counter() - start,
            }
            folder.save(iteration.number, {"state": iteration.state, "policy": iteration.policy.state()}, meta)
            last = time.perf_counter()
            pace = (last - start) / (iteration.number - done)
            left = None if total is None else pace * (total - iteration.number)
            display.iteration(iteration.number, iteration.scalars, before + last - start, left)
            if stop.asked:
                break
    finally:
        display.close()
        events.close()


def by_condition(iteration: Iteration) -> list[dict[str, float]]:
    """Returns a row for each condition, of those arrays of an iteration that have one number per condition."""
    per = {key: np.asarray(value) for key, value in iteration.arrays.items() if np.ndim(value) == 1}
    count = max((len(value) for value in per.values()), default=0)
    per = {key: value for key, value in per.items() if len(value) == count}
    return [
        {"iteration": iteration.number, "condition": c, **{key: float(value[c]) for key, value in per.items()}}
        for c in range(count)
    ]


def drawn(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arrays that the figure of the trajectories draws, of the first few conditions."""
    return {key: np.asarray(value)[:DRAWN] for key, value in arrays.items() if np.ndim(value) > 1}


def _check_owner(checkpoint: Checkpoint, experiment: Experiment, config: Any, seed: int, path: Path) -> None:
    settings = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(config).items()}
    saved = checkpoint.meta["config"]
    odd = [
        key
        for key in {**settings, **saved}
        if saved.get(key) != settings.get(key) or (key in saved) != (key in settings)
    ]
    odd += [
        key for key, value in {"experiment": experiment.name, "seed": seed}.items() if checkpoint.meta[key] != value
    ]
    if odd or not isinstance(checkpoint.tree.get("state"), dict):
        raise CheckpointError(
            f"{path}: got a checkpoint that differs from config.json in {', '.join(odd) or 'state'}; "
            "expected those of one run; take the whole folder from one place"
        )


def _restore_generator(rng: np.random.Generator, state: dict[str, Any], path: Path) -> None:
    try:
        rng.bit_generator.state = state
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{path}: got a random generator's state that is refused ({error}); it is damaged"
        ) from None


def _warn_of_other_machine(saved: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    odd = sorted(key for key in {**saved, **mine} if saved.get(key) != mine.get(key))
    if odd:
        warnings.warn(
            f"{', '.join(odd)} differ from the run's first part: it goes on, but not to the same last bits",
            stacklevel=2,
        )


def _one_thread() -> None:
    """Keeps torch, once a method has loaded it, to one thread: the order of its sums is then always the same."""
    if (torch := sys.modules.get("torch")) and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
