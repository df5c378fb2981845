"""Runs of a sweep on the machines of a Ray cluster, or on this one: `python experiments/sweep.py
reacher --ray`.

Each run is a process beside an actor, and dies with it; what an actor's death costs is one
iteration, since the sweep starts another actor, on any machine, which goes on from the run's last
checkpoint. The folder of the sweep, this checkout and its Python must have the same paths on all
machines.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lqr import InputError

from .process import start

ROOT = Path(__file__).resolve().parents[2]
LOCAL = "local"  # the address that stands for Ray processes of this command's own
SETTINGS = {  # what the caller has set is kept; Ray's own workers would give way to all other processes (nice 15)
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_worker_niceness": "0",
}
SHARED = "the folder of the sweep, this checkout and its Python must be at the same paths on all machines"
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"
}  # listen on 127.0.0.1 alone, as Ray does on these systems


class Worker:
    """The actor: it starts one run, and tells how it ended."""

    def __init__(self, words: Sequence[str], log: str):
        if not Path(log).parent.is_dir():
            raise InputError(f"{socket.gethostname()} does not see {Path(log).parent}; {SHARED}")
        self.process: subprocess.Popen[bytes] = start(words, Path(log), signal.SIGKILL)

    def ended(self) -> int:
        """Waits for the run, and returns its exit code, or minus the signal that killed it."""
        return self.process.wait()

    def send_signal(self, number: int) -> None:
        """Sends the run a signal."""
        self.process.send_signal(number)


class RayProcess:
    """A run on some machine of the cluster, as the sweep sees it."""

    def __init__(self, words: Sequence[str], log: Path):
        import ray

        worker: Any = ray.remote(Worker)
        worker = worker.options(
            num_cpus=1, max_restarts=0, max_concurrency=2
        )  # a signal is heard beside `ended`
        self.actor = worker.remote(list(words), str(log.resolve()))
        self.answer = self.actor.ended.remote()

    def poll(self) -> int | None:
        """Returns None while it runs or waits for a free core, then its exit code; -9 where its
        machine is lost.

        Raises InputError where the machine cannot start it.
        """
        import ray

        if not ray.wait([self.answer], timeout=0)[0]:
            return None
        try:
            return int(ray.get(self.answer))
        except ray.exceptions.RayActorError as error:
            if "creation task" in str(error):  # it never ran
                reason = str(error).strip().splitlines()[-1][:300]
                raise InputError(
                    f"a machine of the cluster cannot start a run ({reason}); expected the same paths there"
                ) from None
            return -signal.SIGKILL
        finally:
            self._end()

    def send_signal(self, number: int) -> None:
        """Sends the run a signal; SIGKILL takes its actor along."""
        if number == signal.SIGKILL:
            self._end()
        else:
            self.actor.send_signal.remote(number)

    def _end(self) -> None:
        import ray

        with contextlib.suppress(ray.exceptions.RayError, ValueError):
            ray.kill(self.actor)


@contextmanager
def cluster(address: str, jobs: int | None) -> Iterator[int]:
    """Joins the cluster at an address while it is entered, or starts one of `jobs` cores that only
    this machine sees.

    Yields the number of cores. Raises InputError where Ray is not installed, or no cluster is
    there.
    """
    alone = address == LOCAL
    mine = {**SETTINGS, **(LOOPBACK | {"RAY_AUTH_TOKEN": secrets.token_hex(32)} if alone else {})}
    os.environ.update(
        {key: value for key, value in mine.items() if key not in os.environ}
    )  # read by `import ray`
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError(
            "got --ray without Ray; expected it installed: python -m pip install .[ray]"
        ) from None
    if not alone:
        _knock(address)
    ray_is: dict[str, Any] = {"num_cpus": jobs, "include_dashboard": False} if alone else {}
    ray_is |= {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    try:
        ray.init(address, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}}, **ray_is)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"got no Ray cluster at {address!r}: {reason}; start one, or give --ray alone"
        ) from None
    try:
        yield max(int(ray.cluster_resources().get("CPU", 1)), 1)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises InputError where nobody answers at host:port, for which Ray itself would wait for
    minutes.
    """
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    try:
        socket.create_connection((host, int(port)), 5).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"got no Ray cluster at {address!r} ({error}); expected HOST:PORT of a head node, auto, or --ray alone"
        ) from None
