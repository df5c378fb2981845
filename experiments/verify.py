"""Whether a run is whole: `python experiments/verify.py RUN` prints its progress and each
checkpoint's digest.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dynamics.storage.files import folders_by_number, read_file, read_json
from dynamics.storage.tree import load_tree
from experiments.engine.cli import complain
from experiments.engine.run_folder import CHECKPOINTS, RESULT, checked, saved_config
from experiments.engine.tables import CHANGED
from lqr import CheckpointError


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


def main(words: list[str]) -> int:
    """Prints what `verify` finds as JSON; returns 0, 2 for other words than one, or 3 for what is
    not whole.
    """
    if len(words) != 1 or words[0].startswith("-"):
        complain(
            "got other words than the folder of one run; expected python experiments/verify.py RUN"
        )
        return 2
    try:
        found = verify(Path(words[0]))
    except CheckpointError as error:
        complain(str(error))
        return 3
    print(json.dumps(found, indent=1))
    return 0 if all(len(digest) == 64 for digest in found["checkpoints"].values()) else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
