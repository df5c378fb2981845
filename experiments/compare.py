"""Compares runs: `python experiments/compare.py RUN RUN ...`, each the folder of a run or of a
sweep.

Runs that differ in nothing but the seed make a group; a run that is named twice counts once. Prints
mean and spread of each group at the end and what differs in the configuration, and writes one
self-contained page with the curves laid over each other. All runs are graded in the same episodes:
a mean return has an error from the seeds and one from the episodes, and a difference is that of the
same episodes, in pairs.
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str]) -> int:
    """Compares the runs that the words name; returns the exit code."""
    from dynamics.storage.files import make_folder, write_file
    from experiments.engine.parser import Parser
    from experiments.engine.progress import places, table
    from experiments.engine.run_folder import new_file
    from experiments.reports import comparison, comparison_page

    parser = Parser("python experiments/compare.py", __doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, or of sweeps"
    )
    parser.add_argument(
        "--out", type=Path, help="file for the page (default runs/compare-DATE-TIME.html)"
    )
    asked = parser.parse_args(words)
    runs = {run.path.resolve(): run for path in asked.runs for run in comparison.read(path)}
    counted, left = comparison.counted_once(list(runs.values()))
    groups = comparison.grouped(counted)
    rows = [("result", comparison.verdict(groups))]
    for i, group in enumerate(groups):
        seeds = " ".join(str(run.about["seed"]) for run in group.runs)
        rows.append((f"group {i + 1}", f"{group.name}; seeds {seeds}"))
        rows += [
            (f"  {comparison.called(key, [group])}", comparison.told(group, key))
            for key in comparison.FINAL
            if group.finals(key)
        ]
    rows += [
        (f"{name} differs", " | ".join(values)) for name, *values in comparison.differences(groups)
    ]
    table([*rows, *comparison.notes(groups, left)])  # first: it is there whatever the disk says
    page = comparison_page.document(groups, comparison_page.draw(groups), left).encode()
    if asked.out:
        make_folder(asked.out.parent)
    target = asked.out or new_file(Path.cwd() / "runs", "compare-", ".html")
    write_file(target, page)
    places([("look at", str(target))])
    return 0


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
