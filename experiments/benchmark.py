"""Methods x tasks x seeds, one command, one table: `python experiments/benchmark.py reacher_four
--seeds 5 --jobs 2`.

Each contestant is a sweep over the seeds in a folder of its own; what was stopped goes on, what is
finished stays. Leaves benchmark.csv (a row per contestant and seed), benchmark.md (the table) and a
picture per task. The peers of `sample_efficiency` need the extra `peers`: pip install -c
constraints.txt -e ".[peers]".
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dynamics.storage.files import make_folder, write_file
from experiments.benchmarking.page import Curves, draw, gather, page, place, rows_of
from experiments.benchmarking.suites import SUITES, Entry, Suite
from experiments.engine.registry import nearest
from experiments.engine.signals import Stop
from experiments.sweep import sweep
from lqr import InputError

HERE = Path(__file__).resolve().parent


def command(entry: Entry) -> list[str]:
    """Returns the words of the process that runs a contestant, without its seed and its folder."""
    program = HERE / ("peers.py" if entry.peer else "run.py")
    return [sys.executable, str(program), *entry.words]


def leave(suite: Suite, curves: Curves, folder: Path) -> None:
    """Writes the table, the rows and the pictures, and prints the table."""
    if rows := rows_of(suite, curves):
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        write_file(folder / "benchmark.csv", "".join(line + "\n" for line in lines).encode())
    table = page(suite, curves)
    write_file(folder / "benchmark.md", table.encode())
    for task in dict.fromkeys(entry.task for entry, found in curves.items() if found):
        write_file(folder / f"{task}.png", draw(suite, task, curves))
    print(table)


def main(words: Sequence[str]) -> int:
    """Runs the suite that the words ask for; returns 0, 128 + a signal, or the code of the first
    run that failed.
    """
    parser = argparse.ArgumentParser(
        prog="python experiments/benchmark.py", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("suite", help=", ".join(SUITES))
    parser.add_argument("--seeds", type=int, default=5, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, each on one core"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="the contestants and tasks that hold one of these"
    )
    parser.add_argument("--peer-steps", type=int, help="of SAC and PPO, in place of the suite's")
    parser.add_argument(
        "--table", action="store_true", help="run nothing: the table of what is finished in --out"
    )
    parser.add_argument(
        "--out", type=Path, help="folder; an earlier one goes on (default runs/benchmark/SUITE)"
    )
    asked = parser.parse_args(list(words))
    if asked.suite not in SUITES:
        raise InputError(f"unknown suite {asked.suite!r}; {nearest(asked.suite, SUITES)}")
    if min(asked.seeds, asked.jobs) < 1 or asked.first < 0:
        raise InputError(
            f"got --seeds {asked.seeds}, --jobs {asked.jobs}, --first {asked.first}; expected 1, 1 and 0 up"
        )
    suite, seeds = SUITES[asked.suite], range(asked.first, asked.first + asked.seeds)
    entries = [
        e
        for e in suite.entries
        if not asked.only or any(w in f"{e.task} {e.name}" for w in asked.only)
    ]
    if not entries:
        raise InputError(
            f"got --only {' '.join(asked.only)}; expected words in {[e.name for e in suite.entries]}"
        )
    folder, failed = asked.out or Path("runs") / "benchmark" / asked.suite, 0
    with Stop() as stop:
        for entry in () if asked.table else entries:
            make_folder(place(folder, entry))
            steps = ["--steps", str(asked.peer_steps)] if entry.peer and asked.peer_steps else []
            print(f"{entry.task}, {entry.name}", flush=True)
            ended = sweep(
                [*command(entry), *steps],
                seeds,
                place(folder, entry),
                asked.jobs,
                stop,
                None,
                math.inf,
            )
            failed = failed or next((abs(outcome.code) for outcome in ended if outcome.code), 0)
            if stop.asked:
                print(
                    f"stopped and saved; go on with the same words and --out {folder}", flush=True
                )
                return 128 + stop.asked
    leave(suite, gather(folder, entries, seeds), folder)
    return failed


if __name__ == "__main__":
    from experiments.engine.main import main as guarded

    sys.exit(guarded(sys.argv[1:], main))
