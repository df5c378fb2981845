"""Do two versions of the sources give the same numbers? `python -m benchmarks.unchanged REV_A
REV_B`.

Each revision is checked out into a folder of its own, runs the experiments below with seed 0, and
the columns that both tables have are compared to the last bit. A column that was renamed is found
by its values.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ("reacher", "reacher_fast", "reacher_four", "pets_pendulum", "pendulum")


def metrics(revision: str, experiment: str, folder: Path) -> dict[str, list[str]]:
    """Returns the columns of the experiment's metrics.csv, made by the sources of a revision."""
    sources, run = folder / "sources", folder / experiment
    if not sources.exists():
        subprocess.run(["git", "clone", "-q", ROOT, sources], check=True)
        subprocess.run(["git", "checkout", "-q", revision], cwd=sources, check=True)
    command = [sys.executable, "experiments/run.py", experiment, "--seed", "0", "--out", run]
    subprocess.run(command, cwd=sources, check=True, stdout=subprocess.DEVNULL)
    with open(run / "metrics.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def differences(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> list[str]:
    """Returns what is not the same: a column that is gone, or whose values changed."""
    found = []
    for name, values in before.items():
        if name in after and after[name] != values:
            found.append(f"{name}: other values")
        if name not in after:
            same = [other for other, its in after.items() if other not in before and its == values]
            found += [] if same else [f"{name}: gone, and no new column has its values"]
    return found


def main() -> int:
    """Prints a line per experiment; returns 1 where one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="a revision of git")
    parser.add_argument("after", help="another")
    parser.add_argument("experiments", nargs="*", default=EXPERIMENTS)
    asked = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory() as name:
        for experiment in asked.experiments:
            tables = [
                metrics(revision, experiment, Path(name) / f"{i}")
                for i, revision in enumerate((asked.before, asked.after))
            ]
            odd = differences(*tables)
            worst |= bool(odd)
            rows = len(tables[0]["iteration"])
            said = "; ".join(odd) or f"{len(tables[0])} columns, {rows} rows, the same bits"
            print(f"{experiment}: {said}", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
