"""Runs the toy experiment the way a person runs experiments/run.py: as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path += [
    str(HERE),
    str(HERE.parent / "faults"),
    str(HERE.parent / "gps"),
]  # for browser, harness, worlds

TOY = HERE / "toy.py"
PATIENCE = 600  # s; the machine may be busy


@pytest.fixture(scope="session")
def parent():
    """The process that has imported everything and forks the toy's runs; it draws no figures."""
    from harness import Parent

    with Parent() as process:
        yield process


@pytest.fixture
def forked(parent, tmp_path, tmp_path_factory):
    """A function that runs a command of experiments/ with the toy as the only experiment, in an
    empty folder, and returns the finished process.
    """

    def run(command, *words):
        said = tmp_path_factory.mktemp("said")
        code = parent.run(tmp_path, words, command=command, said=said)
        out, err = ((said / name).read_text() for name in ("out", "err"))
        return subprocess.CompletedProcess(words, code, out, err)

    return run


@pytest.fixture
def toy(forked, tmp_path):
    """A function that runs toy.py with the given words in an empty folder, and returns the finished
    process: a fork, which has the libraries loaded, or where a script or anything else is told, a
    new one.
    """

    def run(*words, script=TOY, **how):
        if script == TOY and not how:
            return forked(None, *words)
        command = [sys.executable, str(script), *map(str, words)]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, **how
        )

    return run


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The folder of an uninterrupted run of 6 iterations with seed 3; not to be written to."""
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run(
        [sys.executable, str(TOY), "toy", "--seed", "3", "--out", "r"],
        cwd=folder,
        check=True,
        timeout=PATIENCE,
    )
    return folder / "r"


@pytest.fixture
def start(tmp_path):
    """A function that starts toy.py with the given words; what still runs at the end of the test is
    killed.
    """
    begun = []

    def run(*words, **how):
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TOY_FIGURES": "none"}
        process = subprocess.Popen(
            [sys.executable, str(TOY), *map(str, words)], cwd=tmp_path, env=environment, **how
        )
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()
