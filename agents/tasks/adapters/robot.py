"""A real robot as a task: one driver, one episode after the other, in real time.

    class Arm:                                       # x = [angles, velocities], u = torques
        def read(self): ...                          # returns x, as the sensors tell it now
        def command(self, u): ...                    # sends u, which holds until the next one
        def stop(self): ...                          # makes it safe; called often, and in any state

    task = RobotTask(Arm(), cost, action_low=[-5], action_high=[5], rate_limit=[1.0], horizon=100, dt=0.02)

Before each episode a person, or a function, puts the robot back. Each action goes out at its tick,
within the limits and not further from the one before than `rate_limit`, whoever asks for what. An
emergency stops the robot, discards the episode and runs it again; nothing of it is learned from. A
journal keeps the episodes of an iteration that a crash has cut off (`agents.tasks.adapters.journal`).
"""

import signal
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lqr import InputError, SimulationError

from ...interfaces import Array, Cost, EpisodeDiscarded, StoppedByUser
from ...settings import Count, Positive, Share, checked
from .answers import numbers, truth, vector
from .driver import Answer, Driver, EmergencyStop, PutBack, Sensors, prompt
from .journal import Entry, Journal, Record
from .real_time import Guard, Ticks
from .user_task import Metrics, OwnTask

MANY = 0.1  # of an episode's steps; a warning tells of more missed deadlines than that


