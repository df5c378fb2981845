"""Runs of a sweep on the machines of a Ray cluster, or on this one: `python experiments/sweep.py
reacher --ray`.

Each run is a process beside an actor, and dies with it; what an actor's death costs is one
iteration, since the sweep starts another actor, on any machine, which goes on from the run's last
checkpoint. The folder of the sweep, this checkout and its Python must have the same paths on all
machines.
"""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.imagination.steps.ray_cluster import LOCAL as LOCAL
from agents.imagination.steps.ray_cluster import LOOPBACK as LOOPBACK
from agents.imagination.steps.ray_cluster import SETTINGS as SETTINGS
from agents.imagination.steps.ray_cluster import cluster as cluster
from lqr import InputError

from .process import start

SHARED = "the folder of the sweep, this checkout and its Python must be at the same paths on all machines"


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
