"""The documentation tells the truth: its code runs, its pages are whole, and every method and
setting is in it.
"""

import json
import re
import sys
import types
from pathlib import Path
from unittest.mock import patch

import pytest

from agents.policies import POLICIES
from dynamics import PRIORS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.append(str(DOCS))

import site_pages  # noqa: E402


def run(code, name, **given):
    """Runs code as a module of that name, so that what it defines can be imported by it."""
    module = types.ModuleType(name)
    module.__dict__.update(given)
    sys.modules[name] = module
    try:
        exec(compile(code, name, "exec"), module.__dict__)
    finally:
        del sys.modules[name]


@pytest.mark.parametrize("page", ["own", "agents", "gps", "index"])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert len(blocks) >= 2
    with patch.dict(PRIORS), patch.dict(POLICIES):  # what a page enters is taken out again
        run("\n".join(blocks), f"page_{page}", folder=tmp_path / "policy")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lqr_to_gps", "priors", "pretrained"])
def test_a_notebook_runs(name, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    book = json.loads((DOCS / "notebooks" / f"{name}.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 4
    run("\n".join(cells), f"notebook_{name}")


def test_every_method_has_a_page_with_its_paper_its_command_and_its_settings():
    found = site_pages.methods()
    assert {"badmm", "lqr_flm", "mdgps", "pi2", "pilqr", "ilqg_ld"} <= set(found)
    for name in found:
        page = site_pages.method_page(name)
        assert (
            f"run.py {name}" in page
            or f"import {name}" in page
            or "python experiments/run.py " in page
        )
        if site_pages.places()[name].startswith("gps"):
            assert re.search(r"\b(19|20)\d\d\b", page), f"{name} names no paper"
        assert re.search(r"^    \S.*(<-|~|=)", page, re.MULTILINE), f"{name} has no equations"
        length = "budget" if name == "auto" else "iterations"
        assert f"| `{length}` |" in page
    index = site_pages.methods_index()
    assert all(f"({name}.md)" in index for name in found)


def test_every_setting_says_what_it_means_and_when_to_change_it():
    lines = [line for line in site_pages.settings_page().splitlines() if line.startswith("| `")]
    assert len(lines) > 20
    known = 0
    for line in lines:
        name, meaning, when, _ = line.strip("| ").split(" | ", 3)
        assert len(meaning) > 5, name
        known += len(when) > 5
    assert known > 0.9 * len(lines), (
        "docs/settings.toml does not say when to change most of the new ones"
    )


def test_results_on_the_pages_are_those_of_the_table():
    page, found = site_pages.method_page("badmm"), site_pages.rows()
    assert len(found) > 8, "the table of results was not understood"
    for row in found["reacher"] + found["reacher_four"]:
        assert " | ".join(row) in page


def test_pictures_and_links_of_the_pages_are_there():
    from make_pictures import SYMPTOMS

    for name in SYMPTOMS:
        assert (DOCS / "pictures" / f"symptom_{name}.png").is_file()
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+?)\)", page.read_text()):
            made = target.startswith(("methods/", "notebooks/")) or target == "settings.md"
            assert made or (DOCS / target).exists(), f"{page.name} points to {target}"


def test_the_symptoms_are_shown_with_their_commands():
    text = site_pages.on_page_markdown("{{ symptom bound }}")
    assert "python experiments/run.py point_mass --kl-step 0.3" in text
    assert "](pictures/symptom_bound.png)" in text
