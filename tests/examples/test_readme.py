"""What the README shows is true."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_lqr_example_runs_and_its_own_assertions_hold():
    example = next(block for block in BLOCKS if "golden" in block)
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr


def test_the_experiment_that_is_shown_is_the_file():
    assert (ROOT / "experiments" / "configs" / "reacher_four.py").read_text() in BLOCKS


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
    (path,) = re.findall(r"\((docs/[^)]+\.gif)\)", README)
    assert README.index(path) < README.index("```")
    with Image.open(ROOT / path) as picture:
        assert picture.n_frames > 50
    assert (ROOT / path).stat().st_size < 2_000_000
