"""The same bits at any number of threads; nothing listens, calls out or tells secrets; memory stays
bounded.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import PLAIN, fresh

from experiments.engine import provenance

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "tests" / "experiments" / "toy.py"
THREADS = """
import hashlib, os, sys
os.cpu_count = lambda: {threads}
import numpy as np, torch
from agents.mpc import pets
from agents.planners import CEM
from agents.tasks.classic.pendulum import Pendulum
from agents.tasks.mujoco.reacher import Reacher
from gps import badmm
torch.set_num_threads({threads})
config = badmm.Config(iterations=2, samples=1, policy_steps=10, hidden=(64, 64), max_kl_step=1000.0)
for iteration in badmm.train(Reacher(), config, np.random.default_rng(0)):
    pass
leaves = [iteration.policy.weights[0], iteration.policy.cov, *iteration.arrays.values()]
scalars = repr(sorted(iteration.scalars.items())).encode()
config = pets.Config(iterations=2, fit_steps=30, hidden=(64, 64), planner=CEM(60, 6, 1))
for iteration in pets.train(Pendulum(), config, np.random.default_rng(0)):
    pass
leaves += [iteration.state["model"]["params"]["W0"], *iteration.arrays.values()]
scalars += repr(sorted(iteration.scalars.items())).encode()
print(hashlib.sha256(scalars + b"".join(np.ascontiguousarray(a).tobytes() for a in leaves)).hexdigest())
"""


@pytest.mark.slow
def test_the_numbers_are_the_same_at_any_number_of_threads():
    found = set()
    for threads in (1, 4):
        variables = {
            name: str(threads)
            for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        }
        variables["OMP_WAIT_POLICY"] = "passive"  # a thread without work takes no core from others
        command = [sys.executable, "-c", THREADS.format(threads=threads)]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


def stopped(parent, place):
    """Makes a run that ended in its fourth iteration."""
    fresh(place)
    assert parent.run(place, [*PLAIN, "--iterations", 4, "--fail-at", 4]) == 6
    path = place / "r" / "config.json"
    return path, json.loads(path.read_text())


def test_a_resume_on_a_machine_that_rounds_otherwise_warns_is_noted_or_is_refused(parent, place):
    fresh(place)
    assert parent.run(place, PLAIN) == 0
    assert json.loads((place / "r" / "result.json").read_text())["exact_resume"] is True
    path = place / "r" / "config.json"
    config = json.loads(path.read_text())
    config["fingerprint"] |= {"rounding": "0123456789abcdef", "numpy": "1.0"}
    path.write_text(json.dumps(config))
    shutil.rmtree(place / "r" / "checkpoints" / "step_6")
    (place / "r" / "result.json").unlink()
    assert parent.run(place, ["--resume", "r", "--strict-resume"]) == 3
    assert "numpy, rounding differ" in (place / "err").read_text()
    assert parent.run(place, ["--resume", "r"]) == 0
    assert "warning: numpy, rounding differ" in (place / "err").read_text()
    assert json.loads((place / "r" / "result.json").read_text())["exact_resume"] is False


def test_what_numba_is_told_to_compile_is_part_of_what_decides_the_last_bits(monkeypatch):
    for name in provenance.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = provenance.fingerprint()
    for value, noted in (("1", {"NUMBA_DISABLE_JIT": "1"}), ("0", {}), ("", {})):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", value)
        assert provenance.fingerprint() == before | noted


def test_the_time_that_checkpoints_take_is_reported(parent, place):
    fresh(place)
    assert parent.run(place, PLAIN) == 0
    result = json.loads((place / "r" / "result.json").read_text())
    assert 0 < result["saving"] < result["seconds"]
    assert "% in checkpoints" in " ".join((place / "out").read_text().split()).replace("% ", "% ")


WATCHED = """
import os, sys
ROOT, OUT = sys.argv[1], os.path.abspath("r")
seen = set()
def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.listen", "os.system", "os.exec", "pty.spawn"):
        seen.add(event)
    if event == "open" and arguments[2] and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        path = arguments[0]
        if isinstance(path, (str, bytes)) and not os.path.abspath(os.fsdecode(path)).startswith(OUT):
            seen.add("wrote " + os.fsdecode(path))
    if event == "subprocess.Popen":
        seen.add("started " + os.path.basename(str(arguments[0])))
