"""What the README shows is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_lqr_example_runs_and_its_own_assertions_hold():
    example = next(block for block in BLOCKS if "golden" in block)
    result = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def test_the_experiment_that_is_shown_is_the_file():
    assert (ROOT / "experiments" / "reacher_four.py").read_text() in BLOCKS


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?:tests|docs|dynamics|experiments)/\w[\w/]*\.(?:py|md)", README)))
)
def test_every_file_that_is_named_exists(path):
    assert (ROOT / path).is_file()


def test_the_two_commands_stand_first():
    first = re.search(r"```\n(.*?)```", README, re.DOTALL).group(1).splitlines()
    assert first == [
        "python -m pip install -c constraints.txt -e . && python experiments/run.py reacher",
        'python -m pip install -c constraints.txt -e ".[test]" && python -m pytest',
    ]
