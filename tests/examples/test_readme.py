"""What the README shows is true."""

import contextlib
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_its_python_runs_from_top_to_bottom(tmp_path):
    from gps import lqr_flm

    names: dict = {}
    with contextlib.chdir(tmp_path):
        exec(compile("\n".join(BLOCKS), "README.md", "exec"), names)
    assert names["action"].shape == (1, names["task"].du)
    config = lqr_flm.Config(iterations=6, samples=4, initial_std=0.02, min_std=0.001)
    rng = np.random.default_rng(0)
    costs = [i.scalars["cost"] for i in lqr_flm.train(names["cart"], config, rng)]
    at_rest = 21.0  # it stays at 1 for 21 states, each of cost 0.5 * 2 * 1^2
    assert costs[-1] < 0.3 * at_rest  # what is shown as a task can be learned


def test_the_results_are_those_of_the_long_table():
    table = (ROOT / "docs" / "results.md").read_text().splitlines()
    rows = [line for line in README.splitlines() if re.match(r"\| `\w+` \| .*\*\*", line)]
    assert len(rows) >= 10
    for row in rows:
        method, _, experiment, result, seeds = [cell.strip() for cell in row.strip("|").split("|")]
        number = re.search(r"\*\*(-?[\d.]+)", result).group(1)
        (long,) = [line for line in table if line.startswith(f"| {experiment} |")]
        assert f"**{number}**" in long
        assert method.strip("`") in long or method == "`pets`"
        assert int(seeds) == 5


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"(?:tests|docs|dynamics|experiments)/\w[\w/]*\.(?:py|md)", README))),
)
def test_every_file_that_is_named_exists(path):
    assert (ROOT / path).is_file()


def test_the_two_commands_stand_first():
    first = re.search(r"```\n(.*?)```", README, re.DOTALL).group(1).splitlines()
    assert first == [
        "python -m pip install -c constraints.txt -e . && python experiments/run.py reacher",
        'python -m pip install -c constraints.txt -e ".[test]" && python -m pytest',
    ]


def test_the_badges_are_true():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    badges = dict(re.findall(r"!\[([^]]+)\]\((https://img\.shields\.io[^)]+)\)", README))
    python, licence, checks = badges
    assert python.split()[1] in badges[python]
    assert project["requires-python"] == f">={python.split()[1]}"
    assert licence.split()[0] == project["license"]
    assert (ROOT / "LICENSE").read_text().startswith("MIT")
    for word in checks.split(": ")[1].split(", "):
        assert (
            f"\n{word}" in (ROOT / ".ci" / "run").read_text()
            or f"-m {word}" in (ROOT / ".ci" / "run").read_text()
        )


def test_the_moving_picture_at_the_top_is_there_and_small():
    path, row = re.findall(r"\((docs/[^)]+\.gif)\)", README)
    assert README.index(path) < README.index("```")
    with Image.open(ROOT / path) as picture:
        assert picture.n_frames > 50
    assert (ROOT / path).stat().st_size < 1_500_000
    assert (ROOT / row).stat().st_size < 1_000_000
