"""What a person sees while it runs: a line per iteration and a bar on a terminal, plain lines
elsewhere.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

COLUMNS = (  # metric, heading, format; those that a method yields are shown
    ("env_steps", "steps", "{:.0f}"),
    ("cost", "cost", "{:.3g}"),
    ("policy_cost", "policy", "{:.3g}"),
    ("distance", "distance", "{:.3f}"),
    ("policy_distance", "p.dist.", "{:.3f}"),
    ("kl", "KL", "{:.3g}"),
    ("step", "step", "{:.3g}"),
)
OWN = ("lqr.", "dynamics.", "agents.", "gps.")  # modules whose kernels are kept on disk
LONG = 2 * 3600.0  # seconds from which on a run is told to be long
WIDTH = 9  # characters of a column


def printable(text: object) -> str:
    """Returns text in which characters that a terminal would obey stand as Python writes them."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in str(text))


class Unbreakable:
    """A stream whose writes never fail: a closed pipe or a full disk behind it costs the text, not
    the run. `lost` is the error of the first that failed, but for a reader that is gone.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = stream or open(os.devnull, "w")  # noqa: SIM115  None where it was closed from the start
        self.lost: OSError | None = None
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._stream.reconfigure(errors="replace")  # type: ignore[attr-defined]

    def write(self, text: str) -> int:
        with self._losing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._losing():
            self._stream.flush()

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            pass  # who reads has read enough, as `head` does
        except OSError as error:
            self.lost = self.lost or error
        except ValueError:
            pass  # it was closed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Compiling:
    """Says once, before the first kernel of ours that no cache of this machine holds, that it is
    compiled.
    """

    def __init__(self, say: Callable[[str], None]):
        from numba.core import event

        self._say, self._event, self._told = say, event, False
        event.Listener.register(Compiling)
        event.register("numba:compile", self)

    def notify(self, happening: Any) -> None:
        """Takes what numba tells (its protocol)."""
        function = happening.data["dispatcher"].py_func
        if happening.is_start and not self._told and function.__module__.startswith(OWN):
            self._told = True
            self._say("        compiling once, about 5 s")

    def close(self) -> None:
        """Listens no more."""
        self._event.unregister("numba:compile", self)


class Display:
    """The progress of one run on the standard output. Times are in seconds."""

    def __init__(self, title: str, total: int | None, done: int = 0):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.total, self._headed, self._warned = total, False, False
        self.console = Console(file=Unbreakable(sys.stdout), highlight=False, soft_wrap=True)  # type: ignore[arg-type]
        self._bar: Progress | None = None
        self.say(title)
        self._compiling = Compiling(self.say)
        if self.console.is_terminal:
            shape = (
                TextColumn("{task.description}"),
                BarColumn(None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = Progress(*shape, console=self.console, transient=True)
            self._task = self._bar.add_task("iteration", total=total, completed=done, note="")
            self._bar.start()

    def iteration(
        self, number: int, scalars: Mapping[str, float], elapsed: float, remaining: float | None
    ) -> None:
        """Shows one iteration."""
        shown = [
            (heading, form.format(scalars[key]) if math.isfinite(scalars[key]) else "-")
            for key, heading, form in COLUMNS
            if key in scalars
        ]
        cells = [("iter.", f"{number}" + (f"/{self.total}" if self.total else "")), *shown]
        cells += [("elapsed", clock(elapsed)), ("left", clock(remaining))]
        widths = [max(7 if i == 0 else WIDTH - 1, len(h), len(c)) for i, (h, c) in enumerate(cells)]
        if not self._headed:
            self.say(
                " ".join(f"{h:>{w}}" for (h, _), w in zip(cells, widths, strict=True)), style="bold"
            )
            self._headed = True
        self.say(" ".join(f"{c:>{w}}" for (_, c), w in zip(cells, widths, strict=True)))
        if remaining is not None and remaining > LONG and not self._warned:
            self._warned = True
            self.say(
                f"        at this pace the rest takes {clock(remaining)} hours; Ctrl-C stops and saves, "
                "--iterations N asks for fewer"
            )
        if lost := scalars.get("diverged", 0.0) + scalars.get("policy_diverged", 0.0):
            self.say(
                f"        {lost:.0f} episodes diverged: models, costs and measures are those of the others"
            )
        if self._bar:
            self._bar.update(
                self._task,
                completed=number,
                note=f"elapsed {clock(elapsed)}, left {clock(remaining)}",
            )

    def say(self, text: str, style: str | None = None) -> None:
        """Shows a line."""
        self.console.print(printable(text), style=style, markup=False, emoji=False)

    def close(self) -> None:
        """Takes the bar away."""
        self._compiling.close()
        if self._bar:
            self._bar.stop()


def table(rows: Sequence[tuple[str, str]]) -> None:
    """Prints a table of names and values, 80 columns wide."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=Unbreakable(sys.stdout), highlight=False)  # type: ignore[arg-type]
    grid = Table(box=box.HORIZONTALS, show_header=False, width=min(80, console.width))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(printable(name)), Text(printable(value)))
    console.print(grid)


def places(rows: Sequence[tuple[str, str]]) -> None:
    """Prints where things are, a line each, which is never folded: it is there to be copied."""
    from rich.console import Console

    console = Console(file=Unbreakable(sys.stdout), highlight=False, soft_wrap=True)  # type: ignore[arg-type]
    for name, value in rows:
        console.print(f"  {name:<9}", style="bold", end=" ", markup=False, emoji=False)
        console.print(printable(value), markup=False, emoji=False)


def complain(message: str) -> None:
    """Writes one line on the standard error; never fails."""
    with contextlib.suppress(OSError, ValueError):
        print("error: " + printable(" ".join(str(message).split())), file=sys.stderr, flush=True)


def clock(seconds: float | None) -> str:
    """Returns a duration as people write it: 0:42, 1:02:03."""
    if seconds is None:
        return "-"
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"


def joined(words: Iterable[str]) -> str:
    """Returns the words as a list in a sentence: a, b and c."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
