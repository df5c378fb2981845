"""Methods x tasks x seeds, one command, one table: `python experiments/benchmark.py reacher_four
--seeds 5 --jobs 2`.

Each contestant is a sweep over the seeds in a folder of its own; what was stopped goes on, what is
finished stays. `any_task` has options of its own (`any_task --help`): other tasks, one set of
settings. Leaves benchmark.csv (a row per contestant and seed), benchmark.md (the table) and a
picture per task. The peers of `sample_efficiency` need the extra `peers`: pip install -c
constraints.txt -e ".[peers]".
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

import os
from collections.abc import Sequence
from pathlib import Path

ANY_TASK = "any_task"


def main(words: Sequence[str]) -> int:
    """Runs the suite that the words ask for; returns 0, 128 + a signal, or the code of the first
    run that failed.
    """
    from experiments.benchmarking.any_task import command as any_task
    from experiments.benchmarking.page import gather
    from experiments.benchmarking.running import leave, run
    from experiments.benchmarking.suites import SUITES
    from experiments.engine.parser import Parser
    from experiments.engine.registry import nearest
    from lqr import InputError

    if words and words[0] == ANY_TASK:
        return any_task.main(words[1:])
    every = [*SUITES, ANY_TASK]
    parser = Parser("python experiments/benchmark.py", __doc__)
    parser.add_argument("suite", help=", ".join(every))
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
        raise InputError(f"unknown suite {asked.suite!r}; {nearest(asked.suite, every)}")
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
    folder = (asked.out or Path("runs") / "benchmark" / asked.suite).absolute()
    failed = 0
    if not asked.table:
        failed, stopped = run(entries, seeds, folder, asked.jobs, asked.peer_steps)
        if stopped:
            return 128 + stopped
    leave(suite, gather(folder, entries, seeds), folder)
    return failed


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
