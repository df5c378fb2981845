"""From the words of the command line to an exit code, with one line for every error."""

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial

from lqr import CheckpointError, GPSError, InputError, NumericalError, SimulationError, StorageError

from .cli import complain, parse
from .progress import Unbreakable
from .run_folder import Busy, new_path, saved_config

EXIT_CODES = (  # the first class that fits decides
    (Busy, 4),
    (CheckpointError, 3),
    (StorageError, 5),
    (InputError, 2),
    (NumericalError, 6),
    (SimulationError, 6),
    (OSError, 5),
    (GPSError, 1),
)


def main(words: Sequence[str], do: Callable[[Sequence[str]], int] | None = None) -> int:
    """Runs what the words ask for, by default an experiment, and returns the exit code: 0 done, 2
    settings, 3 checkpoint, 4 busy, 5 files, 6 numbers or simulation, 128 + a signal when stopped, 1
    anything else."""
    debug = "--debug" in words
    try:
        with contextlib.redirect_stdout(Unbreakable(sys.stdout)), warnings.catch_warnings():  # type: ignore[type-var]
            warnings.showwarning = partial(_show_warning, shown=set())
            code = (do or _main)(words)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        code = next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
        if debug:
            with contextlib.suppress(OSError, ValueError):
                traceback.print_exc()
        if isinstance(error, MemoryError):
            error = GPSError(
                f"got no more memory ({error}); expected enough: take smaller settings"
            )
        known = isinstance(error, (GPSError, OSError))
        complain(
            str(error)
            if known
            else f"{type(error).__name__}: {error} (unexpected; --debug shows where)"
        )
    _close_output()
    return code


def _main(words: Sequence[str]) -> int:
    from .overrides import choose
    from .resume import restore
    from .training import run

    request = parse(words, restore, lambda path: str(saved_config(path)["experiment"]))
    if request is None:
        return 0
    experiment, config, options = request
    if options.seed < 0:
        raise InputError(f"seed is {options.seed}; expected 0 or more")
    experiment = choose(
        experiment, options, saved_config(options.resume) if options.resume else None
    )
    path = options.resume or options.out or new_path(experiment.name, options.seed)
    return run(
        experiment, config, options.seed, path, options.resume is not None, options.strict_resume
    )


def _show_warning(message: Warning | str, *_: object, shown: set[str], **__: object) -> None:
    """Writes a warning as one line, the first time it comes."""
    if str(message) in shown:
        return
    shown.add(str(message))
    with contextlib.suppress(OSError, ValueError):
        print("warning: " + " ".join(str(message).split()), file=sys.stderr, flush=True)


def _close_output() -> None:
    """Flushes the output; where its reader is gone, Python must not complain about it at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
