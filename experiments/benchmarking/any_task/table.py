"""What the suite leaves: a table with every seed, its rows as CSV, and who learned."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .references import value
from .rows import MARGIN, Row

NOBODY = "-"  # where a number was not measured
COLUMNS = (
    "task", "settings", "method", "seeds", "steps", "mean", "deviation", "error of episodes", "each",
    "random", "no action", "SAC, same steps", "reference", "learned", "not below no action", "CPU s",
)  # fmt: skip
TEXT = f"""Mean returns, or minus the costs, of the final policies in fresh episodes; one method and its default
settings for all tasks of a group. Learned: the mean is at least half of the way from the better of random
actions and no action to the reference; a layout is learned where its cost is within {MARGIN:.0%} of iLQR's. In
brackets: of how many seeds that is true. "-" was not measured."""


class Found(NamedTuple):
    """What there is of a row."""

    row: Row
    seeds: Mapping[int, Mapping[str, Any]]  # evaluations of ours
    baselines: Mapping[str, Any]  # of random actions and none
    peers: Mapping[int, Mapping[str, Any]]  # evaluations of SAC at the same steps
    reference: dict[str, Any] | None
    error: str = ""  # what went wrong

    @property
    def state(self) -> str:
        """Why there is nothing of ours."""
        failed = "failed: " + self.error.replace("|", "/").replace("\n", " ")
        return self.row.missing or (failed if self.error else "none finished")

    @property
    def returns(self) -> list[float]:
        """Ours, by seed."""
        return [float(one["mean_return"]) for one in self.seeds.values()]

    @property
    def idle(self) -> float | None:
        """The return of no action."""
        return self.baselines["idle"]["mean_return"] if self.baselines else None

    @property
    def least(self) -> float | None:
        """The return from which on the row is learned; None where nobody can say."""
        best = value(self.reference)
        if best is None or not self.baselines:
            return None
        nothing = max(self.baselines[name]["mean_return"] for name in ("random", "idle"))
        if best <= nothing:
            return None  # a reference that learned nothing tells nothing
        return best - MARGIN * abs(best) if self.row.kind == "layout" else 0.5 * (nothing + best)


def page(found: Sequence[Found]) -> str:
    """Returns the table in Markdown, a part per group, with how many of it were learned."""
    lines = [TEXT, ""]
    for group in dict.fromkeys(one.row.group for one in found):
        inside = [one for one in found if one.row.group == group]
        lines += [f"**{group}**: {summary(inside)}", "", f"| {' | '.join(COLUMNS)} |"]
        lines.append("|" + "---|" * len(COLUMNS))
        lines += [_line(one) for one in inside]
        lines.append("")
    told = {one.row.name: one.reference for one in found if one.reference}
    if told:
        lines += ["References:", ""]
        for name, entry in told.items():
            seeds = ", ".join(map(str, entry["seeds"]))
            lines.append(f"- {name}: {entry['what']}, seeds {seeds}; `{entry['command']}`")
        lines.append("")
    return "\n".join(lines)


def summary(found: Sequence[Found]) -> str:
    """Returns in words how many of these rows were learned, and of how many that can be said."""
    sure = [one for one in found if one.returns and one.least is not None]
    good = sum(float(np.mean(one.returns)) >= float(one.least or 0.0) for one in sure)
    done = sum(bool(one.returns) for one in found)
    below = sum(_holds(one.returns, one.idle).startswith("no") for one in found)
    return (
        f"{good} learned of {len(sure)} with a reference, {below} below no action; "
        f"{done} of {len(found)} rows are finished"
    )


def rows_of(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Returns a row per task and seed, as the CSV has it."""
    lines = []
    for one in found:
        best, least = value(one.reference), one.least
        for seed, own in one.seeds.items():
            ours = own["mean_return"]
            lines.append(
                {
                    "task": one.row.name,
                    "group": one.row.group,
                    "settings": one.row.settings,
                    "method": one.row.method,
                    "seed": seed,
                    "return": ours,
                    "error_of_episodes": own["standard_error"],
                    "episodes": own["episodes"],
                    "steps": own["env_steps"],
                    "cpu_seconds": own["cpu_seconds"],
                    "random": one.baselines["random"]["mean_return"],
                    "no_action": one.baselines["idle"]["mean_return"],
                    "sac": one.peers[seed]["mean_return"] if seed in one.peers else "",
                    "reference": "" if best is None else best,
                    "learned": "" if least is None else int(ours >= least),
                }
            )
    return lines


def _line(one: Found) -> str:
    row = one.row
    words = [row.name, row.settings, row.method]
    best = value(one.reference)
    peers = [float(found["mean_return"]) for found in one.peers.values()]
    if row.missing or not one.returns:
        rest = [NOBODY] * (len(COLUMNS) - 5) if not one.baselines else _rest(one, peers, best)
        return f"| {' | '.join([*words, one.state, '', *rest])} |"
    numbers = list(one.seeds.values())
    shared = np.sqrt(np.mean([found["standard_error"] ** 2 for found in numbers]))
    told = [
        str(len(numbers)),
        f"{max(found['env_steps'] for found in numbers):.0f}",
        f"**{np.mean(one.returns):.4g}**",
        f"{np.std(one.returns, ddof=1):.2g}" if len(numbers) > 1 else "unknown",
        f"{shared:.2g}",
        ", ".join(f"{total:.4g}" for total in one.returns),
    ]
    ends = _rest(one, peers, best)[4:-1]
    spent = f"{np.mean([found['cpu_seconds'] for found in numbers]):.0f}"
    return f"| {' | '.join([*words, *told, *ends, spent])} |"


def _rest(one: Found, peers: Sequence[float], best: float | None) -> list[str]:
    """Returns the cells after the steps; those of ours are empty."""
    idle = one.baselines["random"]["mean_return"], one.baselines["idle"]["mean_return"]
    return [
        *[NOBODY] * 4,
        *(f"{total:.4g}" for total in idle),
        f"{np.mean(peers):.4g} ({len(peers)} seeds)" if peers else NOBODY,
        NOBODY if best is None else f"{best:.4g}",
        _holds(one.returns, one.least),
        _holds(one.returns, one.idle),
        NOBODY,
    ]


def _holds(returns: Sequence[float], least: float | None) -> str:
    """Returns whether the mean is at least so much, and for how many seeds that is so."""
    if not returns or least is None:
        return NOBODY
    good = sum(total >= least for total in returns)
    return f"{'yes' if np.mean(returns) >= least else 'no'} ({good} of {len(returns)})"
