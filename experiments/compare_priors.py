"""Compares the prior global models: `python experiments/compare_priors.py reacher_four_local
--seeds 5 --jobs 2`.

First, what each prior makes of the same recorded episodes: how far the local models are off on episodes
that they have not seen, how probable they find them, how often their intervals hold, and the time
it takes. Then, what is learned with each. Leaves models.csv, learning.csv and priors.png in a
folder; a comparison that was stopped goes on where it was.
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str]) -> int:
    """Runs the comparison that the words ask for; returns the exit code."""
    from experiments.benchmarking import priors
    from experiments.engine import registry
    from experiments.engine.parser import Parser

    parser = Parser("python experiments/compare_priors.py", __doc__)
    parser.add_argument(
        "experiment", help="an experiment whose method fits local models; run.py --list names them"
    )
    parser.add_argument(
        "--priors", nargs="+", metavar="WORD", help="the words to compare (default: all)"
    )
    parser.add_argument(
        "--seeds", type=int, default=1, help="learning runs of each prior; 0 skips them (default 1)"
    )
    parser.add_argument(
        "--first-seed", type=int, default=0, help="the first of these seeds (default 0)"
    )
    parser.add_argument(
        "--held-out",
        type=int,
        default=5,
        help="unseen episodes per condition and iteration (default 5)",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        help="of the recording and the learning (default: the experiment's)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="learning runs side by side (default 1)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the results (default runs/compare_priors/EXPERIMENT)"
    )
    asked = parser.parse_args(words)
    settings = {} if asked.iterations is None else {"iterations": asked.iterations}
    plan = priors.Plan(
        experiment=registry.load(asked.experiment).name,
        priors=tuple(asked.priors or ()),
        seeds=tuple(range(asked.first_seed, asked.first_seed + asked.seeds)),
        recording_seed=asked.first_seed,
        held_out=asked.held_out,
        settings=settings,
    )
    return priors.run(
        plan, asked.out or Path("runs") / "compare_priors" / plan.experiment, asked.jobs
    )


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
