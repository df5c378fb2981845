"""How the time of the backward pass grows: flat in the batch, linear in the steps, cubic in the
size.

The batch is flat as long as its arrays fit the processor's caches (0.2 MB for a problem of (10, 2,
50)); beyond them it is flat again, at the speed of the memory.
"""

import matplotlib
import numpy as np

from lqr.passes import backward_flat

from .problems import measure, problem


def growth(path: str, seconds: float) -> None:
    """Draws the time per problem against the batch, T and n: flat, linear and cubic are the
    expectations.
    """
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def each(dx: int, du: int, T: int, B: int = 1) -> float:
        arrays, tau = problem(dx, du, T, B), np.zeros((B, T))
        out = backward_flat(
            *arrays, tau
        )  # written over: pages that are new to the process cost more than the work
        return measure(lambda: backward_flat(*arrays, tau, out), seconds)[0] / B

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    series = (
        ("batch of (4, 2, 50)", [1, 2, 4, 8, 16, 32, 64, 128, 256], lambda B: each(4, 2, 50, B), 0),
        ("steps T of (10, 2)", [10, 20, 50, 100, 200, 500], lambda T: each(10, 2, T), 1),
        (
            "n = dx + du, a fifth actions, 50 steps",
            [5, 10, 20, 40, 80, 160],
            lambda n: each(n - n // 5, n // 5, 50),
            3,
        ),
    )
    for axis, (label, values, time_of, power) in zip(axes, series, strict=True):
        times = [time_of(value) for value in values]
        axis.loglog(values, times, "o-", label="measured")
        axis.loglog(
            values,
            [times[-1] * (v / values[-1]) ** power for v in values],
            ":",
            label=f"power {power}",
        )
        axis.set(xlabel=label, ylabel="microseconds per problem")
        axis.set_xticks(values, [str(value) for value in values])
        axis.minorticks_off()
        if power == 0:
            axis.set_ylim(0.2 * min(times), 5 * max(times))
        axis.legend()
    figure.savefig(path, dpi=120)
    print(f"growth drawn in {path}")
