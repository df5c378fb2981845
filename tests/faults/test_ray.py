"""A sweep on a Ray cluster of two nodes, one of which dies, and a worker too: its table is the
serial one's.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from harness import ROOT, SWEEP_OF_TOYS, TOY, gone, sockets, tagged

SWEEP = (str(ROOT / "experiments" / "sweep.py"),)
TOYS = ("-c", SWEEP_OF_TOYS)
WORDS = ("toy", "--iterations", "4", "--seeds", "2", "--pause", "600", "--pause-at", "2")
pytestmark = pytest.mark.skipif(
    not find_spec("ray"), reason="Ray is not installed: pip install .[ray]"
)

NODES = """
import sys, time
from ray.cluster_utils import Cluster
lean = {"num_cpus": 1, "include_log_monitor": False}
cluster = Cluster(True, head_node_args={**lean, "include_dashboard": False})
second = cluster.add_node(**lean)
pids = [[p.process.pid for p in node.all_processes["raylet"]] for node in (cluster.head_node, second)]
print(cluster.address, pids[0][0], pids[1][0], flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""


@pytest.fixture
def environment(tmp_path):
    """The variables of one test's processes, by which they are found; none must be left."""
    from experiments.sweeps.ray import LOOPBACK, SETTINGS

    tag = f"FAULTS_TAG={secrets.token_hex(8)}"
    ours = {**SETTINGS, **LOOPBACK, "RAY_AUTH_TOKEN": secrets.token_hex(32), "OMP_NUM_THREADS": "1"}
    ours |= {f"RAY_health_check_{key}": value for key, value in HEALTH.items()}
    ours["RAY_prestart_worker_first_driver"] = (
        "0"  # a worker is started for a run, and none besides
    )
    yield {**os.environ, **ours, **dict([tag.split("=")])}
    assert gone(tag, 120)


HEALTH = {
    "initial_delay_ms": "0",
    "period_ms": "500",
    "timeout_ms": "5000",
    "failure_threshold": "3",
}


def parent_of(pid):
    return int(
        next(
            line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "PPid" in line
        ).split()[1]
    )


def held_run(raylet, process, tag, seconds=600):
    """Waits for a run that a node has begun and saved; returns its actor's process, and the folder
    in which a file `hurry` ends the run's pause.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        for pid in tagged(tag):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                actor = parent_of(pid)
                place = (
                    Path(os.fsdecode(words[words.index(b"--out") + 1]))
                    if b"--out" in words
                    else None
                )
                mine = place and words[1] == os.fsencode(TOY) and parent_of(actor) == raylet
            except (OSError, StopIteration):
                continue
            if (
                mine
                and list((place / "checkpoints").glob("step_*"))
                and not (place / "result.json").exists()
            ):
                return actor, Path(f"/proc/{pid}/cwd").resolve()
        time.sleep(0.05)
    raise AssertionError(f"no run with a checkpoint on the node {raylet} within {seconds} s")


def sweep(words, environment, place, script=SWEEP):
    """Starts a sweep; what it says goes to the file `said`."""
    with open(place / "said", "w") as said:
        command = [sys.executable, *script, *words]
        return subprocess.Popen(command, env=environment, cwd=place, stdout=said, stderr=said)


@pytest.mark.slow
def test_a_worker_and_a_node_die_and_the_table_is_that_of_the_serial_sweep(tmp_path, environment):
    environment["TOY_FIGURES"] = "none"
    (tmp_path / "serial").mkdir()
    (tmp_path / "serial" / "hurry").touch()
    serial = sweep([*WORDS, "--jobs", "1", "--out", "s"], environment, tmp_path / "serial", TOYS)
    assert serial.wait() == 0, (tmp_path / "serial" / "said").read_text()
    command, how = [sys.executable, "-c", NODES], {"stdin": -1, "stdout": -1, "text": True}
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL, **how
    ) as nodes:
        address, head, second = nodes.stdout.readline().split()
        tag = f"FAULTS_TAG={environment['FAULTS_TAG']}"
        process = sweep([*WORDS, "--out", "rays", "--ray", address], environment, tmp_path, TOYS)
        with ThreadPoolExecutor() as both:  # each run waits in its second iteration
            held = list(
                both.map(lambda raylet: held_run(int(raylet), process, tag), (head, second))
            )
        os.kill(held[0][0], signal.SIGKILL)  # its run dies with it
        nodes.stdin.write("\n")
        nodes.stdin.flush()
        assert nodes.stdout.readline() == "removed\n"
        while process.poll() is None and any(Path(f"/proc/{actor}").exists() for actor, _ in held):
            time.sleep(0.05)  # a node's processes notice a little later that it is gone
        for _, folder in held:
            (folder / "hurry").touch()
        assert process.wait(600) == 0, (tmp_path / "said").read_text()
    deaths = [
        outcome["deaths"] for outcome in json.loads((tmp_path / "rays" / "sweep.json").read_text())
    ]
    assert sum(deaths) >= 2
    assert (tmp_path / "rays" / "sweep.csv").read_bytes() == (
        tmp_path / "serial" / "s" / "sweep.csv"
    ).read_bytes()


@pytest.mark.slow
def test_ray_of_its_own_listens_on_this_machine_alone_and_is_gone_afterwards(tmp_path, environment):
    words = [
        "point_mass",
        "--iterations",
        "2",
        "--seeds",
        "1",
        "--jobs",
        "1",
        "--out",
        "alone",
        "--ray",
    ]
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        del environment[name]
    process = sweep(words, environment, tmp_path)
    seen = set()
    while process.poll() is None:
        seen |= sockets(tagged(f"FAULTS_TAG={environment['FAULTS_TAG']}"), listening=True)
        time.sleep(0.5)  # looking into every process is work, too
    assert process.returncode == 0, (tmp_path / "said").read_text()
    assert seen <= {
        "0100007F",
        "0000000000000000FFFF00000100007F",
        "00000000000000000000000001000000",
    }
    assert seen


def test_a_cluster_that_is_not_there_is_named_in_one_line(tmp_path, environment):
    process = sweep(["point_mass", "--out", "x", "--ray", "127.0.0.1:9"], environment, tmp_path)
    assert process.wait(600) == 2
    (line,) = [
        line for line in (tmp_path / "said").read_text().splitlines() if line.startswith("error: ")
    ]
    assert "127.0.0.1:9" in line
