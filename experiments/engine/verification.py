"""Whether a run is whole: its checkpoints, tables, policy, report and result are as they were
written.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dynamics.storage.files import folders_by_number, read_file
from dynamics.storage.tree import load_tree
from lqr import CheckpointError

from .run_folder import CHECKPOINTS
from .saved_files import CONFIG, RESULT, TABLES, checked, saved_config, saved_result
from .tables import CHANGED

FILES = (CONFIG, *TABLES, "report.html", "policy.gif", "policy.mp4")  # digested at a run's end
FOLDERS = (CHECKPOINTS, "policy", "trajectories", "figures")
MOST_BYTES = 1 << 32  # of a file
OWN = ("experiment", "config", "seed")  # what config.json and a checkpoint must agree on


def verify(path: Path) -> dict[str, Any]:
    """Returns the newest whole iteration as "progress", and for each checkpoint its digest, or what
    is wrong with it.

    Changes nothing, and takes no lock. Raises CheckpointError where there is no run, where no
    checkpoint of it is whole, and where a part of it is gone or not as it was written.
    """
    saved = saved_config(path)
    steps, found = path / CHECKPOINTS, dict[str, str]()
    newest: dict[str, Any] = {}
    for number, folder in folders_by_number(steps, "step_") if steps.is_dir() else ():
        try:
            meta = checked(load_tree(folder)[1], number, folder)
            found[folder.name] = _digest(folder / "MANIFEST.json")
            newest = newest or meta
        except CheckpointError as error:
            found[folder.name] = str(error)
    if found and not newest:
        raise CheckpointError(
            f"{path}: got {len(found)} checkpoints, none of them whole; take another copy of the run"
        )
    if odd := [key for key in OWN if newest and newest[key] != saved[key]]:
        raise CheckpointError(
            f"{path}: got a {CONFIG} that differs from the checkpoints in {', '.join(odd)}; {CHANGED}"
        )
    for name, mark in newest.get("tables", {}).items():
        check_table(path / name, mark)
    for name, finite in (("policy", True), ("trajectories", False)):
        if (path / name).is_dir():
            load_tree(path / name, finite)
    result = saved_result(path)
    if result is not None:
        check_seal(path, result, [name for name, told in found.items() if len(told) != 64])
    return {
        "experiment": saved["experiment"],
        "seed": saved["seed"],
        "progress": newest.get("iteration", 0),
        "finished": result is not None,
        "checkpoints": found,
    }


def sealed(path: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the result of a finished run with the digests of all that it left, and of itself."""
    digests = {name: _digest(path / name) for name in sorted(_parts(path))}
    return {**result, "digests": {**digests, RESULT: _digest_of(result)}}


def check_seal(path: Path, result: Mapping[str, Any], passed_over: list[str]) -> None:
    """Raises CheckpointError where a part of a finished run is gone or was changed; checkpoints
    that are told of elsewhere are `passed_over`.
    """
    digests = dict(result["digests"])
    own = {key: value for key, value in result.items() if key != "digests"}
    if digests.pop(RESULT, None) != _digest_of(own):
        raise CheckpointError(
            f"{path / RESULT}: got another digest than it was written with; {CHANGED}"
        )
    for name, digest in digests.items():
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts:
            raise CheckpointError(f"{path / RESULT}: got the part {name!r}; expected one within")
        if len(parts) > 2 and parts[1] in passed_over:
            continue
        if not os.path.lexists(path / name):
            raise CheckpointError(f"{path / name}: got nothing there; expected it; {CHANGED}")
        if _digest(path / name) != digest:
            raise CheckpointError(
                f"{path / name}: got another digest than it was written with; {CHANGED}"
            )


def check_table(path: Path, mark: dict[str, Any]) -> None:
    """Raises CheckpointError where the beginning of a table is not what a checkpoint's mark says of
    it.
    """
    content = read_file(path, MOST_BYTES)[: mark["bytes"]]
    if len(content) < mark["bytes"] or hashlib.sha256(content).hexdigest() != mark["sha256"]:
        raise CheckpointError(f"{path}: got other rows than expected; {CHANGED}")


def _parts(path: Path) -> Iterator[str]:
    """Yields the files of a run that a reader of it may use, by their places in its folder."""
    yield from (name for name in FILES if (path / name).exists())
    for folder in FOLDERS:
        yield from (
            str(file.relative_to(path)) for file in (path / folder).rglob("*") if file.is_file()
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(read_file(path, MOST_BYTES)).hexdigest()


def _digest_of(result: Mapping[str, Any]) -> str:
    """Returns the digest of a result, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()
