"""The example of docs/planning.md runs as it stands, and the goals are reached; its names exist."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from agents import planners
from dynamics import PROPAGATIONS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "planning.md").read_text()


def test_the_example_holds_the_rod_at_both_goals_and_follows_the_trajectory(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/planning.md", "exec"), {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert lines[2][0] == "followed"
    assert float(lines[2][1]) < 0.05  # rad; resting would be 0.31
    for goal, angle in lines[:2]:
        assert float(angle) == pytest.approx(float(goal), abs=0.1)


def test_planners_propagations_and_methods_that_it_names_are_there():
    for kind in planners.PLANNERS.values():
        assert f"`{kind.__name__}`" in PAGE
    for word in PROPAGATIONS:
        assert f"`{word}`" in PAGE
    for word in (
        "mpc",
        "pets",
        "pddm",
        "open_loop",
        "mbmf",
    ):
        assert word in PAGE
        assert hasattr(import_module(f"agents.mpc.{word}"), "train")
