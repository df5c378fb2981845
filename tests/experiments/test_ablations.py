"""PDDM's choices, one at a time: each run once, equal answers shared, the table and the figure from
files.
"""

import json
from functools import partial

import pytest

from agents.planners import RewardWeighted
from benchmarks import pddm

SMALL = {"hidden": (4,), "horizon": 4, "fit_steps": 10}


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(pddm, "BASE", {**pddm.BASE, **SMALL})
    small = partial(pddm.Config, planner=RewardWeighted(12, iterations=2))
    monkeypatch.setattr(pddm, "Config", small)
    monkeypatch.setitem(
        pddm.CHOICES,
        "ensemble",
        [("1", {"members": 1}), ("3", {"members": 3, "particles": 6}), ("5", {})],
    )
    monkeypatch.setitem(
        pddm.CHOICES, "planner", [("shooting", {"planner": "shooting"}), ("PDDM", {})]
    )

    def main(*words):
        words = [
            "pddm",
            "--task",
            "pendulum",
            "--iterations",
            "2",
            "--seeds",
            "0",
            "--out",
            str(tmp_path),
            *words,
        ]
        monkeypatch.setattr("sys.argv", words)
        pddm.main()
        return capsys.readouterr().out

    return main


def test_a_run_is_made_once_and_every_row_stands_in_the_table(run, tmp_path):
    text = run("--only", "ensemble", "planner")
    files = {path: path.read_bytes() for path in tmp_path.glob("*.json")}
    assert len(files) == 4  # base, two ensembles, shooting
    for row in (
        "| ensemble | 1 |",
        "| ensemble | 3 |",
        "| ensemble | 5 |",
        "| planner | shooting |",
        "| planner | PDDM |",
    ):
        assert row in text
    assert (tmp_path / "ablations.png").stat().st_size > 1000
    again = run("--table")
    assert again.splitlines()[-1] in text
    (tmp_path / "pendulum_2_members-1_0.json").unlink()
    run("--only", "ensemble")
    for path, content in files.items():
        assert path.read_bytes() == content  # the same seed gives the same numbers


def test_what_was_run_is_what_the_row_says(run, tmp_path):
    run("--only", "ensemble", "planner")
    three = json.loads((tmp_path / "pendulum_2_members-3_particles-6_0.json").read_text())
    assert (three["config"]["members"], three["config"]["particles"], three["planner"]) == (
        3,
        6,
        "PDDM",
    )
    shooting = json.loads((tmp_path / "pendulum_2_planner-shooting_0.json").read_text())
    base = json.loads((tmp_path / "pendulum_2_base_0.json").read_text())
    assert shooting["model_calls"] == base["model_calls"]  # equal budgets
    assert shooting["returns"][1] != base["returns"][1]
