"""Several seeds of one experiment side by side: `python experiments/sweep.py reacher --seeds 5
--jobs 2`.

Each seed is a run in a process and a folder of its own. A process that dies is replaced, and its
run goes on from its last checkpoint to the same bits, so the table does not depend on how many ran
at a time or what befell them.
"""

import argparse
import ctypes
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dynamics.storage.files import folders_by_number, make_folder, read_json, write_file
from experiments.engine import tables
from experiments.engine.cli import complain, parse
from experiments.engine.overrides import choose
from experiments.engine.progress import table
from experiments.engine.run_folder import CHECKPOINTS, CONFIG, RESULT, new_path, saved_config
from experiments.engine.signals import Stop
from experiments.sweeps.ray import HERE, RayProcess, cluster
from lqr import GPSError, InputError

RUN = Path(__file__).resolve().with_name("run.py")
TRIES = 3  # deaths in a row without a new checkpoint in between, after which a seed is given up
BUSY = 4  # exit code where another process works in the folder
AT_HOME = ("iteration", "condition")  # columns that say nothing of a result


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


def sweep(
    command: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    jobs: int,
    stop: Stop,
    launch: Launch | None = None,
    patience: float = 3600.0,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Runs `command --seed S --out folder/seed_S` for each seed, `jobs` at a time; returns how they
    ended, by seed.

    What is there already goes on, or stays where it is finished. A process that a signal killed,
    that made no new checkpoint for `patience` seconds, or that came before the one it replaces was
    gone, is replaced, TRIES times in a row at most. After a stop the runs save and end.
    """
    launch = launch or start
    waiting, running, ended = list(seeds), dict[int, Process](), list[Outcome]()
    deaths, seen = (
        dict.fromkeys(seeds, 0),
        dict.fromkeys(seeds, (-1, 0.0, 0)),
    )  # newest checkpoint, since, deaths since
    asked = False
    while waiting or running:
        while waiting and len(running) < jobs and not stop.asked:
            seed = waiting.pop(0)
            place = folder / f"seed_{seed}"
            words = (
                ["--resume", str(place)]
                if (place / CONFIG).exists()
                else ["--seed", str(seed), "--out", str(place)]
            )
            running[seed] = launch([*command, *words], folder / f"seed_{seed}.log")
        if stop.asked and not asked:
            asked, waiting = True, []
            for process in running.values():
                process.send_signal(signal.SIGTERM)
        for seed, process in list(running.items()):
            newest, since, lost = seen[seed]
            if (now := _newest(folder / f"seed_{seed}")) != newest:
                seen[seed] = newest, since, lost = now, time.monotonic(), 0
            code = process.poll()
            if code is None:
                if time.monotonic() - since > patience:
                    say(f"seed {seed}: no checkpoint for {patience:.0f} s, its process is replaced")
                    process.send_signal(signal.SIGKILL)
                    seen[seed] = newest, time.monotonic(), lost
                continue
            del running[seed]
            if (code < 0 or code == BUSY) and not stop.asked and lost < TRIES:
                why = (
                    f"its process was killed by signal {-code}"
                    if code < 0
                    else "its folder is still in use"
                )
                say(f"seed {seed}: {why}, and it is started again")
                deaths[seed], seen[seed] = deaths[seed] + 1, (newest, time.monotonic(), lost + 1)
                waiting.insert(0, seed)
                continue
            ended.append(Outcome(seed, code, deaths[seed]))
            say(f"seed {seed}: {_said(code, folder / f'seed_{seed}.log')}")
        time.sleep(0.02)
    return sorted(ended)


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


def write_table(folder: Path, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Writes sweep.csv, a row per finished seed with the last metrics and the grade; returns the
    rows.
    """
    rows = []
    for seed in sorted(seeds):
        place = folder / f"seed_{seed}"
        if not (place / RESULT).exists():
            continue
        last, result = tables.read(place / "metrics.csv")[-1], read_json(place / RESULT)
        row = {
            "seed": float(seed),
            **{key: value for key, value in last.items() if key not in AT_HOME},
        }
        if "grade" in result:
            row["mean_return"] = float(result["grade"]["mean_return"])
        row |= {f"unseen_{key}": float(value) for key, value in result.get("unseen", {}).items()}
        rows.append(row)
    lines = [",".join(rows[0])] if rows else []
    lines += [
        ",".join([str(int(row["seed"])), *(repr(row[key]) for key in list(row)[1:])])
        for row in rows
    ]
    write_file(folder / "sweep.csv", "".join(line + "\n" for line in lines).encode())
    return rows


def write_page(folder: Path) -> None:
    """Writes report.html, the runs of the sweep laid over each other."""
    from experiments.reports import comparison as overlay

    groups = overlay.grouped(overlay.read(folder))
    write_file(folder / "report.html", overlay.document(groups, overlay.draw(groups)).encode())


def show(rows: Sequence[dict[str, float]], folder: Path) -> None:
    """Prints mean, spread and range over the seeds."""
    shown = [("seeds", " ".join(str(int(row["seed"])) for row in rows))]
    for key in (key for key in rows[0] if key != "seed"):
        values = [row[key] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        ends = f"{min(values):.4g} to {max(values):.4g}"
        shown.append(
            (key, f"{statistics.fmean(values):.4g} ± {spread:.2g} (standard deviation), {ends}")
        )
    table(
        [
            *shown,
            ("all of it in", str(folder / "sweep.csv")),
            ("look at", str(folder / "report.html")),
        ]
    )


def _newest(place: Path) -> int:
    steps = place / CHECKPOINTS
    try:
        return next(folders_by_number(steps, "step_"), (0, steps))[0]
    except OSError:
        return 0


def _said(code: int, log: Path) -> str:
    if code == 0:
        return "done"
    lines = log.read_text(errors="replace").strip().splitlines()
    why = next((line for line in reversed(lines) if line.startswith("error: ")), "")
    return f"ended with {code}" + (f", {why}" if why else "")


def _parsed(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python experiments/sweep.py",
        description="All other settings are the experiment's.",
        allow_abbrev=False,
    )
    parser.add_argument("experiment")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument(
        "--jobs", type=int, help="runs at a time, each on one core; all cores where it is left out"
    )
    parser.add_argument("--out", type=Path, help="folder; one of an earlier sweep goes on")
    parser.add_argument(
        "--patience", type=float, default=3600.0, help="seconds without a checkpoint"
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const=HERE,
        help="run on the Ray cluster at this address; alone, on a new one",
    )
    asked, rest = parser.parse_known_args(list(words))
    for name in ("seeds", "jobs"):
        if getattr(asked, name) is not None and getattr(asked, name) < 1:
            raise InputError(f"--{name} is {getattr(asked, name)}; expected 1 or more")
    if (
        reserved := {"--seed", "--resume", "--help"} & {word.split("=")[0] for word in rest}
    ) or asked.first < 0:
        raise InputError(
            f"got {', '.join(reserved) or '--first below 0'}; expected --seeds, --first and --out instead"
        )
    return asked, rest


def main(words: Sequence[str], run: str | Path = RUN) -> int:
    """Runs the sweep that the words ask for; returns 0, 128 + a signal, or the code of the first
    seed that failed.
    """
    try:
        asked, rest = _parsed(words)
        seeds = range(asked.first, asked.first + asked.seeds)
        request = parse(
            [asked.experiment, *rest], lambda path, experiment: (None, 0), lambda path: ""
        )
        if request is not None:
            choose(request.experiment, request.options)  # refuses in time
        folder = asked.out or new_path(asked.experiment, asked.first).with_name(
            f"sweep-{time.strftime('%Y-%m-%d-%H%M%S')}"
        )
        make_folder(folder)
        for seed in seeds:
            if (folder / f"seed_{seed}" / CONFIG).exists():
                saved_config(folder / f"seed_{seed}")
        command = [sys.executable, str(run), asked.experiment, *rest]
        cores: AbstractContextManager[int] = nullcontext(os.cpu_count() or 1)
        launch: Launch = start
        if asked.ray:
            cores, launch, folder = cluster(asked.ray, asked.jobs), RayProcess, folder.resolve()
        with cores as most, Stop() as stop:
            ended = sweep(command, seeds, folder, asked.jobs or most, stop, launch, asked.patience)
            if stop.asked:
                print(
                    f"stopped and saved; go on with the same words and --out {folder}", flush=True
                )
                return 128 + stop.asked
        if rows := write_table(folder, seeds):
            write_page(folder)
            show(rows, folder)
        write_file(
            folder / "sweep.json",
            json.dumps([outcome._asdict() for outcome in ended], indent=1).encode(),
        )
        return next((abs(outcome.code) for outcome in ended if outcome.code), 0)
    except GPSError as error:
        complain(str(error))
        from experiments.engine.main import EXIT_CODES

        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
