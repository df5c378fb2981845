"""Going on with a run: only by what made it, with its settings, from its own checkpoint."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lqr import CheckpointError, GPSError

from . import provenance
from .flat import flat, rebuilt, with_parts
from .registry import Experiment
from .run_folder import RunFolder
from .saved_files import Checkpoint, saved_config, saved_result


def restore(path: Path, experiment: Experiment) -> tuple[Any, int]:
    """Returns the config and the seed of the run in a folder.

    Raises CheckpointError, naming what differs, where the run is of another experiment, method or
    version.
    """
    saved = saved_config(path)
    mine = {
        "experiment": experiment.name,
        "method": experiment.method.__name__,
        "version": provenance.own_version(),
    }
    for key, value in mine.items():
        if saved[key] != value:
            raise CheckpointError(
                f"{path}: got a run of {key} {saved[key]!r}, expected {value!r}; resume it by what made it"
            )
    default = with_parts(experiment.config, saved["config"])
    names = set(flat(default))
    if odd := sorted(names ^ set(saved["config"])):
        raise CheckpointError(
            f"{path}: got settings that differ from this method's in {', '.join(odd)}; it is of another version"
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in saved["config"].items()}
    for name, value in values.items():
        usual = flat(default)[name]
        if not _alike(value, usual):
            raise CheckpointError(
                f"{path}: got {name} = {value!r} in config.json, expected a {type(usual).__name__}"
            )
    try:
        return rebuilt(default, values), saved["seed"]
    except (GPSError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: got a config.json that is refused: {error}") from None


def _alike(value: Any, default: Any) -> bool:
    """Returns whether a saved value may stand where this default stands."""
    numbers = (int, float)
    return (
        type(value) is type(default)
        or None in (value, default)
        or (type(value) in numbers and type(default) in numbers)
    )


def check_owner(
    checkpoint: Checkpoint, experiment: Experiment, config: Any, seed: int, path: Path
) -> None:
    """Raises CheckpointError, naming what differs, where a checkpoint is of another run than
    config.json says.
    """
    settings = {key: list(v) if isinstance(v, tuple) else v for key, v in flat(config).items()}
    saved = checkpoint.meta["config"]
    odd = [
        key
        for key in {**settings, **saved}
        if key != "iterations"  # a run may be made longer
        and (saved.get(key) != settings.get(key) or (key in saved) != (key in settings))
    ]
    odd += differing_choices(checkpoint.meta.get("chosen", experiment.chosen), experiment.chosen)
    odd += [
        key
        for key, value in {"experiment": experiment.name, "seed": seed}.items()
        if checkpoint.meta[key] != value
    ]
    if odd or not isinstance(checkpoint.tree.get("state"), dict):
        raise CheckpointError(
            f"{path}: got a checkpoint that differs from config.json in {', '.join(odd) or 'state'}; "
            "expected those of one run; take the whole folder from one place"
        )


def differing_choices(saved: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """Returns what differs in the task and the cost that were named on the command line. Where the
    environments run, and whether the cost's file was changed, is asked elsewhere.
    """
    apart = ("task_processes", "cost_digest")
    return [
        key
        for key in {**saved, **mine}
        if key not in apart
        and saved.get(key) != mine.get(key)
        and not (key == "task" and is_model(saved.get(key)) and is_model(mine.get(key)))
    ]


def is_model(task: Any) -> bool:
    """Returns whether the task's word names a model file, which may lie elsewhere now: what is in
    it is looked at apart.
    """
    return isinstance(task, str) and task.removeprefix("randomised:").startswith("mjcf:")


def restore_generator(rng: np.random.Generator, state: dict[str, Any], path: Path) -> None:
    """Puts a saved state into a generator. Raises CheckpointError where it is refused."""
    try:
        rng.bit_generator.state = state
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{path}: got a random generator's state that is refused ({error}); it is damaged"
        ) from None


def same_machine(saved: Mapping[str, Any], mine: Mapping[str, Any], strict: bool = False) -> bool:
    """Returns whether the last bits will be those of an uninterrupted run; warns where they may
    not.

    Raises CheckpointError instead of the warning where `strict`.
    """
    odd = sorted(key for key in {**saved, **mine} if saved.get(key) != mine.get(key))
    if odd and strict:
        raise CheckpointError(
            f"{', '.join(odd)} differ from the run's first part, expected the same: leave out --strict-resume to go on "
            "with other last bits"
        )
    if odd:
        warnings.warn(
            f"{', '.join(odd)} differ from the run's first part: it goes on, but not to the same last bits",
            stacklevel=2,
        )
    return not odd


def longer(path: Path, config: Any) -> bool:
    """Returns whether a finished run is to go on: more iterations are asked for than it made."""
    made = (saved_result(path) or {}).get("iterations")
    return isinstance(made, int) and (getattr(config, "iterations", None) or 0) > made


def start_of(path: Path, about: Mapping[str, Any]) -> Checkpoint:
    """Returns the newest checkpoint of another run, from whose state a new one begins; `about` is
    the new one's config.json. Raises CheckpointError where the runs are of two methods, or the
    other one has made as many iterations as the new one is to end with.
    """
    saved, start = saved_config(path), RunFolder(path).newest()
    if saved["method"] != about["method"]:
        raise CheckpointError(
            f"{path}: got a run of {saved['method']} to begin from; expected one of {about['method']}"
        )
    if start is None or not isinstance(start.tree.get("state"), dict):
        raise CheckpointError(f"{path}: got a run without an iteration; expected one or more")
    done, asked = start.meta["iteration"], about["config"].get("iterations")
    if asked is not None and asked <= done:
        raise CheckpointError(
            f"{path}: got {asked} iterations for a run that begins after iteration {done} of this one; "
            f"expected more, such as --iterations {2 * done}: the numbers go on"
        )
    return start


def as_first(
    start: Checkpoint, about: Mapping[str, Any], seed: int
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Returns the number, the tree and the account of the checkpoint with which a new run begins
    where another one stood: its own generator, and no time spent.
    """
    names = ("experiment", "config", "chosen")
    rng = np.random.default_rng(seed).bit_generator.state
    fresh = {"seed": seed, "rng": rng, "seconds": 0.0, "saving": 0.0, "exact": True}
    meta = {name: about[name] for name in names} | fresh | {"not_drawn": []}
    return start.meta["iteration"], {k: start.tree.get(k) for k in ("state", "policy")}, meta


def unfit(error: Exception, path: Path) -> CheckpointError:
    """Returns the error for a checkpoint whose state a method cannot go on from."""
    return CheckpointError(
        f"{path}: got a checkpoint that its method cannot go on from ({type(error).__name__}: {error}); expected the "
        "state of this experiment: take the whole folder from one place"
    )
