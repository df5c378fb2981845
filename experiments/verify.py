"""Whether a run is whole: `python experiments/verify.py RUN` prints its progress and each
checkpoint's digest.

Exit code 0: whole; 3: not.
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

import json
from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str]) -> int:
    """Prints what is found of the run as JSON; returns 0, or 3 where a checkpoint is damaged."""
    from experiments.engine.parser import Parser
    from experiments.engine.verification import verify

    parser = Parser("python experiments/verify.py", __doc__)
    parser.add_argument("run", type=Path, help="the folder of a run, as --out or runs/ has it")
    found = verify(parser.parse_args(words).run)
    print(json.dumps(found, indent=1))
    return 0 if all(len(digest) == 64 for digest in found["checkpoints"].values()) else 3


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
