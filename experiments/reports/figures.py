"""The pictures of a run: one table says what each draws, what it needs, and what to look for.

A figure is drawn from the tables of the whole run, `make(plt, metrics, per_condition)`, or from the
arrays of its last iteration, `make(plt, last, task)`; it returns None where there is nothing to
draw. What the table names is kept of a run; all else that a method yields is named in the report.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynamics.storage.files import write_file
from dynamics.storage.tree import load_tree
from lqr import CheckpointError

from ..engine import tables
from ..engine.training import Kept
from .figures_iterations import divergence, imitation, improvement, learning, multipliers
from .figures_planning import open_loop, planner, predicted_cost
from .figures_seeing import sights
from .figures_teachers import pairwise, teachers
from .figures_trajectories import model_error, plane, states
from .style import STYLE


class Figure(NamedTuple):
    """One picture of the report."""

    make: Callable[..., Any]
    title: str  # in the report
    text: str  # what to look for
    columns: tuple[str, ...] = ()  # arrays of numbers by condition, kept of every iteration
    by_condition: tuple[str, ...] = ()  # arrays of the last iteration, of the first conditions
    whole: tuple[str, ...] = ()  # arrays of the last iteration, kept as they are

    @property
    def of_last(self) -> bool:
        """Whether it is drawn from the last iteration's arrays."""
        return bool(self.by_condition or self.whole)


FIGURES = {  # name of the file, in the report's order
    "learning": Figure(
        learning,
        "Learning",
        "The cost of an episode should fall; the bands are the spread over the conditions.",
        columns=("cost", "policy_cost"),
    ),
    "trajectories": Figure(
        plane,
        "Trajectories",
        "All should end at the cross. Ellipses are two standard deviations of the controller, "
        "enlarged as written.",
        by_condition=("x", "mean", "cov", "policy_x"),
    ),
    "states": Figure(
        states,
        "States over time",
        "The coordinates of the state in the first condition; the band is two standard deviations "
        "of the controller.",
        by_condition=("x", "mean", "cov", "policy_x"),
    ),
    "imitation": Figure(
        imitation,
        "Policy against controllers",
        "A dot is a condition: on the line the policy is as good as the controller it learned "
        "from; above it, worse.",
        columns=("cost", "policy_cost"),
    ),
    "model_error": Figure(
        model_error,
        "Error of the local models along the trajectory",
        "One step ahead, on episodes that the models have not seen; at 1 a model is as bad as "
        "'nothing changes'.",
        by_condition=("model_error",),
    ),
    "predicted_cost": Figure(
        predicted_cost,
        "Predicted and real cost over the horizon",
        "Of the actions that were taken, in an episode that the model had not seen. Where the real "
        "cost leaves the band, the model was too certain.",
        whole=("predicted_cost_start", "predicted_cost_real", "predicted_cost_drawn"),
    ),
    "open_loop": Figure(
        open_loop,
        "Error of the model, open loop",
        "So many steps ahead, in episodes that the model had not seen. Where it meets the dashed "
        "line, a plan that looks farther ahead is no better than a guess.",
        whole=("open_loop",),
    ),
    "planner": Figure(
        planner,
        "The planner's search",
        "Where the lowest cost still falls at the end, more iterations may pay; where mean and "
        "lowest meet early, the search has converged.",
        whole=("plan_trace",),
    ),
    "improvement": Figure(
        improvement,
        "Predicted against actual improvement",
        "A dot is a condition in an iteration. On the line the local models were right; below it "
        "they predicted more than came.",
        columns=("predicted", "actual"),
    ),
    "divergence": Figure(
        divergence,
        "KL and its multiplier",
        "How far each update moved, against its bound. Where it is always at the bound, larger "
        "steps may pay.",
        columns=("kl", "eta", "epsilon"),
    ),
    "multipliers": Figure(
        multipliers,
        "Multipliers",
        "The weight on the divergence grows as controllers and policy are drawn together; the "
        "shift should settle.",
    ),
    "teachers": Figure(
        teachers,
        "Teachers and student",
        "The two bars of a task should be of one height.",
        columns=("teacher_cost", "policy_cost"),
    ),
    "sights": Figure(
        sights,
        "What the policy sees",
        "The points that it finds, the larger the surer, along two of its episodes. One should stay "
        "on the hand, one on the goal.",
        whole=("seen_pictures", "seen_points"),
    ),
    "pairwise": Figure(
        pairwise,
        "Divergence between the policies",
        "Row i, column j: how far policy i is from policy j where i goes. It falls to 0 at each "
        "distillation; a penalty keeps it small in between.",
        whole=("pairwise_kl",),
    ),
}


def kept() -> Kept:
    """Returns what of a method's arrays the figures draw, and so a run keeps."""
    return Kept(
        tuple(dict.fromkeys(name for figure in FIGURES.values() for name in figure.columns)),
        tuple(dict.fromkeys(name for figure in FIGURES.values() for name in figure.by_condition)),
        tuple(dict.fromkeys(name for figure in FIGURES.values() for name in figure.whole)),
    )


def draw(path: Path, task: Any, oracle: float | None = None, actor: Any = None) -> str | None:
    """Draws figures/*.png of the run in `path`; returns None, or in one line what was not drawn and
    why.

    `oracle` is the cost of an episode that is planned in the ground-truth dynamics; `actor`, whose
    the column cost is, as the method declares.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows, per = (
        tables.read(path / "metrics.csv"),
        tables.by_iteration(tables.read(path / "conditions.csv")),
    )
    metrics = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    metrics |= {} if oracle is None else {"oracle": np.full(len(rows), oracle)}
    try:
        last: Mapping[str, Any] = load_tree(path / "trajectories", finite=False)[0]
    except CheckpointError:
        last = {}
    (path / "figures").mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        for name, figure in FIGURES.items():
            if name == "learning":
                picture = figure.make(plt, metrics, per, tables.actor(actor))
            elif figure.of_last:
                picture = figure.make(plt, last, task)
            else:
                picture = figure.make(plt, metrics, per)
            _save(plt, picture, path / "figures" / f"{name}.png")
    return None


def _save(plt: Any, figure: Any, path: Path) -> None:
    import io

    from matplotlib.ticker import MaxNLocator

    if figure is None:
        return
    for axis in figure.axes:  # iterations are whole, along a figure and along its bar of colours
        for line, label in ((axis.xaxis, axis.get_xlabel()), (axis.yaxis, axis.get_ylabel())):
            if label == "iteration":
                line.set_major_locator(MaxNLocator(integer=True))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight")
    plt.close(figure)
    write_file(path, picture.getvalue())
