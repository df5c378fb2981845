"""The example of docs/tasks.md runs as it stands, and learns; its table names tasks that there
are.
"""

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


def test_the_table_names_tasks_that_there_are():
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^\W_]\w*)`", row)}
    assert len(named) > 15
    assert named <= set(TASKS)
