"""A run as a process: what a sweep needs of it, and how one is started on this machine."""

import ctypes
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol


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
    libc = ctypes.CDLL(None)
    with open(log, "ab") as out:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(1, when_we_die),  # PR_SET_PDEATHSIG
        )
