"""The task and the cost that a person names on the command line, in place of those of an
experiment.

A cost is the user's own code: it is imported for what stands on the command line alone. A run's
folder tells which task and cost it had; a run is resumed with the same, and a cost has to be named
again, because what a file says is never imported. A task out of a file is one of the table, or a
Gymnasium id that names no module; gymnasium:MODULE:ENV_ID, which imports the module, has to be
named again like a cost. A model file, mjcf:FILE, may be named again where it lies elsewhere now.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module, util
from pathlib import Path
from typing import Any

from agents.tasks import TASKS, make_task
from lqr import CheckpointError, GPSError, InputError

from .cli import Options, as_words
from .flat import flat
from .registry import Experiment, load, nearest, no_task
from .resume import is_model

STARTS = 8  # of an environment, where a policy is to act from any and no number is told
CHOICES = {
    "task": str,
    "task_conditions": int,
    "task_horizon": int,
    "task_processes": bool,
    "goal_site": str,
    "task_start": str,
    "compensate_gravity": bool,
    "cost": str,
    "evaluation_episodes": int,
}
OF_MODELS = {  # option -> setting of a task on a model file
    "goal_site": "goal",
    "task_start": "start",
    "compensate_gravity": "compensate_gravity",
}
PROCESSES = "task_processes"  # asked for on the command line alone; the numbers are the same
MOST = {  # that a run's file may ask for; each condition is an environment of its own
    "task_conditions": 1000,
    "task_horizon": 100_000,
    "evaluation_episodes": 10_000,
}
MJCF = "mjcf:"  # and a file: a task
LIMIT = 10**9  # of any of them


def choose(
    experiment: Experiment, options: Options, saved: Mapping[str, Any] | None = None
) -> Experiment:
    """Returns the experiment with the task and the cost of the options, or on resuming those of the
    `saved` config.

    Raises InputError for what cannot be had, CheckpointError where the options are not those of the
    saved run.
    """
    given = {key: value for key in CHOICES if (value := getattr(options, key)) is not None}
    given = {key: value for key, value in given.items() if value is not False}  # 0 is asked for
    if given.get("evaluation_episodes") == 0:
        del given["evaluation_episodes"]  # none are made where none are asked for
    if options.mjcf is not None:
        given["task"] = _model_word(options, given)
    if "task" in given:
        given["task"] = _absolute(given["task"])
    if saved is not None:
        given = _as_saved(given, saved.get("chosen", {}), options.resume)
    if experiment.task is no_task and "task" not in given:
        raise InputError(
            f"got the method {experiment.name} without a task; expected --task TASK: {', '.join(TASKS)}"
        )
    for key in MOST:
        if not 1 <= given.get(key, 1) <= LIMIT:
            raise InputError(
                f"got --{key.replace('_', '-')} {given[key]}; expected 1 to {LIMIT}, or to leave it out"
            )
    starts = getattr(experiment.method, "STARTS", STARTS)
    if saved is None and _needs_starts(given, experiment):
        given["task_conditions"] = starts
        print(
            f"{starts} starts, as the policy is to act from any; --task-conditions N says how many"
        )
    if not set(given) - {"evaluation_episodes"}:
        return experiment._replace(chosen=given)
    build = experiment.task
    settings = {
        key: given[f"task_{key}"]
        for key in ("conditions", "horizon", "processes")
        if f"task_{key}" in given
    }
    for key, setting in OF_MODELS.items():
        if key not in given:
            continue
        if not is_model(given.get("task")):
            word = f"--{key.replace('_', '-')}"
            raise InputError(f"got {word} without a model; expected --mjcf FILE beside it")
        settings[setting] = given[key]
    if "task" in given:
        build = partial(_named, _registered(given["task"]), settings)
    elif settings:
        raise InputError(
            f"got --task-{next(iter(settings))} without --task; expected both: it is a setting of TASK"
        )
    chosen = dict(given)
    if "cost" in given:
        function = load_function(given["cost"])
        chosen["cost_digest"] = digest(function)
        build = partial(_with_cost, build, function, given["cost"])
    named = f"The task {given['task']}" if "task" in given else f"The task of {experiment.name}"
    cost = f" with the cost {given['cost']}" if "cost" in given else ""
    text = f"{named}{cost}, learned by {experiment.method.__name__} with the settings of {experiment.name}."
    return experiment._replace(task=build, text=text, chosen=chosen)


def _model_word(options: Options, given: Mapping[str, Any]) -> str:
    """Returns the task's word for --mjcf FILE."""
    if "task" in given:
        raise InputError(
            f"got --mjcf {options.mjcf} and --task {given['task']}; expected one of them"
        )
    return f"{MJCF}{options.mjcf}"


