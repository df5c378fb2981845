"""Whether a run is whole: its checkpoints, tables, policy and result are as they were written."""

import hashlib
from pathlib import Path
from typing import Any

from dynamics.storage.files import folders_by_number, read_file, read_json
from dynamics.storage.tree import load_tree
from lqr import CheckpointError

from .run_folder import CHECKPOINTS, RESULT, checked, saved_config
from .tables import CHANGED


def verify(path: Path) -> dict[str, Any]:
    """Returns the newest whole iteration as "progress", and for each checkpoint its digest, or what
    is wrong with it.

    Changes nothing, and takes no lock. Raises CheckpointError where there is no run, where no
    checkpoint of it is whole, and where a table, the result, the policy or the trajectories are not
    as they were written.
    """
    saved = saved_config(path)
    steps, found = path / CHECKPOINTS, dict[str, str]()
    progress, marks = 0, dict[str, Any]()
    for number, folder in folders_by_number(steps, "step_") if steps.is_dir() else ():
        try:
            meta = checked(load_tree(folder)[1], number, folder)
            found[folder.name] = hashlib.sha256((folder / "MANIFEST.json").read_bytes()).hexdigest()
            if number > progress:
                progress, marks = number, meta["tables"]
        except CheckpointError as error:
            found[folder.name] = str(error)
    if found and not progress:
        raise CheckpointError(
            f"{path}: got {len(found)} checkpoints, none of them whole; take another copy of the run"
        )
    for name, mark in marks.items():
        check_table(path / name, mark)
    for name, finite in (("policy", True), ("trajectories", False)):
        if (path / name).is_dir():
            load_tree(path / name, finite)
    if (path / RESULT).exists():
        read_json(path / RESULT)
    return {
        "experiment": saved["experiment"],
        "seed": saved["seed"],
        "progress": progress,
        "finished": (path / RESULT).exists(),
        "checkpoints": found,
    }


def check_table(path: Path, mark: dict[str, Any]) -> None:
    """Raises CheckpointError where the beginning of a table is not what a checkpoint's mark says of
    it.
    """
    content = read_file(path, 1 << 32)[: mark["bytes"]]
    if len(content) < mark["bytes"] or hashlib.sha256(content).hexdigest() != mark["sha256"]:
        raise CheckpointError(f"{path}: got other rows than expected; {CHANGED}")
