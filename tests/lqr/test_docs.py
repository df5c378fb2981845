"""The page on LQR tells the truth: its code runs, in order."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lqr.md"


@pytest.mark.slow  # where its kernels are not compiled yet
def test_the_code_of_the_page_on_lqr_runs():
    blocks = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert len(blocks) >= 7
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)


def test_the_recursions_on_the_page_are_those_of_the_source():
    source = (PAGE.parents[1] / "lqr" / "riccati.py").read_text(encoding="utf-8")
    shown = PAGE.read_text(encoding="utf-8").split("<!-- riccati -->\n```py\n")[1].split("```")[0]
    assert shown == source[source.index("def backward") :]
