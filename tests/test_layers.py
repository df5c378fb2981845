"""The arrows between the packages point one way, and nothing heavy is loaded before it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ["lqr", "dynamics", "agents", "gps", "experiments"]
HEAVY = ["torch", "sklearn", "matplotlib", "tensorboard"]
SOURCES = [path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path):
    """Returns the top-level names of the modules that a file imports absolutely, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_from_those_to_its_right(path):
    layer = ORDER.index(path.relative_to(ROOT).parts[0])
    assert not imported(path) & set(ORDER[layer + 1 :])


def test_relative_imports_stay_inside_their_package():
    for path in SOURCES:
        depth = len(path.relative_to(ROOT).parts) - 1
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= depth, f"{path}:{node.lineno}"


def test_lqr_stands_on_numpy_scipy_and_numba_alone():
    allowed = {"lqr", "numpy", "scipy", "numba", "llvmlite", *sys.stdlib_module_names}
    for path in (ROOT / "lqr").rglob("*.py"):
        assert imported(path) <= allowed, path  # llvmlite is numba's own


def test_the_packages_are_those_of_this_checkout():
    code = "import lqr, dynamics, agents, gps; print(*(p.__file__ for p in (lqr, dynamics, agents, gps)), sep='\\n')"
    for line in python(code).stdout.splitlines():
        assert Path(line).resolve().is_relative_to(ROOT), line


@pytest.mark.parametrize(
    "code",
    [
        "import lqr, dynamics, agents, gps",
        "from experiments.engine import listing; [listing.text(w) for w in listing.WHAT]",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_used(code):
    found = python(f"{code}; import sys; print([m for m in {HEAVY} if m in sys.modules])").stdout
    assert found.splitlines()[-1] == "[]"


def test_tests_have_no_init_files():
    assert not list(
        (ROOT / "tests").rglob("__init__.py")
    )  # tests/gps/__init__.py would hide the library
