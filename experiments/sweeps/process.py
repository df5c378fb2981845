"""A run as a process: what a sweep needs of it, and how one is started on this machine."""

import ctypes
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from lqr import StorageError


class Process(Protocol):
    """A run that was started somewhere."""

    def poll(self) -> int | None:
        """Returns None while it runs, then its exit code, or minus the signal that killed it."""
        ...

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        ...


Launch = Callable[
    [Sequence[str], Path], Process
]  # words of a command, file for its output -> the process


class Outcome(NamedTuple):
    """How a seed ended."""

    seed: int
    code: int  # 0 done
    deaths: int  # how often its process was replaced


def start(
    words: Sequence[str], log: Path, when_we_die: int = signal.SIGTERM
) -> subprocess.Popen[bytes]:
    """Starts a process on this machine, away from the terminal's Ctrl-C; it gets that signal where
    we are killed.
    """
    ask, parent = getattr(ctypes.CDLL(None), "prctl", None), os.getpid()

    def die_with_us() -> None:
        if ask is not None:  # on Linux only
            ask(1, when_we_die)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # we were killed before the system was asked
            os._exit(128 + when_we_die)

    with open_log(log) as out:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=die_with_us,
        )


def open_log(path: Path) -> BinaryIO:
    """Opens a file to be written on at its end. Raises StorageError for a link, and for what is no
    file.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}; take another --out") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StorageError(f"cannot write {path}: it is no file; take another --out")
    return os.fdopen(handle, "ab")
