"""The pictures of a planning run's last iteration: how far the model could be trusted, and how the
planner searched.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .style import BLUE, GREY, ORANGE

PANELS = 4  # steps of the episode from which costs are shown


def open_loop(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """The error k steps ahead, under the actions that were taken, beside that of 'nothing
    changes'.
    """
    error = np.asarray(last.get("open_loop", np.zeros((2, 0))))
    if not np.isfinite(error).all(0).any():
        return None
    error = np.where(np.isfinite(error), error, np.nan)
    figure, axis = plt.subplots(figsize=(6.4, 3.2))
    ahead = np.arange(1, error.shape[1] + 1)
    axis.plot(ahead, error[0], "o-", ms=3, color=BLUE, label="model")
    axis.plot(ahead, error[1], "--", color=GREY, label="nothing changes")
    axis.set(xlabel="steps ahead", ylabel="error, share of the spread", ylim=(0, None))
    axis.set_title("Error of the model, open loop", loc="left")
    axis.legend(fontsize=8)
    return figure


def predicted_cost(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """The cost that the model expected of the actions that were taken, with its spread, and what
    they cost.
    """
    if "predicted_cost_real" not in last:
        return None
    start, real, drawn = (
        np.asarray(last[f"predicted_cost_{name}"]) for name in ("start", "real", "drawn")
    )
    chosen = np.unique(np.linspace(0, len(start) - 1, PANELS).astype(int))
    lines = -(-len(chosen) // 2)
    figure, axes = plt.subplots(
        lines, 2, figsize=(6.4, 2.2 * lines + 0.5), sharex=True, squeeze=False
    )
    ahead = np.arange(real.shape[1])
    for axis in axes.ravel()[len(chosen) :]:
        axis.set_visible(False)
    for axis, s in zip(axes.ravel(), chosen, strict=False):
        paths = np.where(np.isfinite(drawn[s]), drawn[s], np.nan)
        if np.isfinite(paths).all(1).any():
            paths = paths[np.isfinite(paths).all(1)]
            axis.fill_between(
                ahead,
                paths.min(0),
                paths.max(0),
                color=BLUE,
                alpha=0.2,
                lw=0,
                label="model, all trajectories drawn",
            )
            axis.plot(ahead, paths.mean(0), color=BLUE, lw=1.5, label="model, their mean")
        axis.plot(ahead, real[s], color=ORANGE, lw=1.5, label="real")
        axis.set_title(f"from step {start[s]:.0f}", loc="left", fontsize=9)
        axis.tick_params(labelsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("steps ahead", fontsize=9)
    figure.suptitle("Predicted and real cost over the horizon", x=0.01, ha="left")
    figure.tight_layout(rect=(0, 0.1 / lines, 1, 1))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), ncols=3, fontsize=8, loc="lower left")
    return figure


def planner(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """The lowest and the mean cost of the sequences that were tried, over the search and over the
    episode.
    """
    trace = np.asarray(last.get("plan_trace", np.zeros((0, 0, 2))))
    if not len(trace) or not np.isfinite(trace).any():
        return None
    trace = np.where(np.isfinite(trace), trace, np.nan)
    count, several = np.isfinite(trace[..., 0]).sum(1), trace.shape[1] > 1
    figure, axes = plt.subplots(1 + several, 1, figsize=(6.4, 2.5 * (1 + several)), squeeze=False)
    if several:
        _search(axes[0, 0], trace)
    axis, steps = axes[-1, 0], np.arange(len(trace))
    final = trace[steps, np.maximum(count - 1, 0)]
    axis.plot(steps, final[:, 1], color=GREY, lw=1, label="mean, last iteration")
    if several:
        axis.plot(steps, trace[:, 0, 0], color=ORANGE, lw=1, label="lowest, first iteration")
    axis.plot(steps, np.nanmin(trace[..., 0], 1), color=BLUE, lw=1.5, label="lowest")
    axis.set(xlabel="plans of the episode", ylabel="expected cost")
    axis.legend(fontsize=8)
    axes[0, 0].set_title("The planner's search", loc="left")
    figure.tight_layout()
    return figure


def _search(axis: Any, trace: np.ndarray) -> None:
    """Draws costs over the planner's iterations; 0 is the lowest of a search, 1 the mean of its
    first iteration.
    """
    least, first = np.nanmin(trace[..., 0], 1), trace[:, 0, 1]
    some = np.isfinite(first) & (first - least > 1e-12 * np.maximum(np.abs(first), 1e-300))
    if not some.any():
        return
    share = (trace[some] - least[some, None, None]) / (first - least)[some, None, None]
    at = np.arange(1, trace.shape[1] + 1)
    for i, name, colour in ((1, "mean", GREY), (0, "lowest", BLUE)):
        rows = np.where(np.isfinite(share[..., i]).any(0))[0]
        low, middle, high = np.nanquantile(share[:, rows, i], [0.1, 0.5, 0.9], axis=0)
        axis.fill_between(at[rows], low, high, color=colour, alpha=0.18, lw=0)
        axis.plot(
            at[rows], middle, "o-", ms=3, color=colour, label=f"{name}: median, 80 % of the plans"
        )
    axis.set(xlabel="iteration of the planner", ylabel="cost, share of the start")
    if len(at) <= 12:
        axis.set_xticks(at)
    axis.legend(fontsize=8)