def _absolute(task: str) -> str:
    """Returns the task's word with the whole path of its model file, if any."""
    before, prefix, file = task.partition(MJCF)
    return f"{before}{prefix}{Path(file).absolute()}" if is_model(task) else task


def _needs_starts(given: Mapping[str, Any], experiment: Experiment) -> bool:
    """Returns whether a method that trains a policy is to learn a task of one start, where a number
    of starts can be told and is not.
    """
    one = str(given.get("task", "")).startswith("gymnasium:") and "task_conditions" not in given
    policy = hasattr(experiment.method, "STARTS") or "policy_steps" in flat(experiment.config)
    return one and policy


def modules_of(chosen: Mapping[str, Any]) -> list[Any]:
    """Returns the module that was imported for the task's word, if any."""
    name = _module_of(str(chosen.get("task", "")))
    return [sys.modules[name]] if name and name in sys.modules else []


def saved_task(
    saved: Mapping[str, Any], path: Path, task: str | None = None, cost: str | None = None
) -> Any:
    """Returns the task of a run from its config, to be looked at. No module is imported for a
    file's word: what imports one is named again as `task` or `cost`; without its cost, a run has
    the task's own. Raises CheckpointError where a task has to be named, or is another.
    """
    chosen = saved.get("chosen", {})
    if isinstance(chosen, dict) and "python" in chosen:
        raise CheckpointError(
            f"{path}: got a run from Python, whose task {chosen['python']} is in no table; expected one of the "
            "command line: load its policy by agents.load_policy(path, task)"
        )
    named = (("task", task), ("cost", cost))
    given: dict[str, Any] = {key: value for key, value in named if value is not None}
    left_out = isinstance(chosen, dict) and "cost" in chosen and cost is None
    given = _as_saved(given | ({"cost": chosen["cost"]} if left_out else {}), chosen, path)
    if left_out:
        given.pop("cost")
    return choose(load(saved["experiment"]), Options(**given)).task()


def load_function(words: str) -> Callable[..., Any]:
    """Imports `MODULE:FUNCTION`, from the path or the present folder, or `FILE.py:FUNCTION`;
    returns the function.

    Raises InputError for anything that cannot be had.
    """
    place, _, name = words.rpartition(":")
    if not place or not name.isidentifier():
        raise InputError(f"got the cost {words!r}; expected MODULE:FUNCTION or FILE.py:FUNCTION")
    module = _imported(place, f"the cost {words!r}")
    if not hasattr(module, name):
        own = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise InputError(
            f"the cost {words!r}: {place} has no {name}; {nearest(name, own) if own else 'expected one'}"
        )
    return getattr(module, name)


