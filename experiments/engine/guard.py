"""The guard of every command: an exit code for every end, and one line for every error."""

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial

from lqr import CheckpointError, GPSError, InputError, NumericalError, SimulationError, StorageError

from .parser import HelpShown
from .progress import Unbreakable, complain, printable
from .run_folder import Busy

FILES = 5
EXIT_CODES = (  # the first class that fits decides
    (Busy, 4),
    (CheckpointError, 3),
    (StorageError, FILES),
    (InputError, 2),
    (NumericalError, 6),
    (SimulationError, 6),
    (OSError, FILES),
    (GPSError, 1),
)


def guarded(command: Callable[[Sequence[str]], int], words: Sequence[str]) -> int:
    """Runs a command on its words; every command goes through here.

    Returns the exit code: 0 done, 2 settings, 3 checkpoint, 4 busy, 5 files, 6 numbers or
    simulation, 128 + a signal when stopped, 1 anything else. Whatever happens costs one line; text
    that had no place to go, as on a full disk, is 5.
    """
    debug = "--debug" in words
    said, told = Unbreakable(sys.stdout), False
    try:
        with contextlib.redirect_stdout(said), warnings.catch_warnings():  # type: ignore[type-var]
            warnings.showwarning = partial(_show_warning, shown=set())
            code = command(words)
    except KeyboardInterrupt:
        code, told = 130, True
    except HelpShown:
        code = 0
    except (Exception, SystemExit) as error:
        told = True
        code = next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
        if debug:
            with contextlib.suppress(OSError, ValueError):
                traceback.print_exc()
        complain(_told(error))
    said.flush()
    if said.lost and not told:
        complain(f"cannot write the standard output ({said.lost}); all else is done")
    _close_output()
    return code or (FILES if said.lost else 0)


def _told(error: BaseException) -> str:
    """Returns what a person is told of an error."""
    if isinstance(error, (GPSError, OSError)):
        return str(error)
    if isinstance(error, MemoryError):
        return f"got no more memory ({error}); expected enough: take smaller settings"
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{where.filename}, line {where.lineno}"
    if isinstance(error, SystemExit):  # of a task, a cost or an environment: no part of ours does
        ended = f"{place}: got sys.exit({error.code}), which ends the program without a result"
        return f"{ended}; expected a return or an error: take it out"
    if isinstance(error, RecursionError):
        return f"{place}: got something that is nested without end ({error}); --debug shows where"
    return f"{type(error).__name__}: {error} (unexpected; --debug shows where)"


def _show_warning(message: Warning | str, *_: object, shown: set[str], **__: object) -> None:
    """Writes a warning as one line, the first time it comes."""
    if str(message) in shown:
        return
    shown.add(str(message))
    with contextlib.suppress(OSError, ValueError):
        print("warning: " + printable(" ".join(str(message).split())), file=sys.stderr, flush=True)


def _close_output() -> None:
    """Flushes the output; where its reader is gone, Python must not complain about it at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
