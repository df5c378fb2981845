"""Pictures of a planning run: drawn from whatever the last round left, broken models and short
searches included.
"""

import numpy as np
import pytest

from experiments.reports.figures import FIGURES
from experiments.reports.style import STYLE

LAST = {name: FIGURES[name].make for name in ("predicted_cost", "open_loop", "planner")}
RNG = np.random.default_rng(0)
FULL = {
    "open_loop": np.abs(RNG.normal(size=(2, 9))),
    "predicted_cost_start": np.arange(6.0),
    "predicted_cost_real": RNG.normal(size=(6, 10)).cumsum(-1),
    "predicted_cost_drawn": RNG.normal(size=(6, 20, 10)).cumsum(-1),
    "plan_trace": np.sort(RNG.normal(size=(30, 4, 2)), axis=-1),
}
BROKEN = {name: a.copy() for name, a in FULL.items()}
BROKEN["open_loop"][:, 6:], BROKEN["open_loop"][0, 4] = np.nan, np.inf
BROKEN["predicted_cost_drawn"][:, 3, 5:], BROKEN["predicted_cost_drawn"][2] = np.inf, np.inf
BROKEN["plan_trace"][::2, 2:], BROKEN["plan_trace"][3, :, 1] = np.nan, np.inf


@pytest.fixture
def plt():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        yield plt
    plt.close("all")


@pytest.mark.parametrize("last", [FULL, BROKEN], ids=["full", "broken"])
@pytest.mark.parametrize("name", LAST)
def test_each_is_drawn_and_each_line_is_named(name, last, plt, tmp_path):
    figure = LAST[name](plt, last, None)
    figure.savefig(tmp_path / "a.png")
    names = {text.get_text() for legend in (*figure.legends, *(a.get_legend() for a in figure.axes)) if legend
             for text in legend.get_texts()}  # fmt: skip
    assert {"predicted_cost": "real", "open_loop": "nothing changes", "planner": "lowest"}[
        name
    ] in names


def test_a_search_of_one_iteration_and_one_start_are_enough(plt, tmp_path):
    last = {
        "plan_trace": FULL["plan_trace"][:, :1],
        **{k: v[:1] for k, v in FULL.items() if k.startswith("predicted_cost")},
    }
    for name in ("planner", "predicted_cost"):
        figure = LAST[name](plt, last, None)
        figure.savefig(tmp_path / f"{name}.png")
        drawn = [line.get_ydata() for axis in figure.axes for line in axis.get_lines()]
        assert drawn
        assert any(np.isfinite(y).any() for y in drawn)


def test_what_a_method_does_not_leave_is_not_drawn(plt):
    assert [make(plt, {}, None) for make in LAST.values()] == [None, None, None]
    assert LAST["open_loop"](plt, {"open_loop": np.full((2, 3), np.nan)}, None) is None
