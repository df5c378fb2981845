"""What `evaluate.py` tells of episodes: means and rates, shares by a measure of their starts, and
the difference to another policy in the same episodes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.tasks.capabilities import StartMeasure, StartMeasures, capability
from lqr import InputError

from . import intervals
from .episodes import Episode
from .load_run import Opened
from .registry import nearest

Rows = list[tuple[str, str]]


def rows(found: Sequence[Episode], place: str, within: float) -> Rows:
    """Returns what episodes in `place` say, names and values; intervals count a repeated one
    once.
    """
    own = intervals.distinct(found)
    told = [("episodes", f"{len(found)} in {place}")]
    if len(own) < len(found):
        few = f"{len(own)}; the others repeat them, and no interval counts them"
        told.append(("distinct episodes", few))
    told.append(("return", shown(intervals.mean_interval([episode.total for episode in own]))))
    if not any(episode.distance is None for episode in found):
        far = intervals.mean_interval([episode.distance or 0.0 for episode in own])
        told.append(("final distance", f"{shown(far)} m"))
    done = intervals.successes(own, within)
    if done is None:
        told.append(("success rate", "unknown: the task has neither a success nor a distance"))
    else:
        rate = shown(intervals.rate_interval(done), ".0%")
        told.append(("success rate", f"{rate}, {_meant(found, within)}"))
    return told


def by(measure: StartMeasure, found: Sequence[Episode], within: float) -> Rows:
    """Returns the success rate of the episodes whose starts lie in each group of a measure.

    Raises InputError where nobody can say which episodes succeeded.
    """
    own = intervals.distinct(found)
    done = intervals.successes(own, within)
    if done is None:
        raise InputError(
            "got --by for a task with neither a success nor a distance; expected none, as there is nothing to group"
        )
    values = values_of(measure, own)
    group = np.floor(values / measure.width).astype(int)
    told = [("success by", measure.text)]
    for g in range(group.min(), group.max() + 1):
        inside = [ok for ok, which in zip(done, group, strict=True) if which == g]
        ends = f"{g * measure.width:g} to {(g + 1) * measure.width:g}"
        share = shown(intervals.rate_interval(inside), ".0%") if inside else "none"
        told.append((f"  {ends}", f"{share}, of {len(inside)}"))
    return told


def against(found: Sequence[Episode], peers: Sequence[Episode], within: float) -> Rows:
    """Returns how two policies differ that were run in the same episodes, the first minus the
    second, in pairs.
    """
    pairs = {(a.digest, b.digest) if a.digest else i: (a, b) for i, (a, b) in
             enumerate(zip(found, peers, strict=True))}  # fmt: skip
    a, b = zip(*pairs.values(), strict=True)
    other = intervals.mean_interval([episode.total for episode in b])
    gain = intervals.mean_interval([p.total - q.total for p, q in pairs.values()])
    told = [
        ("the other's return", shown(other)),
        ("difference", f"{shown(gain)}, paired over the same {len(pairs)} episodes"),
    ]
    done, theirs = intervals.successes(a, within), intervals.successes(b, within)
    if done is not None and theirs is not None:
        only = sum(p and not q for p, q in zip(done, theirs, strict=True))
        lost = sum(q and not p for p, q in zip(done, theirs, strict=True))
        told.append(
            (
                "the other's rate",
                f"{shown(intervals.rate_interval(theirs), '.0%')}; of the same episodes {only} succeed here alone "
                f"and {lost} there alone (p = {intervals.sign_test(only, lost):.2g})",
            )
        )
    return told


def measure_of(task: Any, name: str) -> StartMeasure:
    """Returns a task's measure of that name. Raises InputError where it has none of that name."""
    told = capability(task, StartMeasures)
    known = {} if told is None else told.start_measures
    if name not in known:
        more = nearest(name, known) if known else f"{task.name} has no measure of its starts"
        raise InputError(f"--by is {name!r}; {more}")
    return known[name]


def check_pair(run: Opened, other: Opened) -> None:
    """Raises InputError where two policies cannot be run in the same episodes."""
    mine, theirs = ((r.task.name, r.task.conditions, r.sees_state) for r in (run, other))
    if mine != theirs:
        what = "a task {}, {} conditions and sees the state: {}"
        raise InputError(
            f"--against {other.path} has {what.format(*theirs)}; expected {what.format(*mine)}, so that both "
            "can be run in the same episodes"
        )


def table_of(
    found: Sequence[Episode], within: float, name: str | None, measure: StartMeasure | None
) -> list[dict[str, Any]]:
    """Returns a row per episode, as the CSV has it."""
    done = intervals.successes(found, within)
    told = []
    for i, episode in enumerate(found):
        row = {"episode": i, **episode._asdict(), "return": episode.total}
        row |= {"success": done[i]} if done else {}
        keys = ("episode", "seed", "return", "steps", "distance", "success", "digest")
        told.append({key: row[key] for key in keys})
    if name and measure:
        for row, value in zip(told, values_of(measure, found), strict=True):
            row[name] = float(value)
    return told


def values_of(measure: StartMeasure, found: Sequence[Episode]) -> np.ndarray:
    """Returns a measure of each episode's start, (N,)."""
    return np.asarray(measure.of(np.stack([episode.start for episode in found])), float)


def shown(value: intervals.Interval, form: str = ".4g") -> str:
    """Returns a figure with its interval in words."""
    return f"{value.mean:{form}} (95 %: {value.low:{form}} to {value.high:{form}})"


def _meant(found: Sequence[Episode], within: float) -> str:
    """Returns what success is."""
    told = found[0].success is not None
    return "as the task says" if told else f"ends within {within:g} m"
