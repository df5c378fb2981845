"""How the time of the backward pass grows: by problem flat in the batch, by step flat in the steps,
cubic in the size.

The batch and the steps are flat as long as arrays fit the processor's caches (0.2 MB for 50 steps of
(10, 2)); beyond them they are flat again, at the speed of the memory.
"""

from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np

from lqr.passes import backward_flat

from .problems import measure_each, problem

BATCH, STEPS = [1, 4, 16, 64, 256, 1024, 4096], [50, 200, 1000, 5000, 20000]
SIZES = [5, 10, 20, 40, 80, 160]  # dx + du, a fifth of them actions


def growth(path: str, seconds: float) -> None:
    """Prints and draws the time against batch, T and n: flat, flat and cubic are the
    expectations.
    """
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    series = (
        ("problems of (4, 2, 50)", "us per problem", BATCH, BATCH, lambda B: _pass(4, 2, 50, B), 0),
        ("steps T of (4, 2)", "us per step", STEPS, STEPS, lambda T: _pass(4, 2, T), 0),
        ("steps T of (10, 2)", "us per step", STEPS, STEPS, lambda T: _pass(10, 2, T), 0),
        ("n = dx + du, 50 steps", "us", SIZES, [1] * 6, lambda n: _pass(n - n // 5, n // 5, 50), 3),
    )
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.5), layout="constrained")
    for axis, (label, unit, values, count, of, power) in zip(axes, series, strict=True):
        times = [t for t, _ in measure_each([of(value) for value in values], seconds)]
        times = [time / parts for time, parts in zip(times, count, strict=True)]
        axis.loglog(values, times, "o-", label="measured")
        expected = [times[-1] * (v / values[-1]) ** power for v in values]
        axis.loglog(values, expected, ":", label=("flat", "", "", "cubic")[power])
        axis.set(xlabel=label, ylabel=unit)
        axis.set_xticks(values, [str(value) for value in values], fontsize=7)
        axis.minorticks_off()
        if power == 0:
            axis.set_ylim(0.2 * min(times), 5 * max(times))
            print(f"{label:24} {unit}: " + ", ".join(f"{time:.3g}" for time in times))
            print(
                f"  the largest is {max(times) / times[0]:.2f} of the first, {max(times) / min(times):.2f} of the least"
            )
        axis.legend()
    figure.savefig(path, dpi=120)
    print(f"growth drawn in {path}")


def _pass(dx: int, du: int, T: int, B: int = 1) -> Callable[[], Any]:
    """Returns a backward pass over arrays that are written over: pages that are new to the process
    cost more than the work.
    """
    arrays, tau = problem(dx, du, T, B), np.zeros((B, T))
    out = backward_flat(*arrays, tau)
    return lambda: backward_flat(*arrays, tau, out)
