"""The example of docs/tasks.md runs as it stands, and learns; its table names tasks that there are."""

import re
from pathlib import Path

from agents.tasks import TASKS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tasks.md").read_text()


def test_the_example_of_a_simulator_of_ones_own_runs_and_learns(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/tasks.md", "exec"), {})
    costs = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(costs) == 3
    assert costs[-1] < 2.5  # holding the valve shut costs 25


def test_the_table_names_every_task():
    named = set(re.findall(r"`(\w+)`", PAGE.split("## ")[0])) | {name for name in TASKS if name.startswith("mbbl_")}
    assert named >= set(TASKS)
