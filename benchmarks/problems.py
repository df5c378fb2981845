"""Random problems of a size, and the clock."""

import time
from collections.abc import Callable, Sequence
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
    return measure_each([function], seconds)[0]


def measure_each(
    functions: Sequence[Callable[[], Any]], seconds: float
) -> list[tuple[float, float]]:
    """Returns what `measure` does for each function, in turn in the same moments, so that whatever
    else the machine does at times weighs on all alike. `seconds` are those of each.
    """
    calls, times = [], []
    for function in functions:
        function()
        count = 1
        while _spent(function, count) < 2e-3:  # too short for the clock of a process
            count *= 2
        calls.append(count)
        times.append([])
    start = time.process_time()
    while len(times[0]) < 7 or time.process_time() - start < seconds * len(functions):
        for function, count, found in zip(functions, calls, times, strict=True):
            found.append(_spent(function, count) / count)
    return [(1e6 * min(found), 1e6 * float(np.median(found))) for found in times]


def _spent(function: Callable[[], Any], calls: int) -> float:
    before = time.process_time()
    for _ in range(calls):
        function()
    return time.process_time() - before
