"""Searches a method's settings: `python experiments/tune.py lqr_flm --task pendulum --trials 40`.

Each trial is scored by its last cost, the mean of --seeds runs from seed 10 on; what is found is
judged on seeds 0 to 4, beside the settings as they were. The result is best.json, for --config of
the other commands, and a page. A search that was stopped goes on by the same words and --out.
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace

PROGRAM = "python experiments/tune.py"


def main(words: Sequence[str]) -> int:
    """Runs the search that the words ask for; returns 0, or 128 + a signal."""
    from experiments.engine.cli import parse
    from experiments.engine.overrides import choose
    from experiments.engine.run_folder import new_folder
    from experiments.engine.signals import Stop
    from experiments.engine.training import describe
    from experiments.sweeps import space, tuning, tuning_page
    from experiments.sweeps.ownership import claim

    asked, rest = _parsed(words)
    here = Path.cwd()  # a module of the user's own may go elsewhere when it is imported
    request = parse([asked.experiment, *rest], lambda path, experiment: (None, 0), lambda path: "")
    if request is None:
        return 0
    experiment = choose(request.experiment, request.options)
    os.chdir(here)
    ranges = space.asked(asked.search, request.config) or space.usual(request.config)
    seeds = range(asked.first, asked.first + asked.seeds)
    search = tuning.Search(
        experiment, request.config, ranges, seeds, asked.measure, asked.larger_is_better
    )
    usual = here / "runs" / asked.experiment
    folder = here / asked.out if asked.out else new_folder(usual, "tune")
    about = describe(experiment, request.config, asked.first)
    kept = {key: about[key] for key in ("experiment", "method", "config", "chosen")}
    searched = {r.name: [r.low, r.high, r.whole, [str(w) for w in r.choices]] for r in ranges}
    score = {"measure": asked.measure, "seeds": list(seeds), "ranges": searched}
    claim(folder, {**kept, **score}, (tuning.STUDY, "worker_*"))
    study = tuning.open_study(folder)
    with Stop() as stop:
        if asked.worker is not None:
            tuning.work(study, search, asked.trials, lambda: bool(stop.asked), asked.worker)
            return 0
        tuning.forget_what_died(study)
        if outside := tuning.begin(study, search):
            print(f"not tried as they are: {', '.join(outside)} lie outside of their ranges")
        print(f"{len(ranges)} settings: {', '.join(r.name for r in ranges)}", flush=True)
        _search(study, search, asked, [*words, "--out", str(folder)], folder, stop)
        if not stop.asked:
            tuning_page.leave(study, search, range(asked.judge), folder, lambda: bool(stop.asked))
        if stop.asked:
            again = f"--out {shlex.quote(str(folder))}"
            print(f"stopped and saved; go on with the same words and {again}", flush=True)
            return 128 + stop.asked
    return 0


def _search(
    study: Any, search: Any, asked: "Namespace", words: Sequence[str], folder: Path, stop: Any
) -> None:
    """Runs the trials that are missing, in this process or in several."""
    import signal
    import time

    from experiments.sweeps import tuning
    from experiments.sweeps.process import start
    from lqr import GPSError

    if asked.jobs == 1:
        while len(tuning.ended(study)) < asked.trials and not stop.asked:
            tuning.work(study, search, len(tuning.ended(study)) + 1, lambda: bool(stop.asked))
            _say(study)
        return
    command = [sys.executable, str(Path(__file__).resolve()), *words, "--worker"]
    running = [start([*command, str(i)], folder / f"worker_{i}.log") for i in range(asked.jobs)]
    told = asked.trials + 1
    while any(process.poll() is None for process in running):
        if stop.asked:
            for process in running:
                process.send_signal(signal.SIGTERM)
        if len(tuning.ended(study)) != told:
            told = len(tuning.ended(study))
            _say(study)
        time.sleep(0.2)
    failed = [i for i, process in enumerate(running) if process.poll() and not stop.asked]
    if failed and len(tuning.ended(study)) < asked.trials:
        raise GPSError(f"{len(failed)} processes failed; see {folder / f'worker_{failed[0]}.log'}")


def _say(study: Any) -> None:
    from experiments.sweeps import tuning

    trials = tuning.ended(study)
    done = [t for t in trials if t.state.name == "COMPLETE"]
    if done:
        best = min(done, key=lambda t: t.value)
        print(f"{len(trials)} trials, best {best.value:.4g} of trial {best.number}", flush=True)


def _parsed(words: Sequence[str]) -> tuple["Namespace", list[str]]:
    from experiments.engine.parser import Parser
    from lqr import InputError

    parser = Parser(PROGRAM, __doc__)
    parser.add_argument("experiment", help="an experiment or, with --task TASK, a method")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument(
        "--search",
        nargs="+",
        default=[],
        metavar="NAME:RANGE",
        help="NAME:LOW..HIGH or NAME:THIS,THAT; the method's own sizes where it is left out",
    )
    parser.add_argument("--seeds", type=int, default=2, help="of each trial, from --first on")
    parser.add_argument("--first", type=int, default=10)
    parser.add_argument("--judge", type=int, default=5, help="seeds from 0 on for the result")
    parser.add_argument("--measure", default="cost", help="a column of metrics.csv")
    parser.add_argument("--larger-is-better", action="store_true", help="as of a return")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time")
    parser.add_argument("--out", type=Path, help="folder; one of an earlier search goes on")
    parser.add_argument("--worker", type=int, help="used by the program itself")
    asked, rest = parser.parse_known_args(list(words))
    for name in ("trials", "seeds", "jobs", "judge"):
        if getattr(asked, name) < 1:
            raise InputError(f"--{name} is {getattr(asked, name)}; expected 1 or more")
    reserved = {"--seed", "--resume", "--init", "--help"} & {word.split("=")[0] for word in rest}
    if reserved or asked.first < asked.judge:
        raise InputError(
            f"got {', '.join(reserved) or f'--first {asked.first}'}; expected --seeds, --out, and --first from "
            f"--judge on: what is chosen on a seed is not judged on it"
        )
    return asked, rest


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
