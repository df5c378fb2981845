"""Every import has its dependency, every dependency its reason, every pin its hash."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"lqr", "dynamics", "agents", "gps", "experiments", "benchmarks"}
SOLD_AS = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "llvmlite": "numba",
    "stable_baselines3": "stable-baselines3",
    "sb3_contrib": "sb3-contrib",
    "dm_control": "dm-control",
}  # numba pins its llvmlite


def bare(requirement):
    return re.match(r"[A-Za-z0-9-]+", requirement)[0].lower()


DEPENDENCIES = {bare(requirement) for requirement in PROJECT["dependencies"]}
EXTRAS = {
    bare(requirement)
    for extra in PROJECT["optional-dependencies"].values()
    for requirement in extra
}


def pins(name):
    lines = (ROOT / name).read_text().splitlines()
    return {
        line.split("==")[0].lower(): line
        for line in lines
        if "==" in line and not line.startswith("#")
    }


def test_every_import_has_its_dependency_and_the_optional_ones_are_extras():
    for folder in OURS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    found = [node.module]
                names = {name.split(".")[0] for name in found} - {
                    "launcher",
                    "early",
                }  # of experiments/
                for name in names - OURS - sys.stdlib_module_names:
                    optional = folder == "benchmarks" or name in (
                        "av",
                        "ray",
                        "cmaes",
                        "optuna",
                        "stable_baselines3",
                        "onnx",
                        "onnxscript",
                        "dm_control",
                    )
                    allowed = DEPENDENCIES | EXTRAS if optional else DEPENDENCIES
                    assert SOLD_AS.get(name, name) in allowed, f"{path}: {name}"


def test_every_dependency_has_a_reason():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    for name in DEPENDENCIES | EXTRAS:
        assert re.search(rf"\b{re.escape(name)}\b", text), (
            f"{name} has no row in docs/dependencies.md"
        )


def test_every_dependency_is_pinned_and_every_pin_has_a_hash():
    constraints, lock = pins("constraints.txt"), pins("requirements.lock")
    extras = PROJECT["optional-dependencies"]
    needed = DEPENDENCIES | {bare(requirement) for requirement in extras["test"] + extras["ray"]}
    assert needed <= set(constraints)
    assert set(constraints) == set(lock)
    for name, line in lock.items():
        assert re.fullmatch(r"[a-z0-9.-]+==[^ ]+ --hash=sha256:[0-9a-f]{64}", line), line
        version = constraints[name].split("==")[1].split()[0]
        assert line.split("==")[1].split()[0].removesuffix("+cpu") == version


def test_nothing_that_is_installed_contradicts_another():
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
