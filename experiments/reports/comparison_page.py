"""The page of a comparison: one picture of all groups, and their tables."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import comparison_trajectories, html
from .comparison import FINAL, Group, Run, called, differences, notes, told, verdict
from .style import STYLE

PANELS = {  # column -> name; of the policy where there is one
    "cost": "cost of an episode",
    "distance": "distance",
    "kl": "KL of a step, nats",
    "eta": "multiplier η",
    "policy_kl": "KL to the policy, nats",
    "kept": "improvement, actual / predicted",
}


def draw(groups: Sequence[Group]) -> bytes | None:
    """Returns the learning curves of all groups as PNG: mean, all runs' range, and each run; None
    without a curve.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    keys = [key for key in PANELS if any(_column(group, key) for group in groups)]
    if not keys:
        return None
    with plt.rc_context(STYLE):
        lines = -(-len(keys) // 2)
        figure, axes = plt.subplots(
            lines, 2, figsize=(9.6, 2.8 * lines), sharex=True, squeeze=False
        )
        for axis in axes.ravel()[len(keys) :]:
            axis.set_visible(False)
        for axis, key in zip(axes.ravel(), keys, strict=False):
            for colour, group in zip(
                plt.get_cmap("tab10")(np.arange(len(groups)) % 10), groups, strict=True
            ):
                if column := _column(group, key):
                    _band(axis, *group.curve(column), colour, group.name)
            values = np.concatenate([line.get_ydata() for line in axis.get_lines()]).astype(float)
            values = values[np.isfinite(values)]
            if len(values) and values.min() > 0 and values.max() > 8 * values.min():
                axis.set_yscale("log")
            axis.set_ylabel(PANELS[key])
            axis.set_xlabel("episodes")
        figure.suptitle("Mean and range of the runs", x=0.01, ha="left")
        figure.tight_layout()
        names = axes[0, 0].get_legend_handles_labels()
        figure.legend(*names, loc="upper left", bbox_to_anchor=(0.1, 0.0), fontsize=9)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", bbox_inches="tight")
        plt.close(figure)
    return picture.getvalue()


def document(groups: Sequence[Group], picture: bytes | None, left: Sequence[Run] = ()) -> str:
    """Returns the page of a comparison."""
    names = [group.name for group in groups]
    count = sum(len(group.runs) for group in groups)
    parts = html.opening(
        f"{count} runs compared", verdict(groups), len(groups) > 1, "; ".join(names)
    )
    if picture:
        caption = (
            "Each line is the mean of a group, the band all its runs, thin lines the single runs."
        )
        parts.append(html.figure(picture, "png", "Learning", caption))
    keys = [key for key in FINAL if any(group.finals(key) for group in groups)]
    finals = [[called(key, groups), *(told(group, key) for group in groups)] for key in keys]
    seeds = ["seeds", *(" ".join(str(run.about["seed"]) for run in group.runs) for group in groups)]
    parts += [
        "<h2>Mean, standard deviation and range at the end</h2>",
        html.grid(["", *names], [seeds, *finals]),
    ]
    if noted := notes(groups, left):
        parts.append(html.pairs(noted))
    odd = differences(groups)
    parts += ["<h2>What differs in the configuration</h2>"]
    parts += [html.grid(["", *names], odd) if odd else "<p>Nothing but the seeds.</p>"]
    every = [key for key in dict.fromkeys(k for g in groups for k in g.runs[0].about["config"])]
    same = [
        (k, html.word(v))
        for k in every
        if k not in {r[0] for r in odd}
        for v in [groups[0].runs[0].about["config"].get(k)]
    ]
    parts += [html.fold("What is the same", html.pairs(same))]
    parts += comparison_trajectories.parts({group.name: group.runs for group in groups})
    first = groups[0].runs[0].about
    versions = {
        "version": first["version"],
        **first["fingerprint"],
        **first.get("dependencies", {}),
    }
    heading = "Versions and machine" + (" of the first run" if count > 1 else "")
    parts += [
        html.fold(heading, html.pairs([(key, html.word(value)) for key, value in versions.items()]))
    ]
    parts += [
        html.fold(
            "The runs", html.pairs([(g.name, str(run.path)) for g in groups for run in g.runs])
        )
    ]
    return html.document("Comparison", parts)


def _column(group: Group, key: str) -> str | None:
    """Returns the policy's column where there is a policy, else the controllers'; None where there
    is neither.
    """
    names = [key] if key == "kl" else [f"policy_{key}", key]  # policy_kl is another thing
    return next(
        (
            k
            for k in names
            if any(math.isfinite(row.get(k, math.nan)) for row in group.runs[0].rows)
        ),
        None,
    )


def _band(axis: Any, episodes: np.ndarray, values: np.ndarray, colour: Any, name: str) -> None:
    some = np.isfinite(values).any(0)
    episodes, values = episodes[some], values[:, some]
    axis.fill_between(
        episodes, np.nanmin(values, 0), np.nanmax(values, 0), color=colour, alpha=0.15, lw=0
    )
    if len(values) > 1:
        axis.plot(episodes, values.T, color=colour, lw=0.5, alpha=0.5)
    axis.plot(episodes, np.nanmean(values, 0), color=colour, lw=1.8, label=name)
