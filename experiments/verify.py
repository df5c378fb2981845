"""Whether a run is whole: `python experiments/verify.py RUN` prints its progress and each checkpoint's digest."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dynamics.files import folders_by_number
from dynamics.storage import load_tree
from experiments.command import complain
from experiments.folder import CHECKPOINTS, RESULT, saved_config
from lqr import CheckpointError


def verify(path: Path) -> dict[str, Any]:
    """Returns the newest whole iteration as "progress", and for each checkpoint its digest, or what is wrong with it.

    Changes nothing, and takes no lock. Raises CheckpointError where there is no run, or no checkpoint of it is whole.
    """
    saved = saved_config(path)
    steps, found = path / CHECKPOINTS, dict[str, str]()
    progress = 0
    for number, folder in folders_by_number(steps, "step_") if steps.is_dir() else ():
        try:
            load_tree(folder)
            found[folder.name] = hashlib.sha256((folder / "MANIFEST.json").read_bytes()).hexdigest()
            progress = max(progress, number)
        except CheckpointError as error:
            found[folder.name] = str(error)
    if found and not progress:
        raise CheckpointError(f"{path}: got {len(found)} checkpoints, none of them whole; take another copy of the run")
    if (path / "policy").is_dir():
        load_tree(path / "policy")
    return {
        "experiment": saved["experiment"],
        "seed": saved["seed"],
        "progress": progress,
        "finished": (path / RESULT).exists(),
        "checkpoints": found,
    }


def main(words: list[str]) -> int:
    """Prints what `verify` finds as JSON; returns 0, 2 for other words than one, or 3 for what is not whole."""
    if len(words) != 1 or words[0].startswith("-"):
        complain("got other words than the folder of one run; expected python experiments/verify.py RUN")
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
