"""The pictures of a run, drawn from its tables and its last trajectories; each says one thing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.files import write_file
from dynamics.storage import load_tree
from lqr import CheckpointError

from . import tables

BLUE, ORANGE, GREEN, GREY = "#2166ac", "#d6604d", "#1b9e77", "#777777"
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
Columns = dict[str, np.ndarray]


def draw(path: Path, task: Any) -> str | None:
    """Draws figures/*.png of the run in `path`; returns None, or in one line what was not drawn and why."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows, per = tables.read(path / "metrics.csv"), _cube(tables.read(path / "conditions.csv"))
    metrics = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    try:
        last = load_tree(path / "trajectories", finite=False)[0]
    except CheckpointError:
        last = {}
    (path / "figures").mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        for name, make in {"learning": _learning, "improvement": _improvement, "divergence": _divergence}.items():
            _save(plt, make(plt, metrics, per), path / "figures" / f"{name}.png")
        _save(plt, _plane(plt, last, task), path / "figures" / "trajectories.png")
    return None


def _save(plt: Any, figure: Any, path: Path) -> None:
    import io

    if figure is None:
        return
    picture = io.BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight")
    plt.close(figure)
    write_file(path, picture.getvalue())


def _learning(plt: Any, metrics: Columns, per: Columns) -> Any:
    """Cost of the controllers and of the policy, with the spread over the conditions."""
    shown = [
        (k, n, c)
        for k, n, c in (("cost", "local controllers", BLUE), ("policy_cost", "policy", ORANGE))
        if k in metrics
    ]
    if not shown:
        return None
    figure, axis = plt.subplots(figsize=(6.4, 3.8))
    steps = metrics.get("env_steps", metrics["iteration"])
    for key, name, colour in shown:
        axis.plot(steps, metrics[key], "o-", ms=3, color=colour, label=f"{name}, mean")
        if key in per:
            low, high = _quantiles(per[key], 0.1, 0.9)
            axis.fill_between(steps, low, high, color=colour, alpha=0.18, lw=0, label=f"{name}, 80 % of the conditions")
    values = np.concatenate([metrics[key] for key, _, _ in shown])
    if (values > 0).all() and values.max() > 8 * values.min():  # False with NaN
        axis.set_yscale("log")
        _plain_ticks(axis)
    axis.set(xlabel="environment steps" if "env_steps" in metrics else "iteration", ylabel="cost of an episode")
    axis.set_title("Learning", loc="left")
    axis.legend(fontsize=8)
    return figure


def _improvement(plt: Any, metrics: Columns, per: Columns) -> Any:
    """What the local models promised against what the world gave; on the dashed line both agree."""
    predicted, actual = (per.get(k, metrics.get(k, np.empty(0))).ravel() for k in ("predicted", "actual"))
    if len(predicted) != len(actual):
        return None
    good = np.isfinite(predicted) & np.isfinite(actual)
    if not good.any():
        return None
    numbers = np.broadcast_to(
        metrics["iteration"][:, None], (len(metrics["iteration"]), len(predicted) // len(metrics["iteration"]))
    )
    figure, axis = plt.subplots(figsize=(5.2, 4.2))
    dots = axis.scatter(predicted[good], actual[good], c=numbers.ravel()[good], s=14, cmap="viridis", alpha=0.8, lw=0)
    both = np.concatenate([predicted[good], actual[good]])
    low, high = np.quantile(both, [0.02, 0.98])
    margin = 0.08 * (high - low) + 1e-9
    ends = [low - margin, high + margin]
    axis.plot(ends, ends, "--", color=GREY, lw=1)
    axis.set(xlim=ends, ylim=ends, xlabel="predicted fall of the cost", ylabel="actual fall of the cost")
    axis.set_title("Predicted against actual improvement", loc="left")
    figure.colorbar(dots, label="iteration")
    return figure


def _divergence(plt: Any, metrics: Columns, per: Columns) -> Any:
    """How far the controllers moved, against the bound, and the dual variable that held them."""
    panels = [
        (key, name) for key, name in (("kl", "KL, nats"), ("eta", "dual variable η")) if key in metrics or key in per
    ]
    if not panels:
        return None
    figure, axes = plt.subplots(len(panels), 1, figsize=(6.4, 2.3 * len(panels)), sharex=True, squeeze=False)
    numbers = metrics["iteration"]
    for axis, (key, name) in zip(axes[:, 0], panels, strict=True):
        if key in per:
            low, middle, high = _quantiles(per[key], 0.1, 0.5, 0.9)
            axis.fill_between(numbers, low, high, color=BLUE, alpha=0.18, lw=0, label="80 % of the conditions")
            axis.plot(numbers, middle, "o-", ms=3, color=BLUE, label="median")
        else:
            axis.plot(numbers, metrics[key], "o-", ms=3, color=BLUE, label="mean")
        if key == "kl" and "epsilon" in per:
            axis.plot(numbers, _quantiles(per["epsilon"], 0.5)[0], "--", color=ORANGE, label="bound, median")
        line = np.asarray(axis.get_lines()[0].get_ydata(), float)
        line = line[np.isfinite(line)]
        if len(line) and (line > 0).all() and line.max() > 8 * line.min():
            axis.set_yscale("log")
        axis.set_ylabel(name)
        axis.legend(fontsize=8)
    axes[0, 0].set_title("KL divergence and its multiplier", loc="left")
    axes[-1, 0].set_xlabel("iteration")
    return figure


def _plane(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """Where the samples, the controllers (with two standard deviations) and the policy went in the plane."""
    plane, targets = getattr(task, "plane", None), getattr(task, "targets", None)
    if plane is None or targets is None or not {"x", "mean", "policy_x"} & set(last):
        return None
    i, j = plane
    count = len(next(iter(last.values())))
    columns = min(count, 2)  # two fit a phone
    lines = -(-count // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3.3 * columns, 3.1 * lines), squeeze=False)
    for c, axis in enumerate(axes.ravel()):
        axis.set_visible(c < count)
        if c < count:
            _one_condition(axis, {key: value[c] for key, value in last.items()}, np.asarray(targets)[c], i, j)
            axis.set_title(f"condition {c}", fontsize=9, loc="left")
    handles = {
        label: line for axis in axes.ravel() for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.suptitle("The last iteration in the plane (m)", x=0.01, ha="left")
    figure.tight_layout(rect=(0, 0.1 / lines, 1, 1))
    figure.legend(handles.values(), handles.keys(), ncols=len(handles), fontsize=9, loc="lower left")
    return figure


def _one_condition(axis: Any, last: Mapping[str, np.ndarray], target: np.ndarray, i: int, j: int) -> None:
    from matplotlib.patches import Ellipse

    for n, x in enumerate(last.get("x", ())):
        place = x[:, [i, j]] + target
        axis.plot(*place.T, color=GREY, lw=0.7, alpha=0.6, label="samples" if n == 0 else None)
    if "mean" in last:
        place = last["mean"][:, [i, j]] + target
        axis.plot(*place.T, color=BLUE, lw=1.5, label="controller, 2 std. dev.")
        for t in range(0, len(place), max(1, len(place) // 12)) if "cov" in last else ():
            values, vectors = np.linalg.eigh(last["cov"][t][np.ix_([i, j], [i, j])])
            size = 4 * np.sqrt(np.maximum(values, 0))  # full axes of two standard deviations
            angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
            axis.add_patch(Ellipse(place[t], size[1], size[0], angle=angle, color=BLUE, alpha=0.15, lw=0))
    if "policy_x" in last:
        axis.plot(*(last["policy_x"][:, [i, j]] + target).T, color=ORANGE, lw=1.5, label="policy")
    axis.plot(*target, "x", color=GREEN, ms=9, mew=2.5, label="target")
    axis.set_aspect("equal", adjustable="datalim")
    axis.tick_params(labelsize=7)


def _cube(rows: list[dict[str, float]]) -> Columns:
    """Returns the columns of conditions.csv as (iterations, conditions), those that are NaN throughout left out."""
    numbers = {number: n for n, number in enumerate(sorted({row["iteration"] for row in rows}))}
    shape = len(numbers), 1 + int(max((row["condition"] for row in rows), default=0))
    cube = {key: np.full(shape, np.nan) for key in (rows[0] if rows else {}) if key not in ("iteration", "condition")}
    for row in rows:
        for key, values in cube.items():
            values[numbers[row["iteration"]], int(row["condition"])] = row[key]
    return {key: values for key, values in cube.items() if np.isfinite(values).any()}


def _quantiles(values: np.ndarray, *levels: float) -> np.ndarray:
    """Returns quantiles over the conditions, (levels, iterations); NaN where an iteration has no number."""
    found = np.full((len(levels), len(values)), np.nan)
    some = np.isfinite(values).any(1)
    if some.any():
        found[:, some] = np.nanquantile(values[some], levels, axis=1)
    return found


def _plain_ticks(axis: Any) -> None:
    from matplotlib.ticker import LogLocator, ScalarFormatter

    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.yaxis.set_minor_formatter("")
