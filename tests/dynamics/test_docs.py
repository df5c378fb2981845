"""The page on local models and priors tells the truth: its code runs, in order."""

import re
from pathlib import Path

import pytest

from dynamics import PRIORS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dynamics.md"


def test_the_code_of_the_page_on_dynamics_runs():
    blocks = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert len(blocks) >= 4
    namespace: dict = {}
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), namespace)
    finally:
        PRIORS.pop("inertia", None)


@pytest.mark.parametrize("word", PRIORS)
def test_the_page_names_every_prior(word):
    assert f"| `{word}` |" in PAGE.read_text()
