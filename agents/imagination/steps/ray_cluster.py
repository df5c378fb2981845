"""A Ray cluster: one that is there, or one of this machine's own that nobody else sees."""

import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lqr import InputError

ROOT = Path(__file__).resolve().parents[3]
LOCAL = "local"  # the address that stands for Ray processes of this command's own
SETTINGS = {  # what the caller has set is kept; Ray's own workers would give way to all other processes (nice 15)
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_worker_niceness": "0",
}
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"
}  # listen on 127.0.0.1 alone, as Ray does on these systems


@contextmanager
def cluster(address: str, jobs: int | None) -> Iterator[int]:
    """Joins the cluster at an address while it is entered, or starts one of `jobs` cores that only
    this machine sees.

    Yields the number of cores. Whoever handles SIGTERM goes on doing so; without a handler it is Ray's
    that ends its processes. Raises InputError where Ray is not installed, or no cluster is
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
    before = signal.getsignal(signal.SIGTERM)
    ray_is |= {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    try:
        ray.init(address, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}}, **ray_is)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"got no Ray cluster at {address!r}: {reason}; start one, or give --ray alone"
        ) from None
    try:
        if before is not signal.SIG_DFL:  # the caller's own, which Ray has replaced
            _on_sigterm(before)
        yield max(int(ray.cluster_resources().get("CPU", 1)), 1)
    finally:
        ray.shutdown()
        _on_sigterm(before)


def _on_sigterm(handler: Any) -> None:
    """Sets the handler of SIGTERM, where that can be done: in the main thread."""
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGTERM, handler)


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
