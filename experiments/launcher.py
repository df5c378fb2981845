"""How every command of this folder starts: this checkout's packages, one thread, one guard.

A command is a module with `main(words) -> exit code` that imports only the standard library at its
top; what it needs of the libraries it imports in `main`, under the guard.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
INTERRUPTED = 130


def prepare() -> None:
    """Makes this checkout's packages win over others of the same names, and linear algebra use one
    thread.

    More threads would sum in another order, and a run could then not be repeated to the last bit.
    """
    here = (
        ROOT / "experiments"
    )  # a script's own folder is in sys.path: its modules are no libraries
    others = (p for p in sys.path if not Path(p).resolve().is_relative_to(here) and p != str(ROOT))
    sys.path[:] = [str(ROOT), *others]
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"


def launch(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a command's `main` on the words of the command line, and ends the process with its exit
    code.

    Ctrl-C while the libraries load, or at the very end, ends it at once and silently.
    """
    listening = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if listening:
        signal.signal(signal.SIGINT, _end)
    prepare()
    try:
        from experiments.engine.guard import guarded
    except ModuleNotFoundError as missing:
        remedy = "python -m pip install -c constraints.txt -e ."
        sys.exit(f"error: {missing.name} is not installed; {remedy}")
    if listening:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = guarded(main, sys.argv[1:])
    if listening:
        signal.signal(signal.SIGINT, _end)
    sys.exit(code)


def _end(number: int, frame: object) -> NoReturn:
    os._exit(INTERRUPTED)
