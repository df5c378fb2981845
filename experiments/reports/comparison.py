"""Runs side by side: those that differ in nothing but the seed are one group, of which mean and
spread are shown.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynamics.storage.files import folders_by_number, within
from lqr import InputError

from ..engine import intervals, tables
from ..engine.saved_files import CONFIG, saved_config, saved_result
from . import html

FINAL = {  # column -> what people call it; a low one is good, but for the return
    "mean_return": "return in Gymnasium",
    "policy_cost": "policy's cost",
    "cost": "controllers' cost",
    "policy_distance": "policy's distance",
    "distance": "controllers' distance",
    "episodes": "episodes",
    "env_steps": "environment steps",
}


class Run(NamedTuple):
    """What is compared of a run."""

    path: Path
    about: Mapping[str, Any]  # config.json
    rows: Sequence[Mapping[str, float]]  # metrics.csv
    final: Mapping[str, float]  # the last row, with the mean return where the run was evaluated
    finished: bool  # an unfinished run has a last row too, but no result
    returns: Sequence[float] = ()  # of the episodes it was graded in, the same ones for every run
    env_id: str | None = None  # where it was graded


class Group(NamedTuple):
    """Runs of one experiment with the same settings."""

    name: str  # its experiment, and those of its settings that others have otherwise
    runs: Sequence[Run]

    def curve(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the episodes so far, and a column of each run, (runs, iterations), NaN where a run
        is shorter.
        """
        longest = max(self.runs, key=lambda run: len(run.rows)).rows
        values = np.full((len(self.runs), len(longest)), np.nan)
        for line, run in zip(values, self.runs, strict=True):
            line[: len(run.rows)] = [row.get(key, math.nan) for row in run.rows]
        return np.array([row.get("episodes", row["iteration"]) for row in longest]), values

    def finals(self, key: str) -> list[float]:
        """Returns the final values of a column, of the finished runs, those that are numbers."""
        return [
            run.final[key]
            for run in self.runs
            if run.finished and math.isfinite(run.final.get(key, math.nan))
        ]

    def returns(self) -> np.ndarray | None:
        """Returns what the finished runs were paid in the episodes that all were graded in, (runs,
        E); None where they were not.
        """
        rows = [run.returns for run in self.runs if run.finished]
        places = {(len(run.returns), run.env_id) for run in self.runs if run.finished}
        return np.array(rows, float) if len(places) == 1 and rows and len(rows[0]) else None


def called(key: str, groups: Sequence[Group]) -> str:
    """Returns what people call a column of FINAL, with whose it is where that is one for all."""
    found = {tables.actor(run.about.get("actor")) for group in groups for run in group.runs}
    whose = tables.ACTORS[found.pop()] if len(found) == 1 else ""
    return FINAL[key].replace("controllers'", whose).strip()


def read(path: Path) -> list[Run]:
    """Returns the run in a folder, or those of a sweep. Raises CheckpointError, InputError for one
    without a row.
    """
    if not (path / CONFIG).exists() and path.is_dir():
        inside = [
            within(path, folder.name)
            for _, folder in folders_by_number(path, "seed_")
            if (folder / CONFIG).exists()
        ]
        if inside:
            return [run for folder in reversed(inside) for run in read(folder)]
    about, rows = saved_config(path), tables.read(path / "metrics.csv")
    if not rows:
        raise InputError(
            f"{path}: got a run without an iteration; expected one or more: let it go on, or leave it out"
        )
    result = saved_result(path)
    fresh = (result or {}).get("input", "o") == "o"  # else it is of the run's own starts
    evaluated = (result or {}).get("evaluation") if fresh else None
    rows = [{**row, "kept": kept(row)} for row in rows]
    return [
        Run(
            path,
            about,
            rows,
            {**rows[-1], **({"mean_return": evaluated["mean_return"]} if evaluated else {})},
            result is not None,
            evaluated.get("returns", ()) if evaluated else (),
            (result or {}).get("env_id"),
        )
    ]


def kept(row: Mapping[str, float]) -> float:
    """Returns how much of the improvement that the models predicted came; NaN where they predicted
    none.
    """
    predicted = row.get("predicted", 0.0)
    return row.get("actual", math.nan) / predicted if predicted > 0 else math.nan


