"""The code of docs/model.md runs from top to bottom, and its arm learns."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "model.md"


def test_the_code_of_the_page_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    names = {"arm_xml": ROOT / "agents/tasks/models/arm.xml"}
    exec(compile("\n".join(blocks), PAGE.name, "exec"), names)
    assert names["own"].horizon == 40
    assert names["moved"].conditions == 2
