"""What the distribution installs, read from a wheel, and what happens beside a stranger's package."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from importlib import import_module
from pathlib import Path

import pytest

from experiments import launcher

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lqr", "dynamics", "agents", "gps", "experiments")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what a wheel is made of."""
    folder = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """A wheel, built without a network."""
    out = tmp_path_factory.mktemp("wheel")
    code = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=source, check=True, timeout=600)
    (file,) = out.glob("*.whl")
    return zipfile.ZipFile(file)


def test_a_wheel_holds_all_packages_their_types_the_experiments_and_a_program(wheel):
    names = set(wheel.namelist())
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert path.relative_to(ROOT).as_posix() in names
        assert f"{package}/py.typed" in names
    assert any(name.startswith("agents/tasks/models/") and name.endswith(".xml") for name in names)
    assert not any(name.startswith(("tests/", "docs/", "benchmarks/")) for name in names)
    about = f"guided_policy_search-{VERSION}.dist-info"
    assert "gps = experiments.launcher:program" in wheel.read(f"{about}/entry_points.txt").decode()
    told = message_from_string(wheel.read(f"{about}/METADATA").decode())
    assert told["Version"] == VERSION


@pytest.mark.parametrize("package", PACKAGES[:4])
def test_a_package_tells_the_version_of_the_distribution(package):
    assert import_module(package).__version__ == VERSION


def test_each_command_of_the_program_is_a_module_with_a_main():
    for name in launcher.COMMANDS:
        assert callable(import_module(f"experiments.{name}").main)


def test_the_program_runs_what_the_wheel_holds_from_any_folder(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from experiments.launcher import program; program()"
    words = [sys.executable, "-P", "-c", code, str(tmp_path / "site")]
    done = subprocess.run([*words, "run", "--list", "methods"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "badmm" in done.stdout
    done = subprocess.run([*words, "walk"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "run, evaluate" in done.stderr


def test_a_package_that_another_distribution_overwrote_is_named_with_the_remedy(wheel, tmp_path):
    wheel.extractall(tmp_path)
    (tmp_path / "agents" / "__init__.py").write_text('"""Agents of another kind."""\n')
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from experiments.launcher import program; program()"
    words = [sys.executable, "-P", "-c", code, str(tmp_path), "run", "--list"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert "another package of the name agents" in done.stderr
    assert "virtual environment of its own" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_here_all_packages_are_ours():
    assert launcher.foreign() is None
