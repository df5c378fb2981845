"""A run from Python, of a task, a method and settings that are objects or words."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from agents.interfaces import Iteration
from agents.saving import load_policy
from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from lqr import CheckpointError, InputError

from . import training
from .cli import Options
from .flat import differing
from .overrides import choose
from .registry import Experiment, builder, load, methods
from .resume import differing_choices, restore
from .run_folder import RunFolder, new_folder
from .saved_files import CONFIG, RESULT, saved_config, saved_result
from .signals import Stop


class Finished(NamedTuple):
    """What a run left."""

    path: Path  # its folder: config.json, metrics.csv, report.html, checkpoints, policy
    policy: Any
    result: dict[str, Any] | None  # result.json; None where Ctrl-C stopped it


def run(
    task: Any,
    method: str | ModuleType | None = None,
    config: Any = None,
    *,
    seed: int = 0,
    out: Path | str | None = None,
    resume: bool = False,
    on_iteration: Callable[[Iteration], object] | None = None,
    evaluation_episodes: int | None = None,
    finalise: Callable[[Any, RunFolder, Stop], None],
    kept: training.Kept,
) -> Finished:
    """Learns `task` by `method` with `config`, the method's defaults where it is None.

    `task` is a task, what makes one, an environment of Gymnasium, or a word as after --task; or,
    without a method, the name of an experiment. `method` is a word or a module with `Config` and
    `train`. `out` is the run's folder, by default runs/NAME/DATE-TIME-seedSEED; with `resume` a run
    that is there goes on. `on_iteration` is called with each iteration once it is saved: where it
    returns True the training ends there, and the report is made; what it raises stops the run,
    which can be resumed. Linear algebra uses one thread meanwhile, as on the command line, so that
    numbers are the same. `finalise` and `kept` are as in `training.run`. Raises InputError,
    CheckpointError, StorageError.
    """

    experiment = _experiment(task, method, config, evaluation_episodes)
    usual = Path.cwd() / "runs" / experiment.name
    path = new_folder(usual, f"seed{seed}") if out is None else Path(out).absolute()
    resume = resume and (path / CONFIG).exists()
    if resume:
        _check_same(path, experiment, seed)
    with threadpool_limits(1):
        training.run(
            experiment,
            experiment.config,
            seed=seed,
            path=path,
            finalise=finalise,
            kept=kept,
            resume=resume,
            on_iteration=on_iteration,
        )
    ended = saved_result(path) if (path / RESULT).exists() else None
    return Finished(path, load_policy(path, experiment.task()), ended)


def _check_same(path: Path, experiment: Experiment, seed: int) -> None:
    """Raises CheckpointError, naming what differs, unless the run in a folder is the one that is
    asked for; more iterations make it longer.
    """
    config, own_seed = restore(path, experiment)
    odd = differing(experiment.config, config)
    if "iterations" in odd and experiment.config.iterations > config.iterations:
        odd.remove("iterations")
    odd += ["seed"] if seed != own_seed else []
    odd += differing_choices(saved_config(path)["chosen"], experiment.chosen)
    if odd:
        raise CheckpointError(
            f"{path}: got other values than the run there has for {', '.join(odd)}; expected the same with "
            "resume=True, or another out"
        )


def _experiment(task: Any, method: Any, config: Any, episodes: int | None) -> Experiment:
    """Returns what is to be run, as the command line would have it."""
    if method is None:
        if not isinstance(task, str):
            raise InputError("got a task without a method; expected the word of one, as 'badmm'")
        found = load(task)
    else:
        found = _of_method(method)
    if config is not None:
        if type(config) is not type(found.config):
            raise InputError(
                f"config is a {type(config).__module__}.{type(config).__name__}; expected "
                f"{found.method.__name__}.Config"
            )
        found = found._replace(config=config)
    if isinstance(task, str):
        word = None if method is None else task
        return choose(found, Options(task=word, evaluation_episodes=episodes))
    name = _called(task)
    text = f"The task {name}, learned by {found.method.__name__}, run from Python."
    chosen = {"python": name} | ({} if episodes is None else {"evaluation_episodes": episodes})
    return found._replace(text=text, task=builder(_task(task)), chosen=chosen)


def _called(what: Any) -> str:
    """Returns what a task, or what makes one, is called in the source."""
    return str(getattr(what, "__name__", type(what).__name__))


def _of_method(method: Any) -> Experiment:
    if isinstance(method, str):
        if method not in methods():
            raise InputError(f"method is {method!r}; expected one of {', '.join(methods())}")
        return load(method)
    if not (hasattr(method, "Config") and hasattr(method, "train")):
        raise InputError(
            f"method is {method!r:.80}; expected a word, or a module with Config and train"
        )
    name = method.__name__.rpartition(".")[2]
    return Experiment(name, method.__doc__ or name, lambda: None, method, method.Config())


def _task(task: Any) -> Any:
    """Returns a task or what builds one; an environment of Gymnasium as a task."""
    import gymnasium

    return GymnasiumTask(task) if isinstance(task, gymnasium.Env) else task
