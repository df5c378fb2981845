"""What a benchmark leaves: the curves of its runs, a table, and a picture per task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import tables
from ..engine.saved_files import RESULT
from .peers import CURVE, finished
from .suites import Entry, Record, Suite

Curve = np.ndarray  # (rows, 5): steps of the task, measure, CPU seconds without the evaluation,
# distance (m) or NaN, standard error of the measure from the episodes it is the mean of, or NaN
Curves = dict[Entry, dict[int, Curve]]  # of each contestant, by seed


def place(folder: Path, entry: Entry) -> Path:
    """Returns the folder of a contestant."""
    name = f"{entry.task}-{entry.name}".replace(", ", "-").replace(" ", "_")
    return folder / name


def curve(folder: Path, entry: Entry) -> Curve | None:
    """Returns what a finished run of a contestant measured, None where it is not finished."""
    if entry.peer:
        said = dict(zip(("algorithm", "env_id"), entry.command, strict=False))
        rows = tables.read(folder / CURVE) if finished(folder, said) else []
        cpu = np.array([row["cpu_seconds"] for row in rows])
    else:
        rows = tables.read(folder / "metrics.csv") if (folder / RESULT).exists() else []
        cpu = np.cumsum([row.get("cpu", np.nan) for row in tables.read(folder / "timing.csv")])
    told = [
        (
            row["env_steps"],
            row[entry.measure],
            row.get("evaluated_distance", np.nan),
            row.get("evaluated_error", np.nan) if entry.measure == "evaluated_return" else np.nan,
        )
        for row in rows
    ]
    found = [
        (steps, value, spent, *rest)
        for (steps, value, *rest), spent in zip(told, cpu, strict=False)
    ]
    return np.array(found) if found else None


def reached(found: Curve, level: float, lower: bool, held: int = 1) -> float:
    """Returns the steps after which the measure was first as good as the level, and was so for
    `held` gradings in a row; infinite where it never was.
    """
    good = found[:, 1] <= level if lower else found[:, 1] >= level
    runs = np.convolve(good, np.ones(held), "valid") == held if len(good) >= held else good[:0]
    return float(found[np.argmax(runs), 0]) if runs.any() else np.inf


def gather(folder: Path, entries: Sequence[Entry], seeds: Sequence[int]) -> Curves:
    """Returns the curves of all that is finished."""
    found: Curves = {entry: {} for entry in entries}
    for entry in entries:
        for seed in seeds:
            if (one := curve(place(folder, entry) / f"seed_{seed}", entry)) is not None:
                found[entry][seed] = one
    return found


def rows_of(suite: Suite, curves: Curves) -> list[dict[str, str]]:
    """Returns a row per contestant and seed."""
    levels = dict(suite.levels)
    rows = []
    for entry, by_seed in curves.items():
        for seed, found in by_seed.items():
            level = levels.get(entry.task)
            at = np.nan if level is None else reached(found, level, suite.lower, suite.held)
            numbers = {
                "steps": found[-1, 0],
                "measure": found[-1, 1],
                "cpu_seconds": found[-1, 2],
                "reached": at,
            }
            numbers |= {"distance": found[-1, 3], "error_of_episodes": found[-1, 4]}
            named = {"task": entry.task, "who": entry.name.replace(",", ";"), "seed": str(seed)}
            rows.append(named | {key: repr(float(value)) for key, value in numbers.items()})
    return rows


def page(suite: Suite, curves: Curves) -> str:
    """Returns the table in Markdown: mean, standard deviation and each seed; published rows stand
    below, marked.
    """
    lines = [suite.text, ""]
    levels = dict(suite.levels)
    for task in dict.fromkeys(entry.task for entry in curves):
        level = f" | steps to {levels[task]:g}" if task in levels else ""
        far = any(
            np.isfinite(one[-1, 3]) for e in curves if e.task == task for one in curves[e].values()
        )
        level += " | distance, each (m)" if far else ""
        lines += [
            f"**{task}**",
            "",
            f"| who | seeds | steps | mean | deviation | error: seeds, episodes | each{level} | CPU s |",
        ]
        lines += ["|" + "---|" * (lines[-1].count("|") - 1)]
        for entry in (e for e in curves if e.task == task):
            lines.append(_row(entry, list(curves[entry].values()), levels.get(task), suite, far))
        for record in (r for r in suite.records if r.task == task):
            spread = f"{record.spread:.4g}" if record.spread else ""
            cells = [
                f"*{record.name}* ({record.source})",
                "",
                f"{record.steps[-1]:.0f}",
                f"{record.values[-1]:.4g}",
                spread,
                "",
            ]
            lines.append(f"| {' | '.join([*cells, *[''] * (2 + (task in levels) + far)])} |")
        lines.append("")
    return "\n".join(lines)


def _row(entry: Entry, found: list[Curve], level: float | None, suite: Suite, far: bool) -> str:
    if not found:
        return f"| {entry.name} | none finished |" + " |" * (6 + (level is not None) + far)
    ends, cpu = [one[-1, 1] for one in found], [one[-1, 2] for one in found]
    at = [] if level is None else [reached(one, level, suite.lower, suite.held) for one in found]
    spread = f"{np.std(ends, ddof=1):.2g}" if len(ends) > 1 else ""
    told = [", ".join(f"{end:.4g}" for end in ends)]
    told += (
        [", ".join("never" if np.isinf(steps) else f"{steps:.0f}" for steps in at)] if at else []
    )
    if far:
        left = [one[-1, 3] for one in found]
        told += [
            f"{np.mean(left):.3f}: " + ", ".join(f"{d:.3f}" for d in left)
            if np.isfinite(left).all()
            else ""
        ]
    steps = f"{max(one[-1, 0] for one in found):.0f}"
    cells = [
        entry.name,
        str(len(found)),
        steps,
        f"**{np.mean(ends):.4g}**",
        spread,
        _errors(ends, [one[-1, 4] for one in found]),
        *told,
        f"{np.mean(cpu):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _errors(ends: list[float], own: list[float]) -> str:
    """Returns the standard errors of a mean over seeds: from the seeds, and from the episodes,
    which all seeds share, so that more seeds do not lessen it.
    """
    seeds = f"{np.std(ends, ddof=1) / np.sqrt(len(ends)):.2g}" if len(ends) > 1 else "unknown"
    shared = np.sqrt(np.mean(np.square(own)))  # at most: a part of it is the seeds' own
    return f"{seeds}, {shared:.2g}" if np.isfinite(shared) else seeds


def draw(suite: Suite, task: str, curves: Curves) -> bytes:
    """Returns the picture of a task as PNG: means over the seeds, and their range, against the
    steps.
    """
    import io

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from ..reports.figures import STYLE

    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(7.0, 4.2))
        for entry, colour in zip(
            (e for e in curves if e.task == task),
            plt.get_cmap("tab10")(np.arange(10)),
            strict=False,
        ):
            if found := list(curves[entry].values()):
                shortest = min(map(len, found))
                steps = found[0][:shortest, 0]
                values = np.stack([one[:shortest, 1] for one in found])
                axis.plot(
                    steps,
                    values.mean(0),
                    color=colour,
                    lw=1.5,
                    label=f"{entry.name} ({len(found)} seeds)",
                )
                axis.fill_between(
                    steps, values.min(0), values.max(0), color=colour, alpha=0.15, lw=0
                )
        for record, style in zip(
            (r for r in suite.records if r.task == task), ("--", ":", "-.", "--"), strict=False
        ):
            _published(axis, record, style)
        axis.set(xlabel="steps of the task", ylabel="cost" if suite.lower else "return")
        if suite.lower:
            axis.set_yscale("log")
        axis.set_title(f"{task}: mean and range of the seeds", loc="left")
        axis.legend(fontsize=8)
        figure.tight_layout()
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        plt.close(figure)
    return picture.getvalue()


def _published(axis: Any, record: Record, style: str) -> None:
    if len(record.steps) > 1:
        axis.plot(record.steps, record.values, style, color="grey", lw=1, label=record.name)
    else:
        axis.axhline(record.values[0], ls=style, color="grey", lw=1, label=record.name)
