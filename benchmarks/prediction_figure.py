"""One policy under four goals, from the same start; and what it predicts beside what comes.

python -m benchmarks.prediction_figure docs/pictures/prediction_gather.png
"""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.imagination import dfp
from agents.policies.future import FuturePolicy
from agents.rollout import Trajectories, rollout
from agents.tasks.classic.gather import FIRST, SIDE, Gather
from benchmarks.prediction import GOALS
from dynamics.storage.files import write_file
from experiments.configs import dfp_gather
from experiments.reports.style import BLUE, ORANGE, STYLE

SHOWN, AHEAD = 40, 32  # steps of a path; steps ahead


def path_of(axis: Any, found: Trajectories, name: str) -> None:
    """Draws the first steps of an episode on the torus, and what lay there at its start."""
    x = found.x[0]
    pieces = x[0, FIRST:].reshape(2, -1, 2)
    for cells, colour, marker in ((pieces[0], BLUE, "o"), (pieces[1], ORANGE, "x")):
        axis.plot(cells[:, 1], cells[:, 0], marker, ms=4, color=colour, alpha=0.5)
    place = x[: SHOWN + 1, :2]
    jumps = (np.abs(np.diff(place, axis=0)) > 1).any(1)
    broken = np.insert(place, np.flatnonzero(jumps) + 1, np.nan, axis=0)
    axis.plot(broken[:, 1], broken[:, 0], color="0.4", lw=1)
    health, food, poison = x[-1, 4:7]
    axis.set_title(f"goal: {name}", loc="left", fontsize=10)
    axis.set_xlabel(f"health {health:.0f}, food {food:.0f}, poison {poison:.0f}", fontsize=8)
    axis.set(xlim=(-0.5, SIDE - 0.5), ylim=(SIDE - 0.5, -0.5), aspect="equal", xticks=[], yticks=[])


def forecast(axis: Any, task: Gather, policy: FuturePolicy, learner: dict[str, Any]) -> None:
    """Draws predicted against actual changes of health within 32 steps, of 16 episodes."""
    found = rollout(task, policy, np.zeros(1, int), 16, np.random.default_rng(2), noise=0.0)
    now = np.arange(0, task.horizon - AHEAD, 8)
    actual = found.x[:, now + AHEAD, 4] - found.x[:, now, 4]
    o, last = found.o[:, now], len(policy.weights) - 1
    best = policy.choose(o, policy.goal)
    F = np.take_along_axis(policy.predicted(o, policy.goal)[..., last, 0], best[..., None], -1)
    told = F[..., 0] * learner["unit"][last, 0] + learner["middle"][last, 0]
    axis.plot(told.ravel(), actual.ravel(), ".", ms=3, color=BLUE)
    ends = [min(told.min(), actual.min()), max(told.max(), actual.max())]
    axis.plot(ends, ends, color="0.4", lw=1)
    axis.set_title("health within 32 steps", loc="left", fontsize=10)
    axis.set(xlabel="predicted change", ylabel="what came")


def main(path: str) -> None:
    """Draws the figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    task, config = Gather(), replace(dfp_gather.config, evaluate_every=0)
    *_, last = dfp.train(task, config, np.random.default_rng(0))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 5, figsize=(13, 3), layout="constrained")
        for axis, (name, goal) in zip(axes, GOALS.items(), strict=False):
            actor, rng = last.policy.with_goal(goal), np.random.default_rng(1)
            path_of(axis, rollout(task, actor, np.zeros(1, int), 1, rng, noise=0.0), name)
        forecast(axes[-1], task, last.policy, last.state["learner"])
        picture = io.BytesIO()
        figure.savefig(picture, format="png", bbox_inches="tight")
    write_file(Path(path), picture.getvalue())


if __name__ == "__main__":
    main(sys.argv[1])
