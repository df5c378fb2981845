"""What lies past an episode's end, and numbers that are missing, reach no picture."""

import numpy as np
import pytest
from test_numbers import World

from dynamics.storage.tree import save_tree
from experiments.engine.tables import Table
from experiments.engine.training import by_condition, last_arrays
from experiments.reports import figures, figures_trajectories
from experiments.reports.figures import kept
from gps import badmm

LENGTHS = [2, 6, 4]


class Plane(World):
    """A linear world with a place to go to, whose episodes end after 2, 6 and 4 of 6 steps."""

    plane, targets = (0, 1), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])

    def __init__(self):
        super().__init__(3, 6, 2, 1, length=LENGTHS)


@pytest.fixture(scope="module")
def iterations():
    config = badmm.Config(iterations=3, samples=2, policy_steps=3, hidden=(4,))
    return list(badmm.train(Plane(), config, np.random.default_rng(0)))


def poisoned(arrays):
    """Returns the trajectories with NaN past each end, which the rollouts fill with the last
    state.
    """
    found = {key: np.array(array, float) for key, array in last_arrays(arrays, kept(), ()).items()}
    for c, length in enumerate(LENGTHS):
        for key, array in found.items():
            array[c][
                (slice(None), slice(length + 1, None)) if key == "x" else slice(length + 1, None)
            ] = np.nan
    return found


def plane_of(last):
    import matplotlib.pyplot as plt

    figure = figures_trajectories.plane(plt, last, Plane())
    seen = []
    for axis in filter(lambda axis: axis.get_visible(), figure.axes):
        lines = [
            line.get_xydata()[np.isfinite(line.get_xydata()).all(1)] for line in axis.get_lines()
        ]
        centres = [patch.get_center() for patch in axis.patches]
        seen.append((lines, centres, axis.dataLim.extents))
    plt.close(figure)
    return seen


def test_a_forecast_is_drawn_no_further_than_the_episodes_went(iterations):
    mean, cov = (iterations[-1].arrays[key] for key in ("mean", "cov"))
    for c, length in enumerate(LENGTHS):
        assert np.isfinite(mean[c, : length + 1]).all()
        assert np.isnan(mean[c, length + 1 :]).all()
        assert np.isnan(cov[c, length + 1 :]).all()


def test_the_plane_shows_the_steps_that_took_place_whatever_stands_behind_them(iterations):
    clean, dirty = (
        plane_of(last)
        for last in (
            last_arrays(iterations[-1].arrays, kept(), ()),
            poisoned(iterations[-1].arrays),
        )
    )
    for (lines, centres, extents), (dirty_lines, dirty_centres, dirty_extents), length in zip(
        clean, dirty, LENGTHS, strict=True
    ):
        np.testing.assert_array_equal(extents, dirty_extents)
        assert np.isfinite(dirty_extents).all()
        np.testing.assert_array_equal(centres, dirty_centres)
        assert len(centres) == length + 1
        for one, other in zip(lines, dirty_lines, strict=True):
            np.testing.assert_array_equal(one[: len(other)], other)
            assert len(other) in (length + 1, 1)  # a path, or the target
            assert (one[len(other) :] == one[len(other) - 1]).all()


@pytest.mark.parametrize("missing", ["nothing", "an iteration", "a condition", "everything"])
def test_figures_are_drawn_with_numbers_missing_and_without_a_warning(
    iterations, tmp_path, missing
):
    metrics, conditions = Table(tmp_path / "metrics.csv"), Table(tmp_path / "conditions.csv")
    for n, iteration in enumerate(iterations):
        row = {"iteration": iteration.number, **iteration.scalars}
        lost = missing == "everything" or (missing == "an iteration" and n == 1)
        metrics.append(
            {key: np.nan if lost and key != "iteration" else value for key, value in row.items()}
        )
        for row in by_condition(iteration, kept()):
            gone = lost or (missing == "a condition" and row["condition"] == 1)
            keep = ("iteration", "condition")
            conditions.append(
                {key: np.nan if gone and key not in keep else value for key, value in row.items()}
            )
    save_tree(tmp_path / "trajectories", poisoned(iterations[-1].arrays), finite=False)
    assert figures.draw(tmp_path, Plane()) is None
    assert (tmp_path / "figures" / "trajectories.png").stat().st_size > 10_000
