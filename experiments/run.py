"""Runs an experiment: `python experiments/run.py reacher`; --help says what there is."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def prepare() -> None:
    """Makes this checkout's packages win over others of the same names, and linear algebra use one
    thread.

    More threads would sum in another order, and a run could then not be repeated to the last bit.
    """
    here = str(ROOT / "experiments")
    sys.path[:] = [
        str(ROOT),
        *(p for p in sys.path if p not in (str(ROOT), here) and os.path.abspath(p) != here),
    ]
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"


if __name__ == "__main__":
    prepare()
    try:
        from experiments.engine.main import main
    except ModuleNotFoundError as missing:
        sys.exit(
            f"error: {missing.name} is not installed; python -m pip install -c constraints.txt -e ."
        )
    except KeyboardInterrupt:  # while the libraries are loading
        sys.exit(130)
    sys.exit(main(sys.argv[1:]))
