"""One run, from its first iteration or from a checkpoint to its report."""

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Iteration, StoppedByUser
from agents.saving import whole_state_of
from agents.tasks.capabilities import ModelSource, begin_iteration, capability
from dynamics.storage.tree import save_tree
from lqr import CheckpointError, InputError

from . import provenance
from .cli import PROGRAM, as_words
from .evaluation import evaluation_row
from .flat import flat
from .overrides import imports, modules_of
from .progress import Display
from .registry import Experiment
from .resume import as_first, check_owner, longer, restore_generator, same_machine, start_of, unfit
from .run_folder import RunFolder
from .saved_files import RESULT, saved_config
from .signals import Stop
from .symptoms.looked_at import Run
from .symptoms.watch import Watch, task_words
from .tables import Events, actor, read

JOURNAL = "journal"  # the folder of an unfinished iteration's episodes, where the task keeps them
DRAWN = 6  # conditions whose trajectories are kept for the figures


class Kept(NamedTuple):
    """The names of a method's arrays that a run keeps, each for some figure."""

    columns: tuple[str, ...]  # a number by condition: columns of conditions.csv
    by_condition: tuple[str, ...]  # of the last iteration, of the first conditions
    whole: tuple[str, ...]  # of the last iteration, as they are


def describe(experiment: Experiment, config: Any, seed: int, task: Any = None) -> dict[str, Any]:
    """Returns what config.json says; of the task's model, where the task is given."""
    source = capability(task, ModelSource)
    return {
        "experiment": experiment.name,
        "text": experiment.text,
        "method": experiment.method.__name__,
        "actor": actor(getattr(experiment.method, "ACTOR", None)),
        "seed": seed,
        "config": flat(config),
        "chosen": dict(experiment.chosen),
        "version": provenance.own_version(),
        "fingerprint": provenance.fingerprint(
            experiment.task, experiment.method, *modules_of(experiment.chosen)
        )
        | ({"cost": changes} if (changes := experiment.chosen.get("cost_digest")) else {})
        | ({"model": source.model_digest} if source else {}),
        "dependencies": provenance.dependencies(),
    }


def run(
    experiment: Experiment,
    config: Any,
    seed: int,
    path: Path,
    finalise: Callable[[Any, RunFolder, Stop], None],
    kept: Kept,
    resume: bool = False,
    strict: bool = False,
    begun_from: Path | None = None,
    on_iteration: Callable[[Iteration], object] | None = None,
) -> int:
    """Trains, and leaves everything in the folder `path`. Returns the process's exit code: 0, or
    128 + a signal.

    `finalise` makes what a finished run leaves: policy, figures, report and result; `kept` names the
    arrays of the method that it needs. With `strict`,
    a run of another machine is not resumed: its last bits could differ. `begun_from` is the folder
    of another run, from whose newest state a new one begins. `on_iteration` is called after each
    iteration is saved, and ends the training where it returns True.
    """
    exact = True
    with Stop() as stop, RunFolder(path) as folder:
        if resume:
            folder.reopen()
            if (path / RESULT).exists() and not longer(path, config):
                print(f"{path} is finished already; its report is {path / 'report.html'}")
                return 0
        task = experiment.task()
        about = describe(experiment, config, seed, task)
        if resume:
            exact = same_machine(saved_config(path)["fingerprint"], about["fingerprint"], strict)
            _lengthen(folder, experiment, config, seed)
        else:
            source = capability(task, ModelSource)
            start = None if begun_from is None else start_of(begun_from, about)
            about |= {} if start is None else {"begun_from": f"{begun_from}"}
            folder.begin(about, source.model_text if source else None)
            if start is not None:
                folder.save(*as_first(start, about, seed))
        try:
            _train(experiment, task, config, seed, folder, stop, exact, kept, on_iteration)
            if not stop.asked:
                finalise(task, folder, stop)
        except StoppedByUser as told:
            print(told, flush=True)
            stop.asked = signal.SIGINT
        except (InputError, MemoryError):
            folder.withdraw()  # nothing is left by what was refused, or was too large
            raise
        if stop.asked:
            words = as_words({"resume": path, **imports(experiment.chosen)})
            again = f"{PROGRAM} {shlex.quote(experiment.name)} {words}"
            print(f"stopped and saved; go on with:  {again}", flush=True)
            return 128 + stop.asked
        return 0


def _lengthen(folder: RunFolder, experiment: Experiment, config: Any, seed: int) -> None:
    """Has a run make the iterations that are asked for, if they are more than it was to make, and
    all else is as it was: what is there is not touched before that is sure.
    """
    asked = getattr(config, "iterations", None)
    before = saved_config(folder.path)["config"].get("iterations")
    if asked is None or before is None or asked <= before:
        return
    if checkpoint := folder.newest():
        check_owner(checkpoint, experiment, config, seed, folder.path)
    folder.lengthen(asked)


