"""Ctrl-C and its relatives: the first asks to stop after the step at hand, the second stops at
once.
"""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Listens for signals while it is entered; `asked` is the number of the first that came, or
    0.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            heard = [
                s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN
            ]  # nohup, or a shell's &
            self._before = {s: signal.signal(s, self._hear) for s in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            _write(
                "\x1b[?25h" if sys.stderr and sys.stderr.isatty() else ""
            )  # show the cursor again
            os._exit(128 + number)
        self.asked = number
        _write("\nstopping after this step, which is then saved; once more stops at once\n")


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(
            2, text.encode()
        )  # the handler may have interrupted a print: no buffered stream here
