"""What a sweep leaves: a table with a row per seed, a page, and the spread over the seeds."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dynamics.storage.files import write_file

from ..engine import intervals, tables
from ..engine.progress import table
from ..engine.saved_files import saved_result
from ..reports import comparison, comparison_page

AT_HOME = ("iteration", "condition")  # columns that say nothing of a result


def write_table(folder: Path, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Writes sweep.csv, a row per finished seed with the last metrics and the evaluation; returns
    the rows.
    """
    rows = []
    for seed in sorted(seeds):
        place = folder / f"seed_{seed}"
        if (result := saved_result(place)) is None:
            continue
        last = tables.read(place / "metrics.csv")[-1]
        row = {
            "seed": float(seed),
            **{key: value for key, value in last.items() if key not in AT_HOME},
        }
        if "evaluation" in result:
            row["mean_return"] = float(result["evaluation"]["mean_return"])
        row |= {
            f"held_out_{key}": float(value) for key, value in result.get("held_out", {}).items()
        }
        rows.append(row)
    lines = [",".join(rows[0])] if rows else []
    lines += [
        ",".join([str(int(row["seed"])), *(repr(row[key]) for key in list(row)[1:])])
        for row in rows
    ]
    write_file(folder / "sweep.csv", "".join(line + "\n" for line in lines).encode())
    return rows


def write_page(folder: Path) -> None:
    """Writes report.html, the runs of the sweep laid over each other."""
    runs, left = comparison.counted_once(comparison.read(folder))
    groups = comparison.grouped(runs)
    page = comparison_page.document(groups, comparison_page.draw(groups), left)
    write_file(folder / "report.html", page.encode())


def show(rows: Sequence[dict[str, float]], folder: Path) -> None:
    """Prints mean, spread and range over the seeds, and how far the mean return may be off."""
    shown = [("seeds", " ".join(str(int(row["seed"])) for row in rows))]
    for key in (key for key in rows[0] if key != "seed"):
        values = [row[key] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        ends = f"{min(values):.4g} to {max(values):.4g}"
        text = f"{statistics.fmean(values):.4g} ± {spread:.2g} (standard deviation), {ends}"
        if key == "mean_return" and (returns := _returns(folder, rows)) is not None:
            text += f"; {comparison.errors(intervals.over_seeds(returns), returns.shape[1])}"
        shown.append((key, text))
    table(
        [
            *shown,
            ("all of it in", str(folder / "sweep.csv")),
            ("look at", str(folder / "report.html")),
        ]
    )


def _returns(folder: Path, rows: Sequence[dict[str, float]]) -> np.ndarray | None:
    """Returns what the seeds' policies were paid in the episodes that all were graded in, (seeds,
    E); None where they were graded in starts of their own.
    """
    runs = [run for row in rows for run in comparison.read(folder / f"seed_{row['seed']:.0f}")]
    return comparison.Group("", runs).returns()
