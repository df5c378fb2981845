"""Runs a policy on fresh episodes: `python experiments/evaluate.py RUN [--episodes 100] [--env
ENV_ID]`.

Prints return, distance and success rate with 95 % intervals, and writes a CSV with a row per
episode. The policy is run in the environment of Gymnasium that the run's task mirrors, or in the
one that --env names; local controllers and planners, which see the state, and policies of other
tasks, in the task itself, whose return is minus the cost unless it has one. --against compares it
with another run's policy in the same episodes, in pairs; --by tells where it succeeds. A planner goes
after any cost, without a further step of learning: --cost FILE.py:FUNCTION; a policy of `dfp` any
weights of what its task measures: --goal W ...
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str]) -> int:
    """Evaluates what the words ask for; returns the exit code."""
    from agents.tasks.capabilities import env_id_of
    from experiments.benchmarking.priors import write_rows
    from experiments.engine import evaluated
    from experiments.engine.episodes import run_episodes
    from experiments.engine.load_run import add_choices, open_for, with_weights
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
    parser.add_argument(
        "--against", type=Path, metavar="RUN", help="another run of the task: the difference"
    )
    parser.add_argument(
        "--by", metavar="MEASURE", help="success by a measure of the task's starts, such as angle"
    )
    parser.add_argument("--csv", type=Path, help="file for the episodes (default RUN/evaluate.csv)")
    parser.add_argument(
        "--goal", type=float, nargs="+", metavar="W", help="weights of what the task measures"
    )
    add_choices(parser)
    asked = parser.parse_args(words)

    for name, least in (("episodes", 1), ("first_episode", 0), ("within", 0.0)):
        if not getattr(asked, name) >= least:
            raise InputError(
                f"--{name.replace('_', '-')} is {getattr(asked, name)}; expected {least} or more"
            )
    run = open_for(asked.run, asked.task, asked.cost)
    run = with_weights(run, asked.goal) if asked.goal else run
    measure = evaluated.measure_of(run.task, asked.by) if asked.by else None
    other = open_for(asked.against, asked.task, asked.cost) if asked.against else None
    other = with_weights(other, asked.goal) if other and asked.goal else other
    if other:
        evaluated.check_pair(run, other)
    env_id = asked.env or (None if run.sees_state else env_id_of(run.task))
    found = run_episodes(run, asked.episodes, env_id, asked.first_episode)
    place = env_id or f"the task {run.task.name}, its conditions in turn"
    rows = evaluated.rows(found, place, asked.within)
    if measure:
        rows += evaluated.by(measure, found, asked.within)
    if other:
        peers = run_episodes(other, asked.episodes, env_id, asked.first_episode)
        rows += evaluated.against(found, peers, asked.within)
    table(rows)  # first: it is there whatever the disk says
    target = asked.csv or asked.run / "evaluate.csv"
    write_rows(target, evaluated.table_of(found, asked.within, asked.by, measure))
    places([("a row per episode", str(target))])
    return 0


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
