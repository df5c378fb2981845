"""Compares the prior global models: `python experiments/compare_priors.py reacher_four_local
--seeds 5 --jobs 2`.

First, what each prior makes of the same recorded trials: how far the local models are off on trials
that they have not seen, how probable they find them, how often their intervals hold, and the time
it takes. Then, what is learned with each. Leaves models.csv, learning.csv and priors.png in a
folder; a comparison that was stopped goes on where it was.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    found = argparse.ArgumentParser(
        prog="python experiments/compare_priors.py",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    found.add_argument(
        "experiment", help="an experiment whose method fits local models; run.py --list names them"
    )
    found.add_argument(
        "--priors", nargs="+", metavar="WORD", help="the words to compare (default: all)"
    )
    found.add_argument(
        "--seeds", type=int, default=1, help="learning runs of each prior; 0 skips them (default 1)"
    )
    found.add_argument(
        "--first-seed", type=int, default=0, help="the first of these seeds (default 0)"
    )
    found.add_argument(
        "--held-out",
        type=int,
        default=5,
        help="unseen trials per condition and iteration (default 5)",
    )
    found.add_argument(
        "--iterations",
        type=int,
        help="of the recording and the learning (default: the experiment's)",
    )
    found.add_argument("--jobs", type=int, default=1, help="learning runs side by side (default 1)")
    found.add_argument(
        "--out", type=Path, help="folder for the results (default runs/compare_priors/EXPERIMENT)"
    )
    found.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return found


def compare(words: Sequence[str]) -> int:
    """Runs the comparison that the words ask for; returns the exit code."""
    asked = parser().parse_args(words)
    from experiments.benchmarking import priors as comparison
    from experiments.engine import registry as catalogue

    settings = {} if asked.iterations is None else {"iterations": asked.iterations}
    plan = comparison.Plan(
        experiment=catalogue.load(asked.experiment).name,
        priors=tuple(asked.priors or ()),
        seeds=tuple(range(asked.first_seed, asked.first_seed + asked.seeds)),
        recording_seed=asked.first_seed,
        held_out=asked.held_out,
        settings=settings,
    )
    return comparison.run(
        plan, asked.out or Path("runs") / "compare_priors" / plan.experiment, asked.jobs
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from experiments.run import prepare

    prepare()
    from experiments.engine.main import main

    sys.exit(main(sys.argv[1:], compare))
