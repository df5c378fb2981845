"""What a loop on hardware needs of the clock and of the operating system: ticks, and a guard while
something moves.
"""

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from .driver import EmergencyStop

SLACK = 0.1  # of a period; what comes later than that has missed its tick
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ticks:
    """Times of a fixed period; counts what came too late for them, and by how much.

    What is late moves the ticks after it, so that no action is held for less than a period.
    """

    def __init__(self, dt: float, clock: Callable[[], float], sleep: Callable[[float], None]):
        self.dt, self._clock, self._sleep = dt, clock, sleep
        self.start()

    def start(self) -> None:
        """Begins an episode: its first tick is now."""
        self._tick = self._clock()
        self.missed, self.total, self.worst = 0, 0.0, 0.0  # count; s; s

    def wait(self, share: float) -> None:
        """Returns when `share` of a period has passed since the tick; at once where that is over."""
        due = self._tick + share * self.dt
        if (rest := due - self._clock()) > 0:
            self._sleep(rest)
        late = self._clock() - due
        if late > SLACK * self.dt:
            self.missed, self.total = self.missed + 1, self.total + late
            self.worst, self._tick = max(self.worst, late), self._tick + late

    def next(self) -> None:
        """Goes on to the next tick."""
        self._tick += self.dt


class Guard:
    """Listens, while something moves, for Ctrl-C, for signals that end a program, and for silence.

    What comes while the driver is at work raises EmergencyStop there; what comes while the actor
    thinks calls `stop` at once, and raises when the driver's turn has come. A second signal raises
    KeyboardInterrupt, but does not break off a `stop`, which the third does. Only in the main
    thread; elsewhere nothing is heard.
    """

    def __init__(self, stop: Callable[[], None], patience: float):
        """`patience` is how many seconds the actor may think."""
        self.reason, self.signal = "", 0  # why to stop, and the signal that came, if one did
        self._stop, self._patience = stop, patience
        self._before: dict[int, Any] = {}
        self._timer = (0.0, 0.0)
        self._busy = self._on = self._halting = False
        self._signals = 0

    def begin(self) -> None:
        """Begins to listen."""
        self.end()
        self.reason, self.signal, self._signals, self._on = "", 0, 0, True
        if threading.current_thread() is not threading.main_thread():
            return
        self._timer = signal.getitimer(signal.ITIMER_REAL)
        for number in (*SIGNALS, signal.SIGALRM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None) or number == signal.SIGALRM:
                self._before[number] = signal.signal(number, self._hear)

    def driving(self) -> None:
        """Says that it is the driver's turn. Raises EmergencyStop where something came before."""
        self._busy = True
        self._alarm(0.0)
        if self.reason:
            raise EmergencyStop(self.reason)

    def thinking(self) -> None:
        """Says that it is the actor's turn."""
        self._alarm(self._patience)
        self._busy = False

    def end(self) -> None:
        """Listens no more: nothing moves."""
        self._busy = self._on = False
        if self._before:
            self._alarm(*self._timer)
        while self._before:
            number, handler = next(iter(self._before.items()))
            signal.signal(number, handler)
            del self._before[number]

    def halt(self) -> None:
        """Stops whatever moves, and listens no more."""
        self._halting = True
        try:
            self._stop()
        finally:
            self._halting = False
            self.end()

    def close(self) -> None:
        """Stops whatever may move; tells a person where that fails in the middle of an episode."""
        moving = self._on
        try:
            self.halt()
        except Exception as error:  # of a driver that was closed, where nothing moves
            if moving:
                print(f"got {error!r} from stop(); stop the robot by hand", file=sys.stderr)

    def _alarm(self, after: float, interval: float = 0.0) -> None:
        if self._before:
            signal.setitimer(signal.ITIMER_REAL, after, interval)

    def _hear(self, number: int, frame: object) -> None:
        if number == signal.SIGALRM:
            self.reason = f"no action came for {self._patience:g} s"
        else:
            self.reason, self.signal = signal.Signals(number).name, number
            self._signals += 1
        if self._signals > (2 if self._halting else 1):  # `stop` hangs, or the actor does
            self.end()
            raise KeyboardInterrupt
        if self._halting:
            return
        if self._busy:
            raise EmergencyStop(self.reason)
        if number == signal.SIGALRM:  # nobody may ever come back to this episode
            self.halt()
        else:
            self._stop()
