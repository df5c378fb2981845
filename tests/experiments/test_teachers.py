"""What the benchmark of many teachers measures, and its pictures, against what is known otherwise."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy.stats import norm

from agents.learners.cells import Cells
from agents.tasks import make_task
from agents.tasks.classic.rooms import DOOR, GOALS, MOVES, WALL
from benchmarks import teachers
from experiments.reports.figures_teachers import pairwise
from experiments.reports.figures_teachers import teachers as bars
from lqr import Gaussian


class Told:
    """Predicts the change u with deviations 0.5 and 2."""

    def predict(self, x, u):
        return Gaussian(x + u, np.broadcast_to(np.diag([0.25, 4.0]), (len(x), 2, 2)))


def test_surprise_is_the_negative_log_likelihood():
    rng = np.random.default_rng(0)
    x, u, after = rng.standard_normal((3, 50, 2))
    expected = -norm.logpdf(after, x + u, [0.5, 2.0]).sum(1).mean()
    assert teachers.surprise(Told(), x, u, after) == pytest.approx(expected)


def test_a_policy_that_goes_the_shortest_way_takes_its_steps():
    """By the door where the wall is between, then along the columns and rows."""
    task = make_task("rooms")
    cells = Cells(task, 2, 2)
    moves = np.zeros((25, 7, 8), int)
    for c, r, g in np.ndindex(moves.shape):
        to = GOALS[g] if c >= WALL else np.array([WALL, DOOR])
        gap = to - [c, r]
        along = np.array([0, np.sign(gap[1])]) if c < WALL and gap[1] else None
        step = along if along is not None else np.array([np.sign(gap[0]), 0])
        step = step if step.any() else np.array([0, np.sign(gap[1])])
        moves[c, r, g] = np.flatnonzero((step == MOVES).all(1))[0] if step.any() else 0
    x = task.reset(np.repeat(np.arange(4), 25), np.random.default_rng(1000))
    door = np.array([WALL, DOOR])
    way = np.abs(x[:, :2] - door).sum(1) + np.abs(GOALS[x[:, 2].astype(int)] - door).sum(1)
    found = teachers.steps_to_goals(cells.policy(moves.ravel()))
    assert found == pytest.approx(way.mean())


def test_pictures_are_drawn_where_there_is_something_to_draw():
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    per = {"teacher_cost": np.array([[np.nan, np.nan], [1.0, 2.0]])}
    assert bars(plt, {}, per) is None
    figure = bars(plt, {}, per | {"policy_cost": np.array([[5.0, 5.0], [1.5, 2.5]])})
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [1.0, 2.0, 1.5, 2.5]
    assert pairwise(plt, {}, None) is None
    apart = np.zeros((3, 2, 2))
    apart[:, 0, 1], apart[:, 1, 0] = [1.0, 2.0, 0.0], [3.0, 4.0, 0.0]
    figure = pairwise(plt, {"pairwise_kl": apart}, None)
    curve = figure.axes[3].lines[0].get_ydata()
    np.testing.assert_allclose(curve, [2.0, 3.0, 0.0])
    plt.close("all")
