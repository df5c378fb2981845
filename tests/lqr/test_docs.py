"""The page on LQR tells the truth: its code runs, in order."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lqr.md"


def test_the_code_of_the_page_on_lqr_runs():
    blocks = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert len(blocks) >= 7
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
