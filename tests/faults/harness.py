"""Runs the toy experiment hundreds of times: a parent that has imported everything forks a child
for each run.

What a child executes is `experiments.run.main` under `experiments.engine.guard`, as
experiments/run.py does; only the drawing of the figures is replaced by files of the same names. It
can be told to die, or to be refused by the system, at its n-th operation on the run's folder.
"""

import contextlib
import errno
import gc
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "tests" / "experiments" / "toy.py"
SAME = ("metrics.csv", "conditions.csv", "policy/arrays.safetensors", "policy/MANIFEST.json")
SAME += ("trajectories/MANIFEST.json",)
PLAIN = ("toy", "--seed", "3", "--out", "r")
INHERITED = ("MUJOCO_GL",)  # of the variables of who starts a run, those that it gets

SWEEP_OF_TOYS = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(TOY.parent)!r}]
import toy
toy.install()
from experiments.engine.guard import guarded
from experiments.sweep import main
sys.exit(guarded(lambda words: main(words, {str(TOY)!r}), sys.argv[1:]))
"""


class Parent:
    """The process that forks the children, one at a time."""

    def __enter__(self):
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        environment |= {"MKL_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        environment["TOY_FIGURES"] = "none"  # where a child starts the toy as a process
        command = [sys.executable, str(Path(__file__).resolve())]
        self.process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def start(self, folder, words, sabotage=None, command=None, said=None, real=False):
        """Starts a run, or another command of experiments/, in `folder`; returns its process id.
        Its output goes to the files out and err there, or in the folder `said`. A real run is one
        of the repository's experiments, and draws its figures.
        """
        order = {"cwd": str(folder), "words": list(map(str, words)), "sabotage": sabotage}
        order |= {"command": command, "said": str(said or folder), "real": real}
        order["environment"] = {k: v for k, v in os.environ.items() if k in INHERITED}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self):
        """Returns the exit code of the run that was started last; minus the signal that killed
        it.
        """
        return int(self.process.stdout.readline())

    def run(self, folder, words, sabotage=None, command=None, said=None, real=False):
        """Runs to the end; returns the exit code."""
        self.start(folder, words, sabotage, command, said, real)
        return self.wait()


def check(folder, printed=""):
    """Raises AssertionError where a killed run broke a promise; returns the number of its newest
    checkpoint.

    Every published checkpoint is whole, none that was announced is lost, and at most one iteration
    is.
    """
    from dynamics.storage.files import folders_by_number
    from dynamics.storage.tree import load_tree
    from experiments.engine.tables import read

    steps = folder / "checkpoints"
    numbers = [number for number, _ in folders_by_number(steps, "step_")] if steps.is_dir() else []
    for number in numbers:
        load_tree(steps / f"step_{number}")
    newest = max(numbers, default=0)
    said = [
        int(line.split()[0].split("/")[0])
        for line in printed.splitlines()
        if "/" in line.split(" elapsed")[0][:9]
    ]
    assert newest >= max(said, default=0), f"iteration {max(said)} was announced, {newest} is there"
    rows = folder / "metrics.csv"
    if rows.exists() and rows.read_bytes().endswith(b"\n"):
        assert len(read(rows)) <= newest + 1
    return newest


def assert_same(folder, reference, tidy=True):
    """Raises AssertionError where a finished run differs from the reference in a bit, or left
    something beside.
    """
    for name in SAME:
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), f"{name} differs"
    assert (folder / "result.json").exists()
    left = [path.name for path in folder.rglob(".*")]
    assert not (left and tidy), f"{left} was left"


def printed_by(folder):
    """Returns the lines of progress in the file `out`, whose first is the title."""
    path = folder / "out"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join(line for line in lines if line.strip()[:1].isdigit())


def again(folder, words):
    """Returns the words that go on with what a killed run left: --resume, or the first words where
    nothing began.
    """
    return ("--resume", "r") if (folder / "r" / "config.json").exists() else words


def fresh(folder):
    """Empties a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


