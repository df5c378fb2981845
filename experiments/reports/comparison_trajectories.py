"""What a comparison shows of the last iteration: the local models' error, trajectories, and the
policies at work.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dynamics.storage.files import within
from dynamics.storage.tree import load_tree
from lqr import CheckpointError

from . import html
from .style import GREY, STYLE

VIDEO, TRAJECTORIES = "policy.gif", "trajectories"
ELLIPSES = (
    "trajectories",
    "states",
)  # figures of a run that show its controllers' spread; the first one there is
MOST = 8_000_000  # bytes of pictures and videos in a page; further ones are named


class Run(Protocol):
    """A run in a folder, with its config.json."""

    @property
    def path(self) -> Path: ...
    @property
    def about(self) -> Mapping[str, Any]: ...


def parts(groups: Mapping[str, Sequence[Run]]) -> list[str]:
    """Returns the parts of the page, of runs by the name of their group."""
    found, room = [], MOST
    if picture := model_errors(groups):
        caption = (
            "One step ahead, on episodes that the models have not seen; at 1 a model is as bad "
        )
        caption += "as 'nothing changes'. "
        caption += (
            "Median of the conditions; the line is the mean of the runs, the band their range."
        )
        found.append(
            html.figure(picture, "png", "Error of the local models along the trajectory", caption)
        )
    drawn = {
        name: [(run, p) for run in runs if (p := ellipses(run.path))]
        for name, runs in groups.items()
    }
    for name, pictures in drawn.items():  # a run of each group, and its other runs folded up below
        shown, left, room = trajectories(name, pictures[:1], room)
        more, unseen, room = trajectories(name, pictures[1:], room)
        found += shown
        if names := left + unseen:
            more.append(
                f'<p class="dim">Left out for their size: {html.text(", ".join(names))}</p>'
            )
        if more:
            found.append(html.fold(f"{name}, trajectories of the other seeds", "".join(more)))
    for name, runs in groups.items():
        files = [run.path / VIDEO for run in runs if (run.path / VIDEO).exists()]
        if files and (size := files[0].lstat().st_size) <= room:
            room -= size
            caption = (
                "The policy's mean action, on starts and targets drawn anew. Other runs' videos: "
            )
            caption += ", ".join(map(str, files[1:])) or "none."
            found.append(
                html.figure_file(files[0], f"{name}, seed {runs[0].about['seed']}", caption)
            )
    return found


def ellipses(path: Path) -> Path | None:
    """Returns the picture of a run that shows its controllers' spread; None where it has none."""
    found = (within(path, "figures") / f"{figure}.png" for figure in ELLIPSES)
    return next((picture for picture in found if picture.exists()), None)


def trajectories(
    name: str, pictures: Sequence[tuple[Run, Path]], room: int
) -> tuple[list[str], list[str], int]:
    """Returns the pictures of runs that have room in a page, the names of the others, and the room
    that is left.
    """
    caption = "Episodes of the last iteration, and what the models expect: two standard deviations about the mean."
    found, left = [], []
    for run, picture in pictures:
        if (size := picture.lstat().st_size) > room:
            left.append(str(picture))
            continue
        room -= size
        found.append(
            html.figure_file(picture, f"{name}, seed {run.about['seed']}, trajectories", caption)
        )
    return found, left, room


def model_errors(groups: Mapping[str, Sequence[Run]]) -> bytes | None:
    """Returns the models' errors over the steps as PNG; None where no run kept any."""
    lines = {
        name: [e for run in runs if (e := _error(run.path)) is not None]
        for name, runs in groups.items()
    }
    if not any(lines.values()):
        return None
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(9.6, 3.2))
        for colour, (name, errors) in zip(
            plt.get_cmap("tab10")(np.arange(len(lines)) % 10), lines.items(), strict=True
        ):
            if errors:
                length = min(map(len, errors))
                values = np.array([error[:length] for error in errors])
                steps = np.arange(length)
                axis.fill_between(
                    steps, values.min(0), values.max(0), color=colour, alpha=0.15, lw=0
                )
                axis.plot(steps, values.mean(0), color=colour, lw=1.6, label=name)
        axis.axhline(1.0, ls="--", lw=1, color=GREY)
        axis.set(yscale="log", xlabel="step", ylabel="error, share of the change")
        axis.legend(fontsize=8)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", bbox_inches="tight")
        plt.close(figure)
    return picture.getvalue()


def _error(path: Path) -> np.ndarray | None:
    """Returns the median over the conditions of a run's error (T,), NaN where there is none; None
    without any.
    """
    try:
        error = np.asarray(
            load_tree(path / TRAJECTORIES, finite=False)[0].get("model_error", np.zeros((0, 0)))
        )
    except CheckpointError:
        return None
    if error.ndim != 2 or not (error > 0).any():
        return None
    some = (error > 0).any(0)
    found = np.full(error.shape[1], np.nan)
    found[some] = np.nanmedian(np.where(error > 0, error, np.nan)[:, some], 0)
    return found
