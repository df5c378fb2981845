"""Tasks that a user may bring, and no setting that differs from one to another:

    python experiments/benchmark.py any_task --seeds 3 --jobs 2
    python experiments/benchmark.py any_task --tasks Reacher Pendulum --budget 6000 --peers
    python experiments/benchmark.py any_task --record      # the references, which takes days of CPU

Gymnasium's tasks and MuJoCo models are learned by `auto`, carts and layouts of four targets by
`lqr_flm` and `badmm`, all with default settings. What is finished is not run again, and what was
stopped goes on. Leaves benchmark.csv (a row per task and seed) and benchmark.md (the table).
"""

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynamics.storage.files import discard, make_folder, write_file
from gps.auto import Config
from lqr import GPSError, InputError

from ...engine.parser import Parser
from ...engine.signals import Stop
from ...sweeps.ownership import claim
from ...sweeps.seeds import sweep
from ..priors import write_rows
from . import references, table
from .episodes import BASELINES, baselines, keep, kept_in
from .learning import COMMANDS, EVALUATED, learn, learn_by_sac
from .peers import PREFIX
from .rows import ROWS, Row

PROGRAM = "python experiments/benchmark.py any_task"
ERROR = "error.json"  # what went wrong with a row
ILQR_KINDS = ("arm", "maze", "cart", "joint", "layout")  # whose simulator is known


def main(words: Sequence[str]) -> int:
    """Runs the rows that the words ask for; returns 0, 128 + a signal, or the code of the first run
    that failed.
    """
    asked = _parsed(words)
    rows = [row for row in ROWS if not asked.tasks or any(w in row.name for w in asked.tasks)]
    if not rows:
        names = ", ".join(row.name for row in ROWS)
        raise InputError(f"got --tasks {' '.join(asked.tasks)}; expected words in {names}")
    seeds = range(asked.first, asked.first + asked.seeds)
    failed = 0
    if not asked.table:
        with Stop() as stop:
            for row in rows:
                if stop.asked:
                    break
                failed = _run(row, seeds, asked, stop) or failed
        if stop.asked:
            again = shlex.quote(str(asked.out))
            print(f"stopped and saved; go on with the same words and --out {again}", flush=True)
            return 128 + stop.asked
    leave(gather(rows, seeds, asked.out, references.read(asked.references)), asked.out)
    return failed


def _parsed(words: Sequence[str]) -> Namespace:
    parser = Parser(PROGRAM, __doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="seeds at a time")
    parser.add_argument("--tasks", nargs="+", metavar="WORD", help="rows that hold one of these")
    parser.add_argument(
        "--budget", type=int, default=Config().budget, help="environment steps of auto and of SAC"
    )
    parser.add_argument("--peers", action="store_true", help="SAC at the same steps, too")
    parser.add_argument("--record", action="store_true", help="the references, in place of ours")
    parser.add_argument(
        "--reference-steps", type=int, default=references.STEPS, help="of SAC, in references"
    )
    parser.add_argument(
        "--references", type=Path, default=references.FILE, help="the file that has them"
    )
    parser.add_argument("--table", action="store_true", help="run nothing: what is finished")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark/any_task"))
    asked = parser.parse_args(list(words))
    if min(asked.seeds, asked.jobs, asked.budget, asked.reference_steps) < 1 or asked.first < 0:
        raise InputError(
            f"got --seeds {asked.seeds}, --jobs {asked.jobs}, --budget {asked.budget}, --reference-steps "
            f"{asked.reference_steps}, --first {asked.first}; expected 1 up, and 0 up for the last"
        )
    asked.out = Path.cwd() / asked.out
    return asked


def _run(row: Row, seeds: Sequence[int], asked: Namespace, stop: Stop) -> int:
    """Runs a row, as far as it can be; an error is told, and the suite goes on. Returns a code."""
    print(f"{row.name}, {row.missing or row.method}", flush=True)
    if row.missing:
        return 0
    folder = asked.out / row.name
    claim(folder, {"row": row.name, "budget": asked.budget}, ("seed_*",))
    discard(folder / ERROR)
    try:
        baselines(row, folder)
        if asked.record:
            return _record(row, seeds, asked, stop)
        failed = learn(row, seeds, folder, asked.budget, asked.jobs, stop)
        if asked.peers and not stop.asked:
            done = _evaluated(folder, seeds)
            own = max((int(one["env_steps"]) for one in done.values()), default=asked.budget)
            steps = own if row.local else asked.budget
            failed = sac(row, seeds, folder / "SAC", steps, asked.jobs, stop) or failed
        return failed
    except GPSError as error:
        print(f"error: {row.name}: {error}", flush=True)
        keep(folder / ERROR, {"error": str(error)})
        return 1


def sac(row: Row, seeds: Sequence[int], folder: Path, steps: int, jobs: int, stop: Stop) -> int:
    """Runs SAC on a row where it is not finished; returns the code of the first that failed, or 0."""
    make_folder(folder)
    words = [sys.executable, str(COMMANDS / "peers.py"), "SAC", PREFIX + row.name]
    ended = sweep(
        [*words, "--steps", str(steps)], seeds, folder, jobs, stop,
        patience=float("inf"), result=EVALUATED,
    )  # fmt: skip
    return next((abs(outcome.code) for outcome in ended if outcome.code), 0)


def _record(row: Row, seeds: Sequence[int], asked: Namespace, stop: Stop) -> int:
    """Measures the reference of a row that has none, and records it."""
    if row.name in references.read(asked.references):
        print(f"{row.name}: recorded already in {asked.references}", flush=True)
        return 0
    command = (
        f"{PROGRAM} --record --tasks {row.name} --seeds {asked.seeds} --first {asked.first}".split()
    )
    command += ["--reference-steps", str(asked.reference_steps)]
    folder, failed = asked.out / row.name, 0
    if row.kind in ILQR_KINDS:
        entry = references.of_ilqr(row, folder, command)
    elif row.most is not None:
        entry = references.of_most(row, command)
    else:
        place = folder / f"SAC_{asked.reference_steps}"
        for seed in seeds:
            if not (stop.asked or (place / f"seed_{seed}" / EVALUATED).exists()):
                one = place / f"seed_{seed}"
                learn_by_sac(row, seed, one, asked.reference_steps, asked.budget)
        found = _evaluated(place, seeds)
        if len(found) < len(seeds):
            return failed
        entry = references.of_sac(found, asked.reference_steps, command)
    references.record(row.name, entry, asked.references)
    return failed


def gather(
    rows: Sequence[Row], seeds: Sequence[int], folder: Path, known: dict[str, dict[str, Any]]
) -> list[table.Found]:
    """Returns what there is of each row."""
    return [
        table.Found(
            row,
            _evaluated(folder / row.name, seeds),
            kept_in(folder / row.name / BASELINES) or {},
            _evaluated(folder / row.name / "SAC", seeds) or references.early(known.get(row.name)),
            known.get(row.name),
            str((kept_in(folder / row.name / ERROR) or {}).get("error", "")),
        )
        for row in rows
    ]


def _evaluated(folder: Path, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    every = ((seed, kept_in(folder / f"seed_{seed}" / EVALUATED)) for seed in seeds)
    return {seed: found for seed, found in every if found is not None}


def leave(found: Sequence[table.Found], folder: Path) -> None:
    """Prints the table, and writes it and its rows."""
    text = table.page(found)
    print(text, flush=True)  # first: it is there whatever the disk says
    make_folder(folder)
    if rows := table.rows_of(found):
        write_rows(folder / "benchmark.csv", rows)
    write_file(folder / "benchmark.md", text.encode())
