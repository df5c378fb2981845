"""What the files of a run's folder say, checked when they are read."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from dynamics.storage.files import (
    read_json,
    refuse_links,
)
from lqr import CheckpointError

CONFIG, RESULT = "config.json", "result.json"
TABLES = ("metrics.csv", "conditions.csv", "timing.csv")
PLAIN = (str, int, float, bool)


class Checkpoint(NamedTuple):
    """Where a run stood after an iteration."""

    tree: dict[str, Any]  # "state" of the method, "policy"
    meta: dict[str, Any]  # iteration, seconds, rng, marks in the tables, and whose it is


def saved_config(path: Path) -> dict[str, Any]:
    """Returns what config.json of a run's folder says. Raises CheckpointError."""
    if not (path / CONFIG).exists():
        raise CheckpointError(
            f"{path}: got no {CONFIG} there; expected the folder of a run, as --out or runs/ has it"
        )
    refuse_links(path)
    config = {"chosen": {}, "dependencies": {}, "text": "", **read_json(path / CONFIG)}
    expected: dict[str, type] = {
        "experiment": str,
        "text": str,
        "seed": int,
        "config": dict,
        "chosen": dict,
        "version": str,
        "fingerprint": dict,
        "dependencies": dict,
        "method": str,
    }
    wrong = [key for key, kind in expected.items() if type(config.get(key)) is not kind]
    for key, kinds in (("fingerprint", (str,)), ("dependencies", (str,)), ("chosen", PLAIN)):
        if key not in wrong and any(type(value) not in kinds for value in config[key].values()):
            wrong.append(key)
    if "config" not in wrong and not all(map(_is_setting, config["config"].values())):
        wrong.append("config")
    if config.get("actor") is not None and type(config["actor"]) is not str:
        wrong.append("actor")
    if wrong:
        raise CheckpointError(
            f"{path / CONFIG}: got nothing usable for {', '.join(wrong)}; expected it as the run wrote it"
        )
    return config


def saved_result(path: Path) -> dict[str, Any] | None:
    """Returns what result.json of a run's folder says; None where the run is not finished. Raises
    CheckpointError.
    """
    if not os.path.lexists(path / RESULT):
        return None
    result = {"digests": {}, **read_json(path / RESULT)}
    groups = {"evaluation": True, "held_out": False, "random": True, "idle": True}
    wrong = [
        key
        for key, evaluated in groups.items()
        if key in result and not _are_numbers(result[key], evaluated)
    ]
    kinds = {"digests": dict, "env_id": str, "input": str}
    wrong += [key for key, kind in kinds.items() if type(result.get(key, kind())) is not kind]
    if wrong:
        raise CheckpointError(
            f"{path / RESULT}: got nothing usable for {', '.join(wrong)}; expected it as the run wrote it"
        )
    return result


def checked(meta: dict[str, Any], number: int, folder: Path) -> dict[str, Any]:
    """Returns what a checkpoint says of itself. Raises CheckpointError where it is not of the form
    that a run wrote.
    """
    kinds = {
        "iteration": int,
        "seconds": float,
        "saving": float,
        "exact": bool,
        "rng": dict,
        "tables": dict,
        "config": dict,
        "experiment": str,
        "seed": int,
    }
    wrong = [key for key, kind in kinds.items() if type(meta.get(key)) is not kind]
    marks = meta["tables"] if "tables" not in wrong else {}
    if set(marks) != set(TABLES) or not all(_is_mark(mark) for mark in marks.values()):
        wrong.append("tables")
    if type(meta.get("chosen", {})) is not dict:
        wrong.append("chosen")
    if wrong or meta["iteration"] != number:
        found = ", ".join(wrong) or "iteration"
        raise CheckpointError(
            f"{folder}: got unusable entries ({found}); it is no checkpoint of a run: take another copy"
        )
    return meta


def _are_numbers(found: Any, evaluated: bool) -> bool:
    """Returns whether this is a table of numbers, of an evaluation with its mean return and maybe
    all returns.
    """
    if not isinstance(found, dict):
        return False
    returns = found.get("returns", []) if evaluated else []
    return (
        isinstance(returns, list)
        and all(map(_is_number, returns))
        and all(
            value is None or _is_number(value)
            for key, value in found.items()
            if key != "returns" or not evaluated
        )
        and (not evaluated or _is_number(found.get("mean_return")))
    )


def _is_number(value: Any) -> bool:
    """Returns whether this is a number that can be summed, and squared."""
    return type(value) in (int, float) and abs(value) < 1e150


def _is_setting(value: Any) -> bool:
    """Returns whether this is a setting's value, or several."""
    values = value if isinstance(value, list) else [value]
    return all(one is None or type(one) in PLAIN for one in values)


def _is_mark(mark: Any) -> bool:
    return (
        isinstance(mark, dict)
        and type(mark.get("bytes")) is int
        and mark["bytes"] >= 0
        and "sha256" in mark
    )
