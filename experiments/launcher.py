"""How every command of this folder starts: this checkout's packages, one thread, one guard.

A command is a module with `main(words) -> exit code` that imports only the standard library at its
top; what it needs of the libraries it imports in `main`, under the guard.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, util
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [
    "run",
    "evaluate",
    "watch",
    "compare",
    "compare_priors",
    "sweep",
    "export",
    "verify",
    "tune",
    "benchmark",
    "peers",
]  # modules of this folder
OURS = {  # how the first line of each package begins
    "lqr": "Plan:",
    "dynamics": "Model:",
    "agents": "Act:",
    "gps": "Guide:",
    "experiments": "Run:",
}
INTERRUPTED = 130


def prepare() -> None:
    """Makes this checkout's packages win over others of the same names, and linear algebra use one
    thread.

    More threads would sum in another order, and a run could then not be repeated to the last bit.
    """
    here = ROOT / "experiments"  # a script's own folder is in sys.path: it holds no libraries
    others = [p for p in sys.path if not Path(p).resolve().is_relative_to(here)]
    if (ROOT / "pyproject.toml").is_file():  # else it is installed, and stands where it stands
        others = [str(ROOT), *(p for p in others if p != str(ROOT))]
    sys.path[:] = others
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"


def foreign() -> str | None:
    """Returns what is wrong where another distribution's package stands in place of one of ours,
    with the remedy; nothing is imported.
    """
    for name, first in OURS.items():
        found = util.find_spec(name)
        place = Path(found.origin) if found and found.origin else None
        ours = place is not None and place.resolve().is_relative_to(ROOT)
        if place is None or not ours or not _begins(place, first):
            return (
                f"got another package of the name {name}, {place}; expected this library's: another "
                f"distribution has overwritten or hidden it, as openai-agents does with agents; install this "
                "one in a virtual environment of its own"
            )
    return None


def _begins(path: Path, first: str) -> bool:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().startswith(f'"""{first}')


def program() -> NoReturn:
    """Runs a command, as in `gps run reacher` or `gps evaluate RUN`: what the package installs."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    helped = name in ("-h", "--help")
    sys.argv[1:2] = []

    def main(words: Sequence[str]) -> int:
        if name in COMMANDS:
            return int(import_module(f"experiments.{name}").main(words))
        usage = f"usage: gps COMMAND [...]; COMMAND is one of {', '.join(COMMANDS)}"
        print(usage, file=sys.stdout if helped else sys.stderr)
        return 0 if helped else 2

    launch(main)


def launch(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a command's `main` on the words of the command line, and ends the process with its exit
    code.

    Ctrl-C while the libraries load, or at the very end, ends it at once and silently.
    """
    listening = signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_DFL)
    if listening:
        signal.signal(signal.SIGINT, _end)
    prepare()
    if wrong := foreign():
        sys.exit(f"error: {wrong}")
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
