"""A real run with all its child processes: no socket is opened, and nobody is left when a parent is
killed.
"""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import ROOT, SWEEP_OF_TOYS, gone, sockets, tagged

PICTURES = """
import sys
from pathlib import Path
from agents.tasks.mujoco.inverted import InvertedPendulum
from experiments.viewer.video import make_apart
print(make_apart(Path(sys.argv[1]), InvertedPendulum()))
"""


@pytest.fixture
def tag():
    """What a test's processes have in their environment; none of them survives it."""
    name = f"FAULTS_TAG={secrets.token_hex(8)}"
    yield name
    gone(name, 0)


def started(words, place, tag):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        **dict([tag.split("=")]),
    }
    with open(place / "said", "w") as said:
        return subprocess.Popen(
            [sys.executable, *words], cwd=place, env=environment, stdout=said, stderr=said
        )


def until(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def a_child_has(tag, parent, word):
    """Whether a tagged process besides the parent has a file of such a name in its memory."""
    for pid in set(tagged(tag)) - {parent}:
        try:
            if word in Path(f"/proc/{pid}/maps").read_text():
                return True
        except OSError:
            continue
    return False


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run with figures and a moving picture, and the sockets that were seen in it."""
    place = tmp_path_factory.mktemp("watched")
    tag = f"FAULTS_TAG={secrets.token_hex(8)}"
    seen = set()
    words = ["lqr_flm", "--task", "inverted_pendulum", "--task-horizon", "12"]
    words += ["--iterations", "1", "--samples", "2", "--out", "r"]
    process, most = started([str(ROOT / "experiments" / "run.py"), *words], place, tag), 0
    while process.poll() is None:
        pids = tagged(tag)
        seen |= sockets(pids)
        most = max(most, len(pids))
        time.sleep(0.3)  # looking into every process is work, too
    assert process.returncode == 0, (place / "said").read_text()
    return place, seen, most, gone(tag, 60)


@pytest.mark.slow
def test_a_real_run_and_its_children_open_no_socket_and_leave_nobody(watched):
    place, seen, most, alone = watched
    assert seen == set()
    assert alone
    assert (
        most >= 2 or not (place / "r" / "policy.gif").exists()
    )  # the moving picture has a process of its own


@pytest.mark.slow
def test_the_process_of_the_moving_picture_ends_with_the_run_that_started_it(watched, tag):
    place = watched[0]
    if not (place / "r" / "policy.gif").exists():
        pytest.skip("no off-screen OpenGL")
    process = started(["-c", PICTURES, str(place / "r")], place, tag)
    until(lambda: a_child_has(tag, process.pid, "mujoco") or process.poll() is not None)
    assert process.poll() is None
    process.kill()
    process.wait()
    assert gone(tag, 60)


@pytest.mark.slow
def test_the_workers_of_a_sweep_that_is_killed_save_and_end(tmp_path, tag):
    words = [
        "toy",
        "--seeds",
        "2",
        "--jobs",
        "2",
        "--out",
        "s",
        "--iterations",
        "1000",
        "--pause",
        "0.05",
    ]
    process = started(["-c", SWEEP_OF_TOYS, *words], tmp_path, tag)
    until(
        lambda: (
            len(list(tmp_path.glob("s/*/checkpoints/step_*"))) >= 2 or process.poll() is not None
        )
    )
    assert process.poll() is None, (tmp_path / "said").read_text()
    process.kill()
    process.wait()
    assert gone(tag, 300)
    for log in (tmp_path / "s").glob("seed_*.log"):
        if (log.with_suffix("") / "checkpoints").exists() and list(
            (log.with_suffix("") / "checkpoints").iterdir()
        ):
            assert "stopped and saved" in log.read_text()
