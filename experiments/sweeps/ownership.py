"""What a folder of several runs was begun with, written in it before the first of them."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynamics.storage.files import discard, folders_by_number, make_folder, read_json, write_file
from lqr import CheckpointError

from ..engine.resume import differing_choices
from ..engine.run_folder import remove_empty
from ..engine.saved_files import CONFIG, saved_config

MARK = "begun_with.json"
SAME = ("experiment", "method", "config")  # of config.json; `chosen` is looked at apart


def claim(folder: Path, mark: Mapping[str, Any], foreign: Sequence[str] = ()) -> None:
    """Makes a folder for what `mark` says, or takes it again where it says the same.

    Raises CheckpointError where it was begun with something else, or, without a mark, holds what
    fits a `foreign` pattern.
    """
    mine = json.loads(json.dumps(mark))
    make_folder(folder)
    if os.path.lexists(folder / MARK):
        theirs = read_json(folder / MARK)
        odd = sorted(key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key))
        if odd:
            told = "; ".join(
                f"{key} {str(mine.get(key))[:200]} where it has {str(theirs.get(key))[:200]}"
                for key in odd
            )
            raise CheckpointError(
                f"{folder}: got {told}; expected what it was begun with: take another --out"
            )
        return
    if found := [path.name for pattern in foreign for path in folder.glob(pattern)]:
        raise CheckpointError(
            f"{folder}: got a folder that holds {found[0]} and does not say whose it is; expected a new one, "
            "or one that this command began"
        )
    write_file(folder / MARK, json.dumps(mine, indent=1).encode())


def withdrawn(folder: Path, seeds: Sequence[int]) -> bool:
    """Returns whether no run of these seeds began in a sweep's folder; what the sweep wrote there is
    then taken away, and the folder where nothing else is in it.
    """
    if any(os.path.lexists(folder / f"seed_{seed}") for seed in seeds):
        return False
    for name in (MARK, *(f"seed_{seed}.log" for seed in seeds)):
        discard(folder / name)
    remove_empty(folder)
    return True


def check_runs(folder: Path, about: Mapping[str, Any]) -> None:
    """Raises CheckpointError where a run in a sweep's folder is not of the sweep that `about`
    describes, or of another seed than its folder says.
    """
    for seed, place in folders_by_number(folder, "seed_"):
        if not os.path.lexists(place / CONFIG):
            continue
        if odd := differing(saved_config(place), about, seed):
            raise CheckpointError(
                f"{place}: got a run that differs in {', '.join(odd)}; expected one of this sweep: take another --out"
            )


def differing(saved: Mapping[str, Any], about: Mapping[str, Any], seed: int) -> list[str]:
    """Returns what of a run's config.json is not as in the description of a sweep's runs."""
    mine = json.loads(json.dumps(dict(about)))
    odd = [key for key in SAME if saved[key] != mine[key]]
    odd += differing_choices(saved["chosen"], mine["chosen"])
    if saved["chosen"].get("cost_digest") != mine["chosen"].get("cost_digest"):
        odd.append("the content of the cost's file")
    return odd + (["seed"] if saved["seed"] != seed else [])
