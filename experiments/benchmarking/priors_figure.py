"""The picture of a comparison of priors: errors on unseen episodes, intervals, and learning
curves.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..reports.style import STYLE

LEVELS = (50, 90, 99)  # per cent


def draw(
    words: Sequence[str], models: list[dict[str, Any]], learned: list[dict[str, Any]]
) -> bytes:
    """Returns the picture as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(2, 2, figsize=(9.2, 6.8))
        for colour, word in zip(plt.get_cmap("tab10")(np.arange(10)), words, strict=False):
            own = [row for row in models if row["prior"] == word]
            episodes = [row["episodes"] for row in own]
            for axis, key in ((axes[0, 0], "one_step"), (axes[0, 1], "k_step")):
                axis.plot(
                    episodes, [row[key] for row in own], "-", color=colour, lw=1.3, label=word
                )
            actual = [100 * np.mean([row[f"coverage_{level}"] for row in own]) for level in LEVELS]
            axes[1, 0].plot(LEVELS, actual, "o-", color=colour, ms=4, lw=1)
            _learning(axes[1, 1], [row for row in learned if row["prior"] == word], colour)
        axes[1, 0].plot([0, 100], [0, 100], "--", color="grey", lw=1)
        for axis, title in (
            (axes[0, 0], "Error of one step on unseen episodes"),
            (axes[0, 1], "Error of ten steps on unseen episodes"),
        ):
            axis.set(xlabel="episodes so far", ylabel="share of the error of x' = x", yscale="log")
            axis.set_title(title, loc="left")
        axes[1, 0].set(
            xlabel="interval, %",
            ylabel="unseen episodes within it, %",
            xlim=(40, 102),
            ylim=(0, 102),
        )
        axes[1, 0].set_title("Calibration", loc="left")
        axes[1, 1].set(xlabel="episodes so far", ylabel="cost of an episode", yscale="log")
        axes[1, 1].set_title("Learning: mean, and all seeds' range", loc="left")
        axes[1, 1].set_visible(bool(learned))
        figure.tight_layout(rect=(0, 0.05, 1, 1))
        figure.legend(*axes[0, 0].get_legend_handles_labels(), ncols=len(words), loc="lower center")
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        plt.close(figure)
    return picture.getvalue()


def _learning(axis: Any, rows: list[dict[str, Any]], colour: Any) -> None:
    """Draws the mean over the seeds that got as far, and the range of them."""
    episodes = sorted({row["episodes"] for row in rows})
    costs = [[row["cost"] for row in rows if row["episodes"] == count] for count in episodes]
    if not costs:
        return
    axis.plot(episodes, [np.mean(c) for c in costs], "-", color=colour, lw=1.3)
    axis.fill_between(
        episodes, [min(c) for c in costs], [max(c) for c in costs], color=colour, alpha=0.12, lw=0
    )