def _train(
    experiment: Experiment,
    task: Any,
    config: Any,
    seed: int,
    folder: RunFolder,
    stop: Stop,
    exact: bool,
    kept: Kept,
    on_iteration: Callable[[Iteration], object] | None = None,
) -> None:
    """Runs the iterations that are missing, with a checkpoint after each."""
    rng = np.random.default_rng(seed)
    checkpoint = folder.newest()
    state, done, before, saving = None, 0, 0.0, 0.0
    if checkpoint:
        check_owner(checkpoint, experiment, config, seed, folder.path)
        state, done = checkpoint.tree["state"], checkpoint.meta["iteration"]
        before, saving = checkpoint.meta["seconds"], checkpoint.meta["saving"]
        exact &= checkpoint.meta["exact"]
        restore_generator(rng, checkpoint.meta["rng"], folder.path)
    folder.cut_back(checkpoint)
    total = getattr(config, "iterations", None)
    if total is not None and done >= total:
        return
    begin_iteration(task, done + 1, folder.path / JOURNAL)
    events = Events(folder.path, read(folder.metrics.path))
    watch = Watch(
        Run(
            {},
            {},
            experiment.method.__name__,
            task_words(experiment.name, experiment.chosen),
            flat(config),
            task.horizon,
        ),
        total,
        read(folder.metrics.path),
        read(folder.conditions.path),
    )
    display = Display(f"{experiment.name}, seed {seed}, in {folder.path}", total, done)
    start = last = time.perf_counter()
    spent, episodes = time.process_time(), experiment.chosen.get("evaluation_episodes")
    own_task = (
        experiment.task() if episodes else None
    )  # its own: what is seen there is not learned from
    only = getattr(experiment.method, "TABLE_ONLY", ())
    try:
        for iteration in _iterations(
            experiment.method.train(task, config, rng, state=state), state, done, folder.path
        ):
            _one_thread()
            now, cpu = time.perf_counter(), time.process_time() - spent
            row = {"iteration": iteration.number, **iteration.scalars}
            if episodes:
                row |= evaluation_row(own_task, iteration.policy, episodes)
            ready = time.perf_counter()
            folder.metrics.append(row)
            folder.conditions.append(*(each := by_condition(iteration, kept)))
            folder.timing.append(
                {
                    "iteration": iteration.number,
                    "elapsed": before + now - start,
                    "seconds": now - last,
                    "cpu": cpu,
                }
            )
            events.append(row)
            if iteration.number == total or stop.asked or total is None or on_iteration:
                arrays = last_arrays(iteration.arrays, kept, only)
                save_tree(folder.path / "trajectories", arrays, finite=False)
            meta = {
                "experiment": experiment.name,
                "config": flat(config),
                "chosen": dict(experiment.chosen),
                "seed": seed,
                "rng": rng.bit_generator.state,
                "seconds": before + time.perf_counter() - start,
                "saving": saving,  # seconds that the checkpoints before this one took
                "exact": exact,
                "not_drawn": not_drawn(iteration.arrays, kept, only),
            }
            folder.save(
                iteration.number,
                {"state": iteration.state, "policy": whole_state_of(iteration.policy)},
                meta,
            )
            begin_iteration(task, iteration.number + 1, folder.path / JOURNAL)
            last, spent = time.perf_counter(), time.process_time()
            saving += last - ready
            pace = (last - start) / (iteration.number - done)
            left = None if total is None else pace * (total - iteration.number)
            display.iteration(iteration.number, iteration.scalars, before + last - start, left)
            for symptom in watch.look(row, each):
                display.say(f"        {symptom.word}: try {symptom.first}")
            if on_iteration is not None and on_iteration(iteration) is True:
                break
            if stop.asked:
                break
    finally:
        display.close()
        events.close()


def _iterations(
    training: Iterator[Iteration], state: Any, done: int, path: Path
) -> Iterator[Iteration]:
    """Yields the iterations; what a saved state makes of the first of them is a fault of the
    state.
    """
    try:
        first = next(training, None)
        if state is not None and (first is None or first.number != done + 1):
            raise ValueError(f"iteration {first and first.number} follows {done}")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if state is None or isinstance(error, CheckpointError):
            raise
        raise unfit(error, path) from error
    if first is not None:
        yield first
        yield from training


def by_condition(iteration: Iteration, kept: Kept) -> list[dict[str, float]]:
    """Returns a row for each condition; what the method does not yield is NaN."""
    names = kept.columns
    per = {key: np.ravel(iteration.arrays[key]) for key in names if key in iteration.arrays}
    count = max(map(len, per.values()), default=0)
    per = {key: value for key, value in per.items() if len(value) == count}
    empty = np.full(count, np.nan)
    numbers = [{key: float(per.get(key, empty)[c]) for key in names} for c in range(count)]
    return [{"iteration": iteration.number, "condition": c, **row} for c, row in enumerate(numbers)]


def last_arrays(arrays: Mapping[str, Any], kept: Kept, only: Sequence[str]) -> dict[str, Any]:
    """Returns the arrays of the last iteration that are kept: those that figures draw, and `only`
    those that the method declares to be kept for tables alone.
    """
    first = {key: np.asarray(arrays[key])[:DRAWN] for key in kept.by_condition if key in arrays}
    return first | {key: np.asarray(arrays[key]) for key in (*kept.whole, *only) if key in arrays}


def not_drawn(arrays: Mapping[str, Any], kept: Kept, only: Sequence[str]) -> list[str]:
    """Returns the names of a method's arrays that no figure draws and that the method's TABLE_ONLY,
    `only`, does not name.
    """
    return sorted(set(arrays).difference(*kept, only))


def _one_thread() -> None:
    """Keeps torch, once a method has loaded it, to one thread: the order of its sums is then always
    the same.
    """
    if (torch := sys.modules.get("torch")) and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
