"""The pictures of a run's last iteration: trajectories, states over time, and the error of the
local models.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.tasks.capabilities import Plane, Targets, capability, state_names

from .style import BLUE, GREEN, GREY, ORANGE

SHOWN = 18  # coordinates of the state


def model_error(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """How far one step of the local models is off along the trajectory, on episodes that they have
    not seen.
    """
    error = np.asarray(last.get("model_error", np.zeros((0, 0))))
    if error.ndim != 2 or not (error > 0).any():
        return None
    figure, axis = plt.subplots(figsize=(6.4, 3.2))
    times = np.arange(error.shape[1]) * task.dt
    for c, line in enumerate(error):
        axis.plot(times, np.where(line > 0, line, np.nan), lw=1, label=f"condition {c}")
    axis.axhline(1.0, ls="--", lw=1, color=GREY)
    axis.set(
        yscale="log",
        xlabel="time, s",
        ylabel="error, share of the change",
    )
    axis.set_title("Error of the local models along the trajectory", loc="left")
    axis.legend(fontsize=7, ncols=3)
    return figure


def states(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """Each coordinate of the state over time: samples, the controller with two standard deviations,
    and the policy.
    """
    if "mean" not in last or "x" not in last:
        return None
    mean, x = np.asarray(last["mean"])[0], np.asarray(last["x"])[0]  # (T+1, n), (N, T+1, dx)
    count = min(x.shape[-1], mean.shape[-1], SHOWN)
    steps = np.arange(len(mean)) * task.dt
    named, lines = state_names(task), -(-count // 2)
    figure, axes = plt.subplots(
        lines, 2, figsize=(6.4, 1.5 * lines + 0.6), sharex=True, squeeze=False
    )
    for i, axis in enumerate(axes.ravel()):
        axis.set_visible(i < count)
        if i >= count:
            continue
        for n, episode in enumerate(x):
            axis.plot(
                steps,
                episode[:, i],
                color=GREY,
                lw=0.7,
                alpha=0.6,
                label="samples" if n == 0 else None,
            )
        axis.plot(steps, mean[:, i], color=BLUE, lw=1.5, label="controller, 2 std. dev.")
        if "cov" in last:
            half = 2 * np.sqrt(np.maximum(np.asarray(last["cov"])[0][:, i, i], 0))
            axis.fill_between(
                steps, mean[:, i] - half, mean[:, i] + half, color=BLUE, alpha=0.18, lw=0
            )
        if "policy_x" in last:
            axis.plot(
                steps, np.asarray(last["policy_x"])[0][:, i], color=ORANGE, lw=1.2, label="policy"
            )
        axis.set_title(named[i], loc="left", fontsize=9)
        axis.tick_params(labelsize=7)
    figure.suptitle("The last iteration over time (s), condition 0", x=0.01, ha="left")
    figure.tight_layout(rect=(0, 0.1 / lines, 1, 1))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), ncols=3, fontsize=9, loc="lower left")
    return figure


def plane(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """Where the samples, the controllers (with two standard deviations) and the policy went in the
    plane.
    """
    own, targets = capability(task, Plane), capability(task, Targets)
    if own is None or targets is None or not {"x", "mean", "policy_x"} & set(last):
        return None
    i, j = own.plane
    count = len(next(iter(last.values())))
    columns = min(count, 2)  # two fit a phone
    lines, scale = -(-count // columns), _enlarged(last, i, j)
    figure, axes = plt.subplots(lines, columns, figsize=(3.3 * columns, 3.1 * lines), squeeze=False)
    for c, axis in enumerate(axes.ravel()):
        axis.set_visible(c < count)
        if c < count:
            _one_condition(
                axis,
                {key: value[c] for key, value in last.items()},
                np.asarray(targets.targets)[c],
                i,
                j,
                scale,
            )
            axis.set_title(f"condition {c}", fontsize=9, loc="left")
    handles = {
        label: line
        for axis in axes.ravel()
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.suptitle("The last iteration in the plane (m)", x=0.01, ha="left")
    figure.tight_layout(rect=(0, 0.1 / lines, 1, 1))
    figure.legend(
        handles.values(), handles.keys(), ncols=len(handles), fontsize=9, loc="lower left"
    )
    return figure


def _enlarged(last: Mapping[str, Any], i: int, j: int) -> int:
    """Returns by how much ellipses are drawn larger than they are, 1, 2, 5, 10, ... 100, so that
    one can see them.
    """
    if "mean" not in last or "cov" not in last:
        return 1
    place = np.asarray(last["mean"])[..., [i, j]]
    variance = np.asarray(last["cov"])[..., [i, j], [i, j]]
    if not (np.isfinite(variance).any() and np.isfinite(place).any() and np.nanmax(variance) > 0):
        return 1
    extent = np.nanmax(np.nanmax(place, 1) - np.nanmin(place, 1))
    radii = 2 * np.sqrt(variance[variance > 0])
    room = min(0.04 * extent / np.nanmedian(radii), 0.15 * extent / np.nanmax(radii))
    return max(factor for factor in (1, 2, 5, 10, 20, 50, 100) if factor == 1 or factor <= room)


def _one_condition(
    axis: Any, last: Mapping[str, np.ndarray], target: np.ndarray, i: int, j: int, scale: int
) -> None:
    from matplotlib.patches import Ellipse

    for n, x in enumerate(last.get("x", ())):
        place = x[:, [i, j]] + target
        axis.plot(*place.T, color=GREY, lw=0.7, alpha=0.6, label="samples" if n == 0 else None)
    if "mean" in last:
        place = last["mean"][:, [i, j]] + target
        axis.plot(
            *place.T,
            color=BLUE,
            lw=1.5,
            label="controller, 2 std. dev." + f" × {scale}" * (scale > 1),
        )
        for t in range(0, len(place), max(1, len(place) // 12)) if "cov" in last else ():
            if not (
                np.isfinite(place[t]).all() and np.isfinite(last["cov"][t]).all()
            ):  # past the episodes' end
                continue
            values, vectors = np.linalg.eigh(last["cov"][t][np.ix_([i, j], [i, j])])
            size = (
                4 * scale * np.sqrt(np.maximum(values, 0))
            )  # full axes of two standard deviations, enlarged
            angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
            axis.add_patch(
                Ellipse(place[t], size[1], size[0], angle=angle, color=BLUE, alpha=0.25, lw=0.8)
            )
    if "policy_x" in last:
        axis.plot(*(last["policy_x"][:, [i, j]] + target).T, color=ORANGE, lw=1.5, label="policy")
    axis.plot(*target, "x", color=GREEN, ms=9, mew=2.5, label="target")
    axis.set_aspect("equal", adjustable="datalim")
    axis.tick_params(labelsize=7)
