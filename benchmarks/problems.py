"""Random problems of a size, and the clock."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np


def problem(dx: int, du: int, T: int, B: int = 1, seed: int = 0) -> tuple[Any, ...]:
    """Returns F, f, cov, C, c, const of B random stable problems."""
    rng, n = np.random.default_rng(seed), dx + du
    A = np.eye(dx) + 0.1 * rng.normal(size=(B, T, dx, dx)) / np.sqrt(dx)
    F = np.concatenate([A, 0.3 * rng.normal(size=(B, T, dx, du))], -1)
    R = rng.normal(size=(B, T + 1, n, n))
    C = R @ R.swapaxes(-1, -2) / n + 0.1 * np.eye(n)
    W = np.broadcast_to(0.01 * np.eye(dx), (B, T, dx, dx)).copy()
    return (
        F,
        0.1 * rng.normal(size=(B, T, dx)),
        W,
        C,
        rng.normal(size=(B, T + 1, n)),
        np.zeros((B, T + 1)),
    )


def measure(function: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Returns the least and the median CPU time of one call, in microseconds, over blocks of some
    milliseconds.
    """
    function()
    calls, start, times = 1, time.process_time(), []
    while len(times) < 7 or time.process_time() - start < seconds:
        before = time.process_time()
        for _ in range(calls):
            function()
        spent = time.process_time() - before
        if spent < 2e-3:  # too short for the clock of a process: not counted
            calls *= 2
        else:
            times.append(spent / calls)
    return 1e6 * min(times), 1e6 * float(np.median(times))
