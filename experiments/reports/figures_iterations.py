"""The pictures of a run's whole course, drawn from its tables: metrics, and columns by condition."""

from typing import Any

import numpy as np

from .style import BLUE, GREY, ORANGE

Columns = dict[str, np.ndarray]


def learning(plt: Any, metrics: Columns, per: Columns, actor: str) -> Any:
    """Cost of the controllers, or of the planner, and of the policy, with the spread over the
    conditions.
    """
    actors = {"controllers": "local controllers"}.get(actor, actor)
    shown = [
        (k, n, c)
        for k, n, c in (("cost", actors, BLUE), ("policy_cost", "policy", ORANGE))
        if np.isfinite(metrics.get(k, np.nan)).any()
    ]
    if not shown and "sampled_cost" in metrics:  # no evaluation episodes were made
        shown = [("sampled_cost", "exploring episodes", BLUE)]
    if not shown:
        return None
    figure, axis = plt.subplots(figsize=(6.4, 3.8))
    steps = metrics.get("env_steps", metrics["iteration"])
    for key, name, colour in shown:
        axis.plot(steps, metrics[key], "o-", ms=3, color=colour, label=f"{name}, mean")
        if key in per and per[key].shape[1] > 1:
            low, high = _quantiles(per[key], 0.1, 0.9)
            axis.fill_between(
                steps,
                low,
                high,
                color=colour,
                alpha=0.18,
                lw=0,
                label=f"{name}, 80 % of the conditions",
            )
    if "oracle" in metrics:
        axis.plot(
            steps, metrics["oracle"], "--", color=GREY, label="planned in the ground-truth dynamics"
        )
    values = np.concatenate([metrics[key] for key, _, _ in shown])
    if (values > 0).all() and values.max() > 8 * values.min():  # False with NaN
        axis.set_yscale("log")
        _plain_ticks(axis)
    axis.set(
        xlabel="environment steps" if "env_steps" in metrics else "iteration",
        ylabel="cost of an episode",
    )
    axis.set_title("Learning", loc="left")
    axis.legend(fontsize=8)
    return figure


def improvement(plt: Any, metrics: Columns, per: Columns) -> Any:
    """The predicted fall of the cost against the actual one; on the dashed line both agree."""
    predicted, actual = (
        per.get(k, metrics.get(k, np.empty(0))).ravel() for k in ("predicted", "actual")
    )
    if len(predicted) != len(actual):
        return None
    good = np.isfinite(predicted) & np.isfinite(actual)
    if not good.any():
        return None
    numbers = np.broadcast_to(
        metrics["iteration"][:, None],
        (len(metrics["iteration"]), len(predicted) // len(metrics["iteration"])),
    )
    figure, axis = plt.subplots(figsize=(5.2, 4.2))
    dots = axis.scatter(
        predicted[good],
        actual[good],
        c=numbers.ravel()[good],
        s=14,
        cmap="viridis",
        alpha=0.8,
        lw=0,
    )
    both = np.concatenate([predicted[good], actual[good]])
    low, high = np.quantile(both, [0.02, 0.98])
    margin = 0.08 * (high - low) + 1e-9
    ends = [low - margin, high + margin]
    axis.plot(ends, ends, "--", color=GREY, lw=1)
    axis.set(
        xlim=ends, ylim=ends, xlabel="predicted fall of the cost", ylabel="actual fall of the cost"
    )
    axis.set_title("Predicted against actual improvement", loc="left")
    figure.colorbar(dots, label="iteration")
    return figure


def divergence(plt: Any, metrics: Columns, per: Columns) -> Any:
    """How far the controllers moved, against the bound, and the dual variable that held them."""
    panels = [
        (key, name)
        for key, name in (("kl", "KL, nats"), ("eta", "dual variable η"))
        if key in metrics or key in per
    ]
    if not panels:
        return None
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(6.4, 2.3 * len(panels)), sharex=True, squeeze=False
    )
    numbers = metrics["iteration"]
    for axis, (key, name) in zip(axes[:, 0], panels, strict=True):
        if key in per:
            low, middle, high = _quantiles(per[key], 0.1, 0.5, 0.9)
            axis.fill_between(
                numbers, low, high, color=BLUE, alpha=0.18, lw=0, label="80 % of the conditions"
            )
            axis.plot(numbers, middle, "o-", ms=3, color=BLUE, label="median")
        else:
            axis.plot(numbers, metrics[key], "o-", ms=3, color=BLUE, label="mean")
        if key == "kl" and "epsilon" in per:
            axis.plot(
                numbers,
                _quantiles(per["epsilon"], 0.5)[0],
                "--",
                color=ORANGE,
                label="bound, median",
            )
        line = np.asarray(axis.get_lines()[0].get_ydata(), float)
        line = line[np.isfinite(line)]
        if len(line) and (line > 0).all() and line.max() > 8 * line.min():
            axis.set_yscale("log")
        axis.set_ylabel(name)
        axis.legend(fontsize=8)
    axes[0, 0].set_title("KL divergence and its multiplier", loc="left")
    axes[-1, 0].set_xlabel("iteration")
    return figure


def multipliers(plt: Any, metrics: Columns, per: Columns) -> Any:
    """The weight on the divergence between controllers and policy, and how far the multipliers shift
    the two apart.
    """
    panels = [
        (key, name)
        for key, name in (
            ("nu", "weight ν, cost per nat"),
            ("shift", "shift Sλ/ν, units of action"),
        )
        if key in metrics
    ]
    if not panels:
        return None
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(6.4, 2.1 * len(panels)), sharex=True, squeeze=False
    )
    for axis, (key, name) in zip(axes[:, 0], panels, strict=True):
        axis.plot(metrics["iteration"], metrics[key], "o-", ms=3, color=BLUE)
        axis.set_ylabel(name)
        if (metrics[key] > 0).all() and metrics[key].max() > 8 * metrics[key].min():
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter("")
    axes[0, 0].set_title("Multipliers between controllers and policy", loc="left")
    axes[-1, 0].set_xlabel("iteration")
    return figure


def imitation(plt: Any, metrics: Columns, per: Columns) -> Any:
    """The policy against its controllers: the cost of each condition with the one and with the
    other, and the KL.
    """
    if "policy_cost" not in per or "cost" not in per:
        return None
    both, pair = "policy_kl" in metrics, np.array([per["policy_cost"][-1], per["cost"][-1]])
    if not np.isfinite(pair).all(0).any():
        return None
    figure, axes = plt.subplots(1, 1 + both, figsize=(6.4, 3.2), squeeze=False)
    axis, (mine, theirs) = axes[0, 0], pair
    axis.plot(theirs, mine, "o", ms=4, color=ORANGE, alpha=0.8)
    ends = [np.nanmin(pair), np.nanmax(pair)]
    axis.plot(ends, ends, "--", color=GREY, lw=1)
    axis.set(xlabel="controller's cost", ylabel="policy's cost")
    axis.set_title("Conditions, last iteration", loc="left", fontsize=10)
    if both:
        axes[0, 1].plot(metrics["iteration"], metrics["policy_kl"], "o-", ms=3, color=BLUE)
        if (metrics["policy_kl"] > 0).all():
            axes[0, 1].set_yscale("log")
        axes[0, 1].set(xlabel="iteration")
        axes[0, 1].set_title("KL(controller || policy), nats", loc="left", fontsize=10)
    figure.tight_layout()
    return figure


def _quantiles(values: np.ndarray, *levels: float) -> np.ndarray:
    """Returns quantiles over the conditions, (levels, iterations); NaN where an iteration has no
    number.
    """
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
