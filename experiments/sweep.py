"""Several seeds of one experiment side by side: `python experiments/sweep.py reacher --seeds 5
--jobs 2`.

Each seed is a run in a process and a folder of its own. A process that dies is replaced, and its
run goes on from its last checkpoint to the same bits, so the table does not depend on how many ran
at a time or what befell them. All other settings are the experiment's.
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace


def main(words: Sequence[str], run: str | Path | None = None) -> int:
    """Runs the sweep that the words ask for; returns 0, 128 + a signal, or the code of the first
    seed that failed.
    """
    from dynamics.storage.files import write_file
    from experiments.engine.cli import parse
    from experiments.engine.overrides import choose
    from experiments.engine.run_folder import new_folder
    from experiments.engine.signals import Stop
    from experiments.engine.training import describe
    from experiments.sweeps.ownership import MARK, check_runs, claim, withdrawn
    from experiments.sweeps.process import Launch, start
    from experiments.sweeps.ray import RayProcess, cluster
    from experiments.sweeps.results import show, write_page, write_table
    from experiments.sweeps.seeds import RUN, sweep

    asked, rest = _parsed(words)
    here = Path.cwd()  # a module of the user's own may go elsewhere when it is imported
    seeds = range(asked.first, asked.first + asked.seeds)
    request = parse([asked.experiment, *rest], lambda path, experiment: (None, 0), lambda path: "")
    if request is None:
        return 0
    experiment = choose(request.experiment, request.options)  # refuses in time
    os.chdir(here)
    about = describe(experiment, request.config, asked.first)
    folder = (
        here / asked.out if asked.out else new_folder(here / "runs" / asked.experiment, "sweep")
    )
    is_new = not os.path.lexists(folder / MARK)
    if folder.is_dir():
        check_runs(folder, about)
    claim(folder, {key: about[key] for key in ("experiment", "method", "config", "chosen")})
    command = [sys.executable, str(run or RUN), asked.experiment, *rest]
    cores: AbstractContextManager[int] = nullcontext(os.cpu_count() or 1)
    launch: Launch = start
    if asked.ray:
        cores, launch, folder = cluster(asked.ray, asked.jobs), RayProcess, folder.resolve()
    with cores as most, Stop() as stop:
        ended = sweep(command, seeds, folder, asked.jobs or most, stop, launch, asked.patience)
        if stop.asked:
            print(
                f"stopped and saved; go on with the same words and --out {shlex.quote(str(folder))}",
                flush=True,
            )
            return 128 + stop.asked
    failed = next((abs(outcome.code) for outcome in ended if outcome.code), 0)
    if failed and is_new and withdrawn(folder, seeds):
        return failed
    if rows := write_table(folder, seeds):
        write_page(folder)
        show(rows, folder)
    outcomes = [outcome._asdict() for outcome in ended]
    write_file(folder / "sweep.json", json.dumps(outcomes, indent=1).encode())
    return failed


def _parsed(words: Sequence[str]) -> tuple["Namespace", list[str]]:
    from experiments.engine.parser import Parser
    from experiments.sweeps.ray import LOCAL
    from lqr import InputError

    parser = Parser("python experiments/sweep.py", __doc__)
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
        const=LOCAL,
        help="run on the Ray cluster at this address; alone, on a new one",
    )
    asked, rest = parser.parse_known_args(list(words))
    if not asked.patience > 0:
        raise InputError(f"--patience is {asked.patience}; expected seconds, more than 0")
    if asked.first + asked.seeds > 2**32:
        raise InputError(
            f"got the seeds up to {asked.first + asked.seeds - 1}; expected less than {2**32}"
        )
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


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