sys.addaudithook(watch)
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests", "experiments")]
import toy
toy.install()
from experiments.engine.guard import guarded
from experiments.run import main
code = guarded(main, ["toy", "--seed", "3", "--out", "r"])
listening = []
for name in ("tcp", "tcp6", "udp", "udp6"):
    handles = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    inodes = {os.readlink(handle) for handle in handles if os.path.islink(handle)}
    rows = open(f"/proc/self/net/{name}").read().splitlines()[1:]
    listening += [row for row in rows if f"socket:[{row.split()[9]}]" in inodes]
print(code, sorted(seen), listening, file=sys.stderr)
"""


def test_a_run_listens_nowhere_calls_nobody_and_writes_only_in_its_folder(tmp_path):
    command = [sys.executable, "-B", "-c", WATCHED, str(ROOT)]
    environment = {
        **os.environ,
        "MPLCONFIGDIR": str(tmp_path / "r-matplotlib"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    last = done.stderr.strip().splitlines()[-1]
    code, rest = last.split(" ", 1)
    assert code == "0", done.stderr
    found, listening = rest.rsplit(" ", 1)
    assert listening == "[]"
    caches = (
        "started fc-list",
        "/__pycache__",
    )  # matplotlib asks once which fonts there are; numba keeps its kernels
    assert [one for one in ast.literal_eval(found) if not one.endswith(caches)] == []


def test_what_the_environment_holds_is_not_written_down(tmp_path):
    secret = "s3cr3t-t0ken-0f-the-test"
    environment = {
        **os.environ,
        "API_TOKEN": secret,
        "AWS_SECRET_ACCESS_KEY": secret,
        "PYTHONPATH": str(ROOT),
        "TOY_FIGURES": "none",
    }
    command = [sys.executable, str(TOY), "toy", "--iterations", "2", "--out", "r"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    for path in (tmp_path / "r").rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path


def test_the_folder_of_a_run_and_where_one_stands_are_not_imported_from(tmp_path):
    (tmp_path / "r").mkdir()
    for name in ("json", "safetensors", "experiments", "agents", "rich"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger')")
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), "--list"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "setting", ["umask 077, LC_ALL=C, few files", "no HOME", "unwritable caches"]
)
def test_it_runs_in_poor_surroundings(tmp_path, setting):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if setting != "unwritable caches":  # of which matplotlib would have one
        environment["TOY_FIGURES"] = "none"
    before = ""
    if setting.startswith("umask"):
        before = "umask 077; ulimit -n 40;"
        environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    elif setting == "no HOME":
        environment = {
            key: value
            for key, value in environment.items()
            if key not in ("HOME", "XDG_CACHE_HOME")
        }
    else:
        environment |= {
            name: "/proc/nowhere"
            for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")
        }
    words = f"{before} exec {sys.executable} {TOY} toy --iterations 2 --out r"
    done = subprocess.run(
        ["bash", "-c", words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r" / "result.json").exists()


def test_a_runs_own_memory_does_not_grow_with_its_iterations(tmp_path):
    code = f"""
import resource, sys
sys.path[:0] = [{str(ROOT)!r}, {str(TOY.parent)!r}]
import toy; toy.install()
from experiments.engine.guard import guarded
from experiments.run import main
import experiments.engine.training as runner
peak = {{}}
train = toy.train
def watched(*arguments, **named):
    for iteration in train(*arguments, **named):
        if iteration.number in (30, 300):
            peak[iteration.number] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if iteration.number == 300:
                print(peak[30], peak[300], file=sys.stderr)
        yield iteration
toy.train = watched
sys.exit(guarded(main, ["toy", "--iterations", "301", "--tries", "1", "--out", "r"]))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOY_FIGURES": "none"},
    )
    assert done.returncode == 0, done.stderr
    early, late = map(int, done.stderr.strip().splitlines()[-1].split())
    assert late < early + 20_000, f"{early} KiB after 30 iterations, {late} after 300"
