# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""One table: our times, the peers' in the same run, and their ratios.

    python -m benchmarks [--quick] [--plot growth.png]

Times are CPU microseconds (or milliseconds where said) of one thread, minimum and median over many repeats. The KL rows
compare with published times of the reference code, measured elsewhere; a missing peer is reported and skipped.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from lqr import Gaussian, LinearGaussianController, LinearGaussianDynamics, QuadraticCost, backward, ilqr
from lqr import minimise_cost_within_kl as kl_solve
from lqr.passes import backward_flat

from .peers import crocoddyl_backward
from .systems import SYSTEMS

SIZES = ((4, 2, 50), (10, 2, 50), (26, 7, 100), (50, 12, 100))
REFERENCE_KL_MS = {4: 51.0, 10: 50.0, 26: 160.0, 50: 375.0}  # published, Python 2 code


def problem(dx: int, du: int, T: int, B: int = 1, seed: int = 0) -> tuple[Any, ...]:
    """Returns F, f, cov, C, c, const of B random stable problems."""
    rng, n = np.random.default_rng(seed), dx + du
    A = np.eye(dx) + 0.1 * rng.normal(size=(B, T, dx, dx)) / np.sqrt(dx)
    F = np.concatenate([A, 0.3 * rng.normal(size=(B, T, dx, du))], -1)
    R = rng.normal(size=(B, T + 1, n, n))
    C = R @ R.swapaxes(-1, -2) / n + 0.1 * np.eye(n)
    W = np.broadcast_to(0.01 * np.eye(dx), (B, T, dx, dx)).copy()
    return F, 0.1 * rng.normal(size=(B, T, dx)), W, C, rng.normal(size=(B, T + 1, n)), np.zeros((B, T + 1))


