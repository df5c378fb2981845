"""Runs the toy experiment the way a person runs experiments/run.py: as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for browser.py

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture
def toy(tmp_path):
    """A function that runs toy.py with the given words in an empty folder, and returns the finished
    process.
    """

    def run(*words, script=TOY, **how):
        command = [sys.executable, str(script), *map(str, words)]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=120, **how
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
        timeout=120,
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
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, str(TOY), *map(str, words)], cwd=tmp_path, env=environment, **how
        )
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()
