"""The examples of docs/policies.md run as they stand, and do what they say."""

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(word):
    (code,) = [block for block in BLOCKS if word in block]
    exec(compile(code, "docs/policies.md", "exec"), {})


def test_the_example_of_two_teachers_teaches_both_halves_and_the_surer_one_better(capsys):
    run("distil(")
    near, far = map(float, capsys.readouterr().out.split())
    assert near < 0.05
    assert near < far < 0.2