class RobotTask(OwnTask):
    """A robot behind a driver. `put_back(condition)` is called before each episode and answers go
    (or None), repeat (the last episode) or stop; with None nobody is asked. Raises InputError for
    what does not fit. The driver is asked to `read` once, to see what x is like; nothing moves.
    """

    def __init__(
        self,
        driver: Driver,
        cost: Cost,
        *,
        action_low: Sequence[float] | Array,
        action_high: Sequence[float] | Array,
        horizon: int,
        dt: float,  # s, the period
        conditions: int = 1,
        name: str = "robot",
        metrics: Metrics | None = None,
        put_back: PutBack | None = prompt,
        rate_limit: float | Sequence[float] | Array = np.inf,  # of the change of u in a step, (du,)
        rest: float | Sequence[float] | Array = 0.0,  # the action that `stop` leaves, (du,)
        x_low: float | Sequence[float] | Array = -np.inf,  # outside of which is an emergency, (dx,)
        x_high: float | Sequence[float] | Array = np.inf,
        lead: float = 0.25,  # of a period, between reading x and the tick of the action it leads to
        patience: float = 0.5,  # s without an action after which the robot is stopped
        attempts: int = 5,  # emergencies in a row after which the run ends
        journal: str | Path | None = None,  # a folder; `run.py` has one in the run's
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        missing = [
            method
            for method in ("read", "command", "stop")
            if not callable(getattr(driver, method, None))
        ]
        if missing:
            raise InputError(
                f"the driver of {name}, a {type(driver).__name__}, has no {', '.join(missing)}; expected read(), "
                "command(u) and stop()"
            )
        sensors = Sensors(driver)
        super().__init__(
            lambda: sensors,
            cost,
            action_low=action_low,
            action_high=action_high,
            horizon=horizon,
            dt=dt,
            conditions=conditions,
            name=name,
            metrics=metrics,
        )
        self.driver, self._put_back = driver, put_back
        self._attempts = checked("attempts", attempts, Count)
        self._rate = _sized("rate_limit", rate_limit, self.du)
        self._rest = np.clip(_sized("rest", rest, self.du), self.action_low, self.action_high)
        self._low, self._high = _sized("x_low", x_low, self.dx), _sized("x_high", x_high, self.dx)
        if not (self._low < self._high).all():
            raise InputError(f"x_low is {x_low}, x_high {x_high}; expected low < high")
        if not (self._rate > 0).all():
            raise InputError(f"rate_limit is {rate_limit}; expected numbers above 0")
        self._lead, self._ticks = checked("lead", lead, Share), Ticks(self.dt, clock, sleep)
        self._guard = Guard(driver.stop, checked("patience", patience, Positive))
        self._journal = Journal(journal)
        # of this iteration's episodes: missed, total, worst, discarded
        self._timings: list[Array] = []
        self._discarded = self._in_row = self._repeatable = 0
        self._entry: Entry | None = None  # of the journal, in place of the robot
        self._record: Record | None = None  # of the robot's episode
        self._over = np.zeros(0, bool)
        self.applied = self._rest[None]
        weakref.finalize(self, self._guard.close)  # at exit, too

    def begin_iteration(self, number: int, folder: Path | None = None) -> None:
        """Says that all before iteration `number` is saved: its episodes leave the journal."""
        self._close()
        self._journal.begin(number, folder)
        self._timings, self._discarded = [], 0

    def repeatable(self, count: int) -> None:
        """Says how many of the last episodes may be repeated."""
        self._repeatable = count

    def abort(self) -> None:
        """Stops the robot, and forgets the episode."""
        self._record = self._entry = None
        self._guard.halt()

    def begin(self, conditions: Array, rng: np.random.Generator) -> Sequence[Any]:
        """Has the robot put back in each condition (B,); returns x of each."""
        self._now = self._sims * len(conditions)
        found = [self._start(int(c)) for c in conditions]
        self._seen_now = np.stack([o for _, o in found])
        return [x for x, _ in found]

    def step(self, u: Array) -> Array:
        """Applies u (1, du) at its tick; returns x (1, dx). Raises EpisodeDiscarded after an
        emergency, and InputError for what is no action, or no episode; the robot is stopped then.
        """
        if not np.isfinite(u).all() or not (self._record or self._entry or self._over.any()):
            self.abort()
            raise InputError(
                f"{self.name}: got the action {u}; expected finite numbers, in an episode that goes on"
            )
        return super().step(u)

    def advance(self, u: Array, which: Array) -> tuple[Sequence[Any], Array, Array]:
        """Applies u (1, du); returns x, no rewards, and whether that was the end, (1,) each."""
        x, o, over = self._again(u[0]) if self._entry else self._drive(u[0])
        self._seen_now = o[None]
        return [x], np.zeros(1), np.array([over])

    def observe(self) -> Array:
        """Returns what a policy saw when x was read, o (B, do)."""
        return self._seen_now.copy()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the numbers that were asked for, and of the iteration so far: the deadlines that
        were missed, how late that was in all and at worst (s), and how many episodes were
        discarded; (N,) each.
        """
        missed, total, worst, discarded = np.array([np.zeros(4), *self._timings]).T
        told = {
            "missed_deadlines": missed.sum(),
            "lateness_total": total.sum(),
            "lateness_worst": worst.max(),
            "discarded_episodes": discarded.sum(),
        }
        return super().metrics(x, u) | {name: np.full(len(x), v) for name, v in told.items()}

    def _start(self, condition: int) -> tuple[Array, Array]:
        """Returns x and o at the start of an episode: of the journal's, or of the robot."""
        self._close()
        if entry := self._journal.take(condition):
            self._timings.append(entry.timing)
            self._entry, self._t = entry, 0
            return entry.x[0], entry.o[0]
        while True:
            answer: Answer | None = "go"
            try:
                self._guard.begin()
                self._guard.driving()
                if self._put_back:
                    answer = self._put_back(condition)
                if answer in ("go", None):
                    x, o = self._sense()
                self._guard.end()
            except BaseException as error:
                self._failed(error, between=True)
                continue
            if answer in ("go", None):
                break
            if answer == "stop":
                raise StoppedByUser(self._farewell())
            if answer != "repeat":
                raise InputError(f"put_back gave {answer!r}; expected go, repeat, stop or None")
            if self._repeatable:
                self._journal.drop()
                self._discarded += 1 + int(self._timings.pop()[3])
                raise EpisodeDiscarded(f"the last episode of {self.name} is to be repeated", back=1)
            self._tell("no episode can be repeated: the last one was learned from")
        self._record, self._last = Record(condition, x, o), self._rest
        return x, o

    def _drive(self, asked: Array) -> tuple[Array, Array, bool]:
        """Sends an action at its tick; returns x, o and whether the episode is over, a period later."""
        record = self._record
        assert record is not None
        try:
            if record.asked:
                self._guard.driving()
                self._ticks.wait(0.0)
            else:  # nothing moves yet, so the first action has all the time
                self._guard.begin()
                self._guard.driving()
                self._ticks.start()
            u = np.clip(asked, self._last - self._rate, self._last + self._rate)
            u = np.clip(u, self.action_low, self.action_high)
            self.driver.command(u.copy())
            self._ticks.wait(1.0 - self._lead)
            self._ticks.next()
            x, o = self._sense()
            over = truth(getattr(self.driver, "over", False), f"the `over` of {self.name}")
            if ended := over or len(record.asked) + 1 == self.horizon:
                self.driver.stop()
                self._guard.end()
            else:
                self._guard.thinking()
        except BaseException as error:
            self._failed(error)
            raise EpisodeDiscarded(f"{self.name}: {error}") from error
        record.add(asked, u, x, o)
        self._last, self.applied = u, u[None]
        if ended:
            self._finish(over)
        return x, o, over

    def _again(self, asked: Array) -> tuple[Array, Array, bool]:
        """Returns what the robot answered to this action, by the journal; raises CheckpointError
        where it was another one.
        """
        entry, t = self._entry, self._t
        assert entry is not None
        if t >= len(entry.asked) or asked.tobytes() != entry.asked[t].tobytes():
            before = entry.asked[t] if t < len(entry.asked) else "none"
            raise self._journal.unfit(f"the action {asked} at step {t}, where it was {before}")
        self._t, self.applied = t + 1, entry.applied[t][None]
        return entry.x[t + 1], entry.o[t + 1], entry.over and t + 1 == len(entry.asked)

    def _sense(self) -> tuple[Array, Array]:
        """Returns x and o as they are now. Raises EmergencyStop."""
        if getattr(self.driver, "emergency", False):
            raise EmergencyStop("the driver tells an emergency")
        x = vector(self.driver.read(), f"what the driver of {self.name} reads", self.dx)
        if len(out := np.flatnonzero((x < self._low) | (x > self._high))):
            i = out[0]
            raise EmergencyStop(
                f"x[{i}] is {x[i]:.4g}, outside {self._low[i]:g} to {self._high[i]:g}"
            )
        return x, self._seen(self._sims[0], x)

    def _failed(self, error: BaseException, between: bool = False) -> None:
        """Stops the robot; returns where the episode is to be run again, and raises where the run
        ends.
        """
        self._in_row += 1
        try:
            self.abort()
        except Exception as worse:
            raise SimulationError(
                f"{self.name}: got {worse!r} from stop(), after {error!r}; stop the robot by hand"
            ) from worse
        heard = self._guard.signal
        if heard and (between or heard != signal.SIGINT or not self._put_back):
            raise StoppedByUser(self._farewell()) from None
        if isinstance(error, SystemExit):
            raise SimulationError(
                f"{self.name}: the driver or put_back ended the program, SystemExit: {error}; expected it to return, "
                "or to raise EmergencyStop"
            ) from error
        if isinstance(error, StoppedByUser) or not isinstance(error, Exception):
            raise error
        self._discarded += 1
        told = str(error) if isinstance(error, EmergencyStop) else repr(error)
        self._tell(f"stopped, and the episode discarded: {told}")
        if self._in_row >= self._attempts:
            raise SimulationError(
                f"{self.name}: {self._in_row} episodes in a row were discarded, the last one as {told}; expected "
                f"one to end: look at the robot; {self._journal.kept}"
            ) from error

    def _finish(self, over: bool) -> None:
        """Keeps the episode."""
        record, ticks = self._record, self._ticks
        assert record is not None
        steps = len(record.asked)
        late = [ticks.missed, ticks.total, ticks.worst] if steps else [0, 0, 0]
        timing = np.array([*late, self._discarded], dtype=float)
        self._record, self._in_row, self._discarded = None, 0, 0
        self._journal.add(record.entry(over, timing, self.du))
        self._timings.append(timing)
        if steps and ticks.missed > MANY * steps:
            warnings.warn(
                f"{self.name}: {ticks.missed} of {steps} actions were late, the worst by {ticks.worst:.4f} s; expected "
                f"few: take a dt above {self.dt:g} s, or a faster device or method",
                stacklevel=2,
            )

    def _close(self) -> None:
        """Ends an episode that nobody went on with: it was only looked at, or left."""
        if self._entry and self._t < len(self._entry.asked):
            raise self._journal.unfit(f"an end at step {self._t} of {len(self._entry.asked)}")
        self._entry = None
        if self._record:
            if self._record.asked:
                self._guard.halt()
            self._finish(False)

    def _farewell(self) -> str:
        return f"{self.name} was stopped by hand; {self._journal.kept}"

    def _tell(self, text: str) -> None:
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)


def _sized(name: str, value: Any, size: int) -> Array:
    """Returns numbers (size,); one stands for all. Raises InputError, which names them."""
    given = numbers(value)
    found = np.full(1, np.nan) if given is None else given.reshape(-1)
    truth_values = np.asarray(value).dtype.kind == "b"
    if len(found) not in (1, size) or np.isnan(found).any() or truth_values:
        raise InputError(f"{name} is {value}; expected one number, or {size}")
    return np.broadcast_to(found, size)
