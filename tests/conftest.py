"""How the tests share the cores: a worker for each, one thread in each, the longest files first."""

import os
import signal
from pathlib import Path

import pytest

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before anything loads a library that reads it
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what the tests start compiles a source once
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as where a shell started this with `&`
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what the tests start hears Ctrl-C


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Returns how many workers `-n auto` starts: none for a single file, which one process runs
    sooner.
    """
    names = [Path(word.partition("::")[0]) for word in config.args]
    if len(set(names)) == 1 and names[0].is_file():
        return 0
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(here or 1, 8)  # each takes about 1 GB


def pytest_collection_modifyitems(items):
    """Puts files with slow tests first, so that no worker begins a long one when the others end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