def digest(function: Callable[..., Any]) -> str:
    """Returns the SHA-256 of the file that defines a function, which tells whether it was changed;
    "" without one.
    """
    try:
        return hashlib.sha256(Path(inspect.getfile(function)).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return ""


def _named(name: str, settings: Mapping[str, Any]) -> Any:
    try:
        return make_task(name, **settings)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        given = ", ".join(f"--task-{key}" for key in settings)
        raise InputError(
            f"the task {name} got {given}, which it has no setting for ({error}); leave it out"
        ) from None


def _module_of(task: str) -> str | None:
    """Returns the module in gymnasium:MODULE:ENV_ID, None where there is none."""
    prefix, _, rest = task.partition(":")
    return rest.partition(":")[0] if prefix == "gymnasium" and ":" in rest else None


def _registered(task: str) -> str:
    """Imports the module of gymnasium:MODULE:ENV_ID, which registers the environment; returns
    gymnasium:ENV_ID.
    """
    if not (module := _module_of(task)):
        return task
    _imported(module, f"the task {task!r}")
    return "gymnasium:" + task.split(":", 2)[2]


def _with_cost(build: Callable[[], Any], function: Callable[..., Any], words: str) -> Any:
    from agents.tasks.costs.user_cost import UserCost, WithCost

    task = build()
    return WithCost(task, UserCost(function, task.dx, task.du, f"the cost {words}"))


def with_user_goal(task: Any, words: str) -> Any:
    """Returns the task with another goal, the cost FILE.py:FUNCTION or MODULE:FUNCTION."""
    from agents.tasks.costs.user_cost import UserCost, WithGoal

    return WithGoal(task, UserCost(load_function(words), task.dx, task.du, f"the cost {words}"))


def _as_saved(given: Mapping[str, Any], saved: Any, path: Path | None) -> dict[str, Any]:
    """Returns what the saved run was given, after a look at what is given now."""
    saved = {key: value for key, value in saved.items() if key in CHOICES and key != PROCESSES}
    processes = {PROCESSES: True} if PROCESSES in given else {}
    given = {key: value for key, value in given.items() if key != PROCESSES}
    if is_model(given.get("task")) and is_model(saved.get("task")):
        saved["task"] = given["task"]  # the file lies elsewhere now
    odd = [
        f"--{key.replace('_', '-')} {value}"
        for key, value in given.items()
        if saved.get(key) != value
    ]
    if odd:
        raise CheckpointError(
            f"{path}: got {', '.join(odd)}, expected {saved or 'none'}, as the run was begun with"
        )
    wrong = [key for key, value in saved.items() if type(value) is not CHOICES[key]]
    if wrong:
        raise CheckpointError(
            f"{path}: got an unusable {', '.join(wrong)} in config.json; expected it as it was written"
        )
    many = [key for key, most in MOST.items() if saved.get(key, 0) > most and key not in given]
    if many or any(saved.get(key, 1) < 1 for key in MOST):
        words = " ".join(f"--{key.replace('_', '-')} {saved[key]}" for key in many)
        raise CheckpointError(
            f"{path}: got a config.json that asks for {words or 'less than 1 of something'}; "
            "expected so many beside --resume: a file alone does not decide that"
        )
    if needed := {key: value for key, value in imports(saved).items() if key not in given}:
        raise CheckpointError(
            f"{path}: got no {as_words(needed)}, which the run was begun with and which imports a module; "
            "expected it beside the run: nothing is imported for a file's word alone"
        )
    return saved | processes


def imports(chosen: Mapping[str, Any]) -> dict[str, str]:
    """Returns those of a run's options that import a module, and so have to be named again."""
    found = {key: chosen[key] for key in ("task", "cost") if key in chosen}
    return {key: value for key, value in found.items() if key == "cost" or _module_of(value)}


def _imported(place: str, what: str) -> Any:
    """Imports a module by its name or its file. Raises InputError, which names `what`, where that
    fails.
    """
    try:
        return _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{what}: {error}; expected a module on the path, or in this folder"
        ) from error
    except Exception as error:
        if isinstance(error, GPSError):
            raise
        raise InputError(
            f"{what} cannot be imported ({type(error).__name__}: {error}); correct {place}"
        ) from error


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"got the file {path}, which is not there; expected one that defines the cost"
        )
    _look_in(path.parent.resolve())
    spec = util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> Any:
    _look_in(Path.cwd())
    return import_module(name)


def _look_in(folder: Path) -> None:
    """Adds a folder to where modules are looked for, last: nothing in it hides a library.

    It stays there, as processes of environments import the module once more.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