def counted_once(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Returns the runs of which each counts, and those left out: of runs that differ in nothing,
    not even the seed, a finished one counts, or the first.
    """
    kept: dict[str, Run] = {}
    left = []
    for run in runs:
        key = f"{run.about['seed']} {_same(run)}"
        if key not in kept:
            kept[key] = run
        elif run.finished and not kept[key].finished:
            left.append(kept[key])
            kept[key] = run
        else:
            left.append(run)
    return list(kept.values()), left


def notes(groups: Sequence[Group], left: Sequence[Run] = ()) -> list[tuple[str, str]]:
    """Returns what a reader of the means must know, as rows: runs that are not finished, and those
    left out.
    """
    unfinished = [run for group in groups for run in group.runs if not run.finished]
    rows = [
        (
            "not finished",
            f"{run.path}, after iteration {run.rows[-1]['iteration']:.0f}: drawn, but not in the means",
        )
        for run in unfinished
    ]
    return rows + [
        ("counts once", f"{run.path} is left out: seed {run.about['seed']} is there already")
        for run in left
    ]


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Returns the groups in the order in which they come."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(_same(run), []).append(run)
    groups = list(found.values())
    names = [
        ", ".join([members[0].about["experiment"], *_chosen(members[0])]) for members in groups
    ]
    for i, members in enumerate(groups):
        same = [
            g[0].about for g in groups if g[0].about["experiment"] == members[0].about["experiment"]
        ]
        odd = [
            k
            for k, v in members[0].about["config"].items()
            if any(a["config"].get(k) != v for a in same)
        ]
        names[i] += "".join(f", {k} {html.word(members[0].about['config'][k])}" for k in odd[:3])
        names[i] += ", ..." if len(odd) > 3 else ""
    return [Group(name, members) for name, members in zip(names, groups, strict=True)]


def differences(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    """Returns a row for every setting, version and machine that differs: its name, and its value in
    each group.
    """
    views = [
        {
            "experiment": a["experiment"],
            "method": a["method"],
            **a["config"],
            "version": a["version"],
            **a["fingerprint"],
            **a.get("dependencies", {}),
        }
        for a in (group.runs[0].about for group in groups)
    ]
    keys = dict.fromkeys(key for view in views for key in view)
    rows = [(key, *(html.word(view.get(key, "–")) for view in views)) for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def spread(values: Sequence[float]) -> str:
    """Returns mean, standard deviation and range in words."""
    if not values:
        return "–"
    mean = statistics.fmean(values)
    if min(values) == max(values):
        return html.number(values[0]) + (" (all)" if len(values) > 1 else "")
    low, high = html.number(min(values)), html.number(max(values))
    return f"{html.number(mean)} ± {statistics.stdev(values):.2g} ({low} to {high})"


def told(group: Group, key: str) -> str:
    """Returns mean, standard deviation and range of a group's final values in words; of a return,
    also how far the mean may be off.
    """
    text = spread(group.finals(key))
    if key != "mean_return" or (returns := group.returns()) is None:
        return text
    return f"{text}; {errors(intervals.over_seeds(returns), returns.shape[1])}"


def errors(found: intervals.Estimate, count: int) -> str:
    """Returns how far a mean over seeds, each graded in the same `count` episodes, may be off."""
    if not math.isfinite(found.error):
        return "how far the mean may be off cannot be said of one seed in one episode"
    low, high = (html.number(end) for end in found.interval[1:])
    of_episodes = f"{found.episodes:.2g} of the {count} episodes"
    if math.isnan(found.seeds):
        return f"standard error {of_episodes}, that of other seeds unknown (95 %: {low} to {high}, of this policy)"
    of_episodes += ", the same for all" if math.isfinite(found.episodes) else ""
    return f"standard errors {found.seeds:.2g} of the seeds, {of_episodes} (95 %: {low} to {high})"


def verdict(groups: Sequence[Group]) -> str:
    """Returns which group ends best, and whether the difference to the next is more than chance, in
    plain words.
    """
    tasks = {(run.about["experiment"], *_chosen(run)) for group in groups for run in group.runs}
    key = next((k for k in FINAL if all(group.finals(k) for group in groups)), None)
    if len(groups) < 2 or key is None:
        one = groups[0]
        key = next((k for k in FINAL if one.finals(k)), None)
        return f"{len(one.runs)} runs of {one.name}" + (
            f": {called(key, [one])} {told(one, key)}." if key else "."
        )
    sign = -1.0 if key == "mean_return" else 1.0
    best, second = sorted(groups, key=lambda group: sign * statistics.fmean(group.finals(key)))[:2]
    a, b = best.finals(key), second.finals(key)
    text = f"{best.name} ends best: {called(key, groups)} {statistics.fmean(a):.4g} "
    text += f"against {statistics.fmean(b):.4g} of {second.name}"
    both = [best.returns(), second.returns()] if key == "mean_return" else [None, None]
    places = {run.env_id for run in (best.runs[0], second.runs[0])}
    if both[0] is not None and both[1] is not None and len(places) == 1:
        if both[0].shape[1] == both[1].shape[1]:
            text += _paired(both[0], both[1])
    elif min(len(a), len(b)) < 2:
        text += "; of one seed it cannot be said whether that is chance"
    else:
        p = chance(a, b)
        text += f"; over {len(a)} and {len(b)} seeds that is {'more' if p < 0.05 else 'not more'} than chance explains"
        text += f" (Welch's test, p = {p:.2g})"
    return (
        text
        + (
            ""
            if len(tasks) == 1
            else ". Beware: they are of several experiments, whose costs may differ"
        )
        + "."
    )


def _paired(a: np.ndarray, b: np.ndarray) -> str:
    """Returns what the difference of two groups' returns is worth, episode by episode."""
    found, same = intervals.paired(a, b), f"paired over the same {a.shape[1]} episodes"
    low, high = (html.number(end) for end in found.interval[1:])
    more = "more" if found.chance < 0.05 else "not more"
    text = f" by {html.number(found.value)} (95 %: {low} to {high}), {same}"
    if math.isnan(found.seeds):
        return (
            f"; these policies differ{text}: {more} than chance explains; of one seed it cannot be said whether "
            "the methods do"
        )
    return (
        f"; over {len(a)} and {len(b)} seeds that is {more} than chance explains: they differ{text} "
        f"(p = {found.chance:.2g}, seeds and episodes)"
    )


def chance(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the p-value of Welch's test that two groups, of two or more each, have the same
    mean.
    """
    if not (np.ptp(a) or np.ptp(b)):
        return float(a[0] == b[0])
    from scipy.stats import ttest_ind

    return float(ttest_ind(a, b, equal_var=False).pvalue)


def _same(run: Run) -> str:
    """Returns what runs of one group have in common."""
    what = [run.about.get(word) for word in ("experiment", "method", "config")]
    what.append({k: v for k, v in run.about["chosen"].items() if k != "task_processes"})
    return json.dumps(what, sort_keys=True)


def _chosen(run: Run) -> list[str]:
    """Returns the task and the cost that were named in place of the experiment's."""
    return [
        f"{key} {value}"
        for key, value in run.about.get("chosen", {}).items()
        if key in ("task", "cost")
    ]
