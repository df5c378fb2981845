"""The pictures of teachers and what they have in common: costs side by side, and divergences."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .style import BLUE, ORANGE

Columns = dict[str, np.ndarray]


def teachers(plt: Any, metrics: Columns, per: Columns) -> Any:
    """The cost of each task with its teacher and with the student, in the last iteration."""
    pair = [per.get(name, np.empty((1, 0)))[-1] for name in ("teacher_cost", "policy_cost")]
    if len(pair[0]) != len(pair[1]) or not np.isfinite(pair).all(0).any():
        return None
    place = np.arange(len(pair[0]))
    figure, axis = plt.subplots(figsize=(6.4, 3.2))
    for side, (name, colour, cost) in enumerate(
        zip(("teacher", "student"), (BLUE, ORANGE), pair, strict=True)
    ):
        axis.bar(place + 0.4 * (side - 0.5), cost, 0.38, color=colour, label=name)
    axis.set(xlabel="task", ylabel="cost of an episode")
    axis.set_xticks(place)
    axis.set_title("Teachers and student", loc="left")
    axis.legend(fontsize=8)
    return figure


def pairwise(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """KL(pi_i || pi_j) of each pair of policies: a matrix at five iterations, and its mean."""
    apart = last.get("pairwise_kl")
    if apart is None or apart.shape[1] < 2:
        return None
    shown = np.unique(np.linspace(0, len(apart) - 1, 5).astype(int))
    figure, axes = plt.subplots(
        1,
        len(shown) + 1,
        figsize=(10, 2.6),
        width_ratios=[1] * len(shown) + [2.2],
        layout="constrained",
    )
    most = max(float(apart[shown].max()), 1e-12)
    for axis, at in zip(axes, shown, strict=False):
        image = axis.imshow(apart[at], vmin=0, vmax=most, cmap="viridis")
        axis.set_title(f"iteration {at + 1}", fontsize=8)
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
    figure.colorbar(image, ax=list(axes[:-1]), location="bottom", shrink=0.6, label="nats")
    k = apart.shape[1]
    axes[-1].plot(np.arange(1, len(apart) + 1), apart.sum((1, 2)) / (k * (k - 1)), color=BLUE)
    axes[-1].set(xlabel="iteration")
    axes[-1].set_title("mean KL of a pair, nats", loc="left", fontsize=10)
    return figure
