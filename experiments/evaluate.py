"""Runs a policy on fresh episodes: `python experiments/evaluate.py RUN [--episodes 100] [--env
ENV_ID]`.

Prints return, distance and success rate with 95 % intervals, and writes a CSV with a row per
episode. The policy is run in the environment of Gymnasium that the run's task mirrors, or in the
one that --env names; local controllers and planners, which see the state, and policies of other
tasks, in the task itself, whose return is minus the cost unless it has one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.engine.intervals import Interval


def main(words: Sequence[str]) -> int:
    """Evaluates what the words ask for; returns the exit code."""
    from agents.tasks.capabilities import env_id_of
    from experiments.benchmarking.priors import write_rows
    from experiments.engine import intervals
    from experiments.engine.evaluation import run_episodes
    from experiments.engine.load_run import add_choices, open_run
    from experiments.engine.parser import Parser
    from experiments.engine.progress import places, table
    from lqr import InputError

    parser = Parser("python experiments/evaluate.py", __doc__)
    parser.add_argument("run", type=Path, help="the folder of a run, as --out or runs/ has it")
    parser.add_argument("--episodes", type=int, default=100, help="how many (default 100)")
    parser.add_argument(
        "--first-episode", type=int, default=0, help="the number of the first: others, other starts"
    )
    parser.add_argument(
        "--env", metavar="ENV_ID", help="an environment of Gymnasium that sees and does the same"
    )
    parser.add_argument(
        "--within", type=float, default=0.05, help="m; an end as near as this is a success (0.05)"
    )
    parser.add_argument("--csv", type=Path, help="file for the episodes (default RUN/evaluate.csv)")
    add_choices(parser)
    asked = parser.parse_args(words)

    for name, least in (("episodes", 1), ("first_episode", 0), ("within", 0.0)):
        if not getattr(asked, name) >= least:
            raise InputError(
                f"--{name.replace('_', '-')} is {getattr(asked, name)}; expected {least} or more"
            )
    run = open_run(asked.run, asked.task, asked.cost)
    env_id = asked.env or (None if run.sees_state else env_id_of(run.task))
    found = run_episodes(run, asked.episodes, env_id, asked.first_episode)
    done = intervals.successes(found, asked.within)
    own = intervals.distinct(found)  # what the intervals count
    own_done = intervals.successes(own, asked.within)
    rows = [
        (
            "episodes",
            f"{len(found)} in {env_id or f'the task {run.task.name}, its conditions in turn'}",
        )
    ]
    if len(own) < len(found):
        few = f"{len(own)}; the others repeat them, and no interval counts them"
        rows.append(("distinct episodes", few))
    rows.append(("return", _shown(intervals.mean_interval([episode.total for episode in own]))))
    if not any(episode.distance is None for episode in found):
        rows.append(
            (
                "final distance",
                _shown(intervals.mean_interval([e.distance or 0.0 for e in own])) + " m",
            )
        )
    if done is None or own_done is None:
        rows.append(("success rate", "unknown: the task has neither a success nor a distance"))
    else:
        told = (
            "as the task says"
            if found[0].success is not None
            else f"ends within {asked.within:g} m"
        )
        rows.append(("success rate", f"{_shown(intervals.rate_interval(own_done), '.0%')}, {told}"))
    target = asked.csv or asked.run / "evaluate.csv"
    names = {"total": "return"}
    table(rows)  # first: it is there whatever the disk says
    write_rows(
        target,
        [
            {"episode": i, **{names.get(k, k): v for k, v in e._asdict().items()}}
            | ({"success": done[i]} if done else {})
            for i, e in enumerate(found)
        ],
    )
    places([("a row per episode", str(target))])
    return 0


def _shown(value: "Interval", form: str = ".4g") -> str:
    return f"{value.mean:{form}} (95 %: {value.low:{form}} to {value.high:{form}})"


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
