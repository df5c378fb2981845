"""Runs a suite's contestants, a sweep over the seeds each, and leaves its table and pictures."""

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from dynamics.storage.files import make_folder, write_file

from ..engine.saved_files import RESULT
from ..engine.signals import Stop
from ..sweeps.ownership import claim
from ..sweeps.seeds import sweep
from .page import Curves, draw, page, place, rows_of
from .peers import DONE
from .suites import Entry, Suite

COMMANDS = Path(__file__).resolve().parents[1]


def run(
    entries: Sequence[Entry], seeds: Sequence[int], folder: Path, jobs: int, peer_steps: int | None
) -> tuple[int, int]:
    """Runs what is not finished yet, `jobs` at a time.

    Returns the code of the first run that failed, or 0, and the signal that stopped it, or 0.
    """
    failed = 0
    with Stop() as stop:
        for entry in entries:
            steps = ["--steps", str(peer_steps)] if entry.peer and peer_steps else []
            print(f"{entry.task}, {entry.name}", flush=True)
            claim(place(folder, entry), {"command": [*entry.command, *steps]}, ("seed_*",))
            ended = sweep(
                [*command(entry), *steps],
                seeds,
                place(folder, entry),
                jobs,
                stop,
                patience=math.inf,
                result=DONE if entry.peer else RESULT,
            )
            failed = failed or next((abs(outcome.code) for outcome in ended if outcome.code), 0)
            if stop.asked:
                print(
                    f"stopped and saved; go on with the same words and --out {shlex.quote(str(folder))}",
                    flush=True,
                )
                break
    return failed, stop.asked


def command(entry: Entry) -> list[str]:
    """Returns the words of the process that runs a contestant, without its seed and its folder."""
    program = COMMANDS / ("peers.py" if entry.peer else "run.py")
    return [sys.executable, str(program), *entry.command]


def leave(suite: Suite, curves: Curves, folder: Path) -> None:
    """Prints the table, and writes it, the rows and the pictures."""
    table = page(suite, curves)
    print(table, flush=True)  # first: it is there whatever the disk says
    make_folder(folder)
    if rows := rows_of(suite, curves):
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        write_file(folder / "benchmark.csv", "".join(line + "\n" for line in lines).encode())
    write_file(folder / "benchmark.md", table.encode())
    for task in dict.fromkeys(entry.task for entry, found in curves.items() if found):
        write_file(folder / f"{task}.png", draw(suite, task, curves))
