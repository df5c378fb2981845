"""Every command starts in one way, and ends with a code and at most one line whatever happens."""

import ast
import graphlib
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.engine.guard import guarded

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
COMMANDS = sorted(
    path for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "early", "launcher")
)


def arrows(path):
    """Returns the modules of experiments that a file imports, anywhere in it, as paths of words."""
    package = ("experiments", *path.relative_to(FOLDER).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            words = (*base, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                whole = (*words, alias.name)
                found = (
                    whole if FOLDER.parent.joinpath(*whole).with_suffix(".py").exists() else words
                )
                if len(found) > 1 and found[0] == "experiments":
                    yield found[1:]


def test_experiments_has_few_rooms_few_arrows_between_them_and_no_circle():
    files, rooms, between = {}, {}, set()
    for path in FOLDER.rglob("*.py"):
        name = path.relative_to(FOLDER).with_suffix("").parts
        files[name] = {other for other in arrows(path) if other != name}
        if name[0] != "__init__":
            others = {other[0] for other in files[name]} - {name[0]}
            rooms.setdefault(name[0], set()).update(others)
            between |= {(name[0], other) for other in others}
    list(graphlib.TopologicalSorter(files).static_order())  # raises CycleError
    list(graphlib.TopologicalSorter(rooms).static_order())
    assert len(rooms) <= 19  # 18 before there was a search over settings
    assert 10 < len(between) <= 45


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_command_loads_nothing_before_the_guard_and_starts_through_the_launcher(path):
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
            assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
    last = tree.body[-1]
    assert isinstance(last, ast.If)
    assert ast.unparse(last.body[-1]) == "launch(main)"


def test_an_exit_out_of_a_users_code_is_an_error_that_names_the_place(capsys):
    def task(words):
        sys.exit(0)

    assert guarded(task, []) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "test_commands.py, line" in line
    assert "sys.exit(0)" in line


def test_what_calls_itself_without_end_is_one_line_that_names_the_place(capsys):
    def again(words):
        return again(words)

    assert guarded(again, []) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "test_commands.py, line" in line
    assert "nested without end" in line


def test_ctrl_c_ends_a_command_silently(capsys):
    def slow(words):
        signal.raise_signal(signal.SIGINT)

    assert guarded(slow, []) == 130
    assert capsys.readouterr() == ("", "")


EARLY = """
import os, runpy, signal, sys
sys.path.insert(0, sys.argv[1])
sys.argv = [os.path.join(sys.argv[1], sys.argv[2])]
asked = []
def press(event, found):
    if event == "import" and found[0] == "launcher" and not asked:
        asked.append(os.kill(os.getpid(), signal.SIGINT))
sys.addaudithook(press)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_ctrl_c_before_a_command_has_begun_is_silent(path):
    """As it begins to import the launcher, before that could listen."""
    words = [sys.executable, "-c", EARLY, str(FOLDER), path.name]
    done = subprocess.run(words, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_the_commands_that_a_run_prints_can_be_pasted_into_a_shell(toy):
    done = toy("toy", "--iterations", "1", "--out", "my run")
    (line,) = [line for line in done.stdout.splitlines() if "evaluate.py" in line]
    assert shlex.split(line)[-1].endswith("/my run")