def measure(function: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Returns the least and the median CPU time of one call, in microseconds, over blocks of some milliseconds."""
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


def row(
    what: str, ours: tuple[float, float], peer: tuple[float, float] | None, must: float | None, name: str = ""
) -> None:
    ratio = f"{peer[0] / ours[0]:7.1f}x {peer[1] / ours[1]:7.1f}x" if peer else f"{'-':>8} {'-':>8}"
    theirs = f"{peer[0]:9.1f} {peer[1]:9.1f}" if peer else f"{'-':>9} {'-':>9}"
    goal = f"{must:.0f}x" if must else ""
    print(
        f"{what:44} {ours[0]:9.1f} {ours[1]:9.1f}   {theirs}   {ratio}  {goal:>5}  {name}",
        flush=True,
    )


def passes(seconds: float) -> None:
    for dx, du, T in SIZES:
        arrays = problem(dx, du, T)
        F, f, _, C, c, _ = (a[0] for a in arrays)
        peer = crocoddyl_backward(F, f, C, c)
        theirs = measure(peer, seconds) if peer else None
        tau = np.zeros((1, T))
        out = backward_flat(*arrays, tau)  # written over, as the peer does with its own
        ours = measure(lambda a=arrays, t=tau, o=out: backward_flat(*a, t, o), seconds)
        row(f"backward pass ({dx},{du},{T}) us", ours, theirs, 2, "crocoddyl")
        checked = LinearGaussianDynamics(*(a[0] for a in arrays[:3])), QuadraticCost(*(a[0] for a in arrays[3:]))
        row(
            "  ... with the checks of `backward`",
            measure(lambda p=checked: backward(*p), seconds),
            theirs,
            None,
            "crocoddyl",
        )
    for dx, du, T in SIZES[:2]:
        arrays = problem(dx, du, T, 32)
        peers = [crocoddyl_backward(arrays[0][b], arrays[1][b], arrays[3][b], arrays[4][b]) for b in range(32)]
        theirs = measure(lambda p=peers: [q() for q in p], seconds) if peers[0] else None
        tau = np.zeros((32, T))
        out = backward_flat(*arrays, tau)  # written over, as the peer does with its own
        ours = measure(lambda a=arrays, t=tau, o=out: backward_flat(*a, t, o), seconds)
        each = [(t[0] / 32, t[1] / 32) if t else None for t in (ours, theirs)]
        row(f"backward, batch of 32, per problem ({dx},{du},{T}) us", each[0], each[1], 5, "crocoddyl in a loop")


def kl(seconds: float) -> None:
    for dx, du, T in SIZES:
        F, f, W, C, c, const = (a[0] for a in problem(dx, du, T))
        anchor = LinearGaussianController(np.zeros((T, du, dx)), np.zeros((T, du)), np.tile(np.eye(du), (T, 1, 1)))
        x0 = Gaussian(np.zeros(dx), 0.01 * np.eye(dx))
        arguments = anchor, LinearGaussianDynamics(F, f, W), QuadraticCost(C, c, const), x0, 10.0
        tight = kl_solve(*arguments, tolerance=1e-6)
        r = kl_solve(*arguments)
        ours = measure(lambda a=arguments: kl_solve(*a), seconds)
        published = 1e3 * REFERENCE_KL_MS[dx]
        row(f"KL-constrained solve ({dx},{du},{T}) us", ours, (published, published), 10, "published reference")
        error = [abs(1 - float(q.kl) / 10.0) for q in (r, tight)]
        print(f"  ... |KL - eps|/eps {error[0]:.1e} in {r.passes} passes; {error[1]:.1e} in {tight.passes} passes")


def swing_ups(seconds: float) -> None:
    for name, (dynamics, cost, x0, U, limit) in SYSTEMS.items():
        for what, options in {
            "": {},
            ", boxed": {"low": -limit, "high": limit},
            ", DDP": {"second_order": True},
        }.items():
            r = ilqr(dynamics, cost, x0, U, **options)
            ours = measure(lambda p=(dynamics, cost, x0, U), o=options: ilqr(*p, **o), seconds)
            row(f"{name} swing-up{what} us ({r.iterations} iterations, cost {r.cost:.4f})", ours, None, None)


def starts() -> None:
    first = (
        "import time; t = time.process_time(); import numpy as np; from benchmarks.__main__ import problem; "
        "from lqr import *; a = [x[0] for x in problem(4, 2, 50)]; t = time.process_time(); "
        "backward(LinearGaussianDynamics(*a[:3]), QuadraticCost(*a[3:])); print(time.process_time() - t)"
    )
    load = "import time; t = time.process_time(); import lqr; print(time.process_time() - t)"
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "NUMBA_CACHE_DIR": cache}
        for what, code in (("first call, cold", first), ("first call, cached", first), ("import lqr", load)):
            done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
            print(f"{what:44} {float(done.stdout):9.2f} CPU s")


def growth(path: str, seconds: float) -> None:
    """Draws the time per problem against the batch, T and n: flat, linear and cubic are the expectations."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def each(dx: int, du: int, T: int, B: int = 1) -> float:
        arrays, tau = problem(dx, du, T, B), np.zeros((B, T))
        return measure(lambda: backward_flat(*arrays, tau), seconds)[0] / B

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    series = (
        ("batch", [1, 2, 4, 8, 16, 32, 64, 128, 256], lambda B: each(10, 2, 50, B), 0),
        ("steps T", [10, 20, 50, 100, 200, 500], lambda T: each(10, 2, T), 1),
        ("n = dx + du", [5, 10, 20, 40, 80], lambda n: each(n - n // 5, n // 5, 50), 3),
    )
    for axis, (label, values, time_of, power) in zip(axes, series, strict=True):
        times = [time_of(value) for value in values]
        axis.loglog(values, times, "o-", label="measured")
        axis.loglog(values, [times[-1] * (v / values[-1]) ** power for v in values], ":", label=f"power {power}")
        axis.set(xlabel=label, ylabel="microseconds per problem")
        axis.legend()
    figure.savefig(path, dpi=120)
    print(f"growth drawn in {path}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--plot", metavar="PNG", help="also draw the growth with batch, steps and size")
    options = parser.parse_args()
    seconds = 0.05 if options.quick else 0.5
    head = f"{'ours min':>9} {'median':>9}   {'peer min':>9} {'median':>9}   {'ratio':>8} {'ratio':>8}  {'must':>5}"
    print(f"{'':44} {head}")
    for part in (passes, kl, swing_ups):
        part(seconds)
    starts()
    if crocoddyl_backward(*(a[0] for a in (problem(1, 1, 1)[i] for i in (0, 1, 3, 4)))) is None:
        print("crocoddyl is not installed, so its columns are empty: pip install crocoddyl")
    if options.plot:
        growth(options.plot, seconds)


if __name__ == "__main__":
    main()
