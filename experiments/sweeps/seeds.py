"""Several seeds of one command, each in a process and a folder of its own, some at a time.

A process that dies is replaced, and its run goes on from its last checkpoint to the same bits, so
the results do not depend on how many ran at a time or what befell them.
"""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dynamics.storage.files import folders_by_number, read_file
from lqr import CheckpointError

from ..engine.progress import printable
from ..engine.run_folder import CHECKPOINTS
from ..engine.saved_files import CONFIG, RESULT
from ..engine.signals import Stop
from .process import Launch, Outcome, Process, start

RUN = Path(__file__).resolve().parents[1] / "run.py"
MOST_BYTES = 1 << 28  # of a log that is read
TRIES = 3  # deaths in a row without a new checkpoint in between, after which a seed is given up
NO_RESULT = 1  # exit code of a run that says it is done and left nothing
BUSY = 4  # exit code where another process works in the folder


def sweep(
    command: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    jobs: int,
    stop: Stop,
    launch: Launch | None = None,
    patience: float = 3600.0,
    say: Callable[[str], None] = print,
    result: str = RESULT,
) -> list[Outcome]:
    """Runs `command --seed S --out folder/seed_S` for each seed, `jobs` at a time; returns how they
    ended, by seed.

    What is there already goes on, or stays where it is finished. A process that a signal killed,
    that made no new checkpoint for `patience` seconds, or that came before the one it replaces was
    gone, is replaced, TRIES times in a row at most. After a stop the runs save and end. Done is a
    run that left the file `result`, whatever its process said.
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
            if code == 0 and not (folder / f"seed_{seed}" / result).is_file():
                code = NO_RESULT
            ended.append(Outcome(seed, code, deaths[seed]))
            say(f"seed {seed}: {_said(code, folder / f'seed_{seed}.log')}")
        time.sleep(0.02)
    return sorted(ended)


def _newest(place: Path) -> int:
    steps = place / CHECKPOINTS
    try:
        return next(folders_by_number(steps, "step_"), (0, steps))[0]
    except OSError:
        return 0


def _said(code: int, log: Path) -> str:
    if code == 0:
        return "done"
    try:
        lines = read_file(log, MOST_BYTES).decode(errors="replace").strip().splitlines()
    except CheckpointError:
        lines = []
    why = next((line for line in reversed(lines) if line.startswith("error: ")), "")
    if code == NO_RESULT and not why:
        why = "error: its process ended as if it were done, and left no result"
    return f"ended with {code}" + (f", {printable(why)}" if why else "")