class Forked:
    """A real run of an experiment, forked by a parent; it is asked and killed as a Popen is."""

    def __init__(self, parent, folder, words):
        self.parent, self.code = parent, None
        self.pid = parent.start(folder, words, real=True)

    def poll(self):
        """Returns the exit code, or None while it runs."""
        if self.code is None:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return self.wait()
        return self.code

    def kill(self):
        """Kills it, if it still runs."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        """Waits for its end; returns the exit code, minus the signal that killed it."""
        if self.code is None:
            self.code = self.parent.wait()
        return self.code


class Sabotage:
    """Kills this process, or refuses, at the n-th operation that changes something under a
    folder.
    """

    EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")

    def __init__(self, under, at, kind="kill", error="ENOSPC", forever=False):
        self.under = os.path.abspath(under)
        self.left = at
        self.kind = kind
        self.forever = forever
        self.error = getattr(errno, error)
        self.marker = os.path.join(os.path.dirname(self.under), "hit")
        self.inside = False
        self.fsync = os.fsync
        os.fsync = self._fsync
        sys.addaudithook(self._hook)

    def _fsync(self, handle):
        self._count("fsync")
        return self.fsync(handle)

    def _hook(self, event, arguments):
        if event not in self.EVENTS or self.inside:
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = arguments[0]
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        relative_to_a_folder = event in ("os.remove", "os.rmdir") and arguments[1] not in (-1, None)
        if relative_to_a_folder or os.path.abspath(os.fsdecode(path)).startswith(self.under):
            self._count(f"{event} {os.fsdecode(path)}")

    def _count(self, what):
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self.forever):
            self.inside = True
            with open(self.marker, "a") as marker:
                marker.write(what + "\n")
            self.inside = False
            if self.kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.error, os.strerror(self.error))


def _serve():
    """Forks a child for each order on the standard input."""
    sys.path.insert(0, str(ROOT))
    spec = spec_from_file_location("toy", TOY)
    toy = module_from_spec(spec)
    from experiments.engine import registry
    from experiments.reports import figures

    real = registry.FOLDER, figures.draw
    sys.modules["toy"] = toy
    spec.loader.exec_module(toy)
    toy.install()
    import rich.box
    import rich.console
    import rich.progress
    import rich.table  # noqa: F401
    import tyro  # noqa: F401
    from tensorboard.compat.proto import event_pb2  # noqa: F401

    import experiments.engine.training
    import experiments.run  # noqa: F401
    from experiments.engine import provenance
    from experiments.engine.guard import guarded

    figures.draw = _cheap_figures
    provenance.dependencies = lru_cache(provenance.dependencies)
    provenance._version = lru_cache(provenance._version)
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        code = guarded(import_module("experiments.run").main, ("toy", "--out", f"{place}/r"))
    assert code == 0  # what a first run looks up, a child has from its parent
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        if order["real"] or order["command"] == "compare":
            import matplotlib.pyplot  # noqa: F401
        if order["real"]:
            import torch  # noqa: F401
        pid = os.fork()
        if pid == 0:
            if order["real"]:
                registry.FOLDER, figures.draw = real
            os.environ.update(order["environment"])
            os.chdir(order["cwd"])
            said = Path(order["said"])
            for number, name in ((0, os.devnull), (1, said / "out"), (2, said / "err")):
                flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                os.dup2(os.open(name, flags), number)
            sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
            if order["sabotage"]:
                Sabotage(**order["sabotage"])
            code = 70
            try:
                do = import_module(f"experiments.{order['command'] or 'run'}").main
                if order["command"] == "sweep":
                    do = partial(do, run=str(TOY))
                code = guarded(do, order["words"])
            finally:
                os._exit(code)
        print(pid, flush=True)
        status = os.waitpid(pid, 0)[1]
        print(
            -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), flush=True
        )


def _cheap_figures(path, task, *_):
    from dynamics.storage.files import write_file
    from dynamics.storage.tree import load_tree

    load_tree(path / "trajectories", finite=False)
    (path / "figures").mkdir(exist_ok=True)
    write_file(path / "figures" / "learning.png", b"a picture")


def reference_run(parent, folder):
    """Makes the uninterrupted run in folder/reference/r; returns that path and how long it took, in
    seconds.
    """
    seconds = []
    for _ in range(2):
        fresh(folder / "reference")
        begun = time.monotonic()
        assert parent.run(folder / "reference", PLAIN) == 0, (
            folder / "reference" / "err"
        ).read_text()
        seconds.append(time.monotonic() - begun)
    return folder / "reference" / "r", min(seconds)


def tagged(tag):
    """Returns the living processes that have this in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (
                tag.encode() in (place / "environ").read_bytes()
                and "State:\tZ" not in (place / "status").read_text()
            ):
                found.append(int(place.name))
        except OSError:
            continue
    return found


def sockets(pids, listening=False):
    """Returns the local addresses of these processes' internet sockets, as /proc/net has them; all,
    or TCP's ears.
    """
    inodes = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(handle).removeprefix("socket:[").removesuffix("]"))
    kinds = ("tcp", "tcp6") if listening else ("tcp", "tcp6", "udp", "udp6")
    rows = [
        row.split()
        for kind in kinds
        for row in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]
    ]
    return {
        row[1].split(":")[0]
        for row in rows
        if row[9] in inodes and (not listening or row[3] == "0A")
    }


def gone(tag, seconds):
    """Returns whether the processes with a tag have ended within so many seconds; those that have
    not are killed.
    """
    end = time.monotonic() + seconds
    while (left := tagged(tag)) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not left


def workplace():
    """Returns a new temporary folder, in memory where there is such a place; to be removed by the
    caller.
    """
    return Path(
        tempfile.mkdtemp(prefix="faults-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    )


if __name__ == "__main__":
    # whoever runs the tests may ignore these, as under nohup or in a shell's background
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _serve()
