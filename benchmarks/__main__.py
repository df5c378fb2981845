# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""One table: our times, the peers' in the same run, and their ratios.

    python -m benchmarks [--quick] [--plot growth.png]

Times are CPU microseconds (or milliseconds where said) of one thread, minimum and median over many
repeats. The KL rows compare with published times of the reference code, measured elsewhere; a
missing peer is reported and skipped.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from lqr import Gaussian, LinearGaussianController, LinearGaussianDynamics, QuadraticCost, backward
from lqr import minimise_cost_within_kl as kl_solve
from lqr.passes import backward_flat

from .peers import crocoddyl_backward
from .problems import measure_each, problem
from .swing_ups import growth as batches
from .swing_ups import rows as swing_up_rows

SIZES = ((4, 2, 50), (10, 2, 50), (26, 7, 100), (50, 12, 100))
REFERENCE_KL_MS = {4: 51.0, 10: 50.0, 26: 160.0, 50: 375.0}  # published, Python 2 code


def row(
    what: str,
    ours: tuple[float, float],
    peer: tuple[float, float] | None,
    goal: tuple[float, float] | None = None,
    name: str = "",
) -> None:
    """Prints minimum and median of ours and the peer's, their ratios, and the ratio that must be,
    and is aimed at.
    """
    ratio = f"{peer[0] / ours[0]:7.1f}x {peer[1] / ours[1]:7.1f}x" if peer else f"{'-':>8} {'-':>8}"
    theirs = f"{peer[0]:9.1f} {peer[1]:9.1f}" if peer else f"{'-':>9} {'-':>9}"
    goals = f"{goal[0]:4.1f}x {goal[1]:4.1f}x" if goal else ""
    print(
        f"{what:44} {ours[0]:9.1f} {ours[1]:9.1f}   {theirs}   {ratio}  {goals:>11}  {name}",
        flush=True,
    )


def passes(seconds: float) -> None:
    for dx, du, T in SIZES:
        arrays, tau = problem(dx, du, T), np.zeros((1, T))
        F, f, W, C, c, const = (a[0] for a in arrays)
        out = backward_flat(*arrays, tau)  # written over, as the peer does with its own
        model, cost = LinearGaussianDynamics(F, f, W), QuadraticCost(C, c, const)
        kernel, checked, peer = timed(
            [
                lambda a=arrays, t=tau, o=out: backward_flat(*a, t, o),
                lambda m=model, q=cost: backward(m, q),
                crocoddyl_backward(F, f, C, c),
            ],
            seconds,
        )
        goal = (5, 6.5) if dx == 50 else (1, 4)
        row(f"backward pass ({dx},{du},{T}) us", kernel, peer, goal, "crocoddyl")
        row("  ... as `backward`, with all checks", checked, peer, None, "crocoddyl")
        print(f"  ... which is {checked[0] / kernel[0]:.2f} of the pass (must: 1.5, aim: 1.2)")
    for (dx, du, T), goal in zip(SIZES[:2], ((12, 15), (10, 15)), strict=True):
        arrays, tau = problem(dx, du, T, 32), np.zeros((32, T))
        out = backward_flat(*arrays, tau)
        peers = [crocoddyl_backward(*(arrays[i][b] for i in (0, 1, 3, 4))) for b in range(32)]
        ours, peer = timed(
            [
                lambda a=arrays, t=tau, o=out: backward_flat(*a, t, o),
                (lambda p=peers: [q() for q in p]) if peers[0] else None,
            ],
            seconds,
        )
        each = [(t[0] / 32, t[1] / 32) if t else None for t in (ours, peer)]
        what = f"backward, batch of 32, per problem ({dx},{du},{T}) us"
        row(what, each[0], each[1], goal, "crocoddyl in a loop")


def timed(functions: list[Any], seconds: float) -> list[Any]:
    """Returns the times of each function, in the same moments; None for a peer that is missing."""
    times = iter(measure_each([f for f in functions if f is not None], seconds))
    return [None if f is None else next(times) for f in functions]


def kl(seconds: float) -> None:
    for (dx, du, T), aim in zip(SIZES, (100, 80, 15, 5), strict=True):
        F, f, W, C, c, const = (a[0] for a in problem(dx, du, T))
        anchor = LinearGaussianController(
            np.zeros((T, du, dx)), np.zeros((T, du)), np.tile(np.eye(du), (T, 1, 1))
        )
        x0 = Gaussian(np.zeros(dx), 0.01 * np.eye(dx))
        arguments = LinearGaussianDynamics(F, f, W), QuadraticCost(C, c, const), anchor, x0, 10.0
        tight = kl_solve(*arguments, tolerance=1e-6)
        r = kl_solve(*arguments)
        loose, ours = measure_each(
            [lambda a=arguments: kl_solve(*a), lambda a=arguments: kl_solve(*a, tolerance=1e-6)],
            seconds,
        )
        published = (1e3 * REFERENCE_KL_MS[dx],) * 2
        what = f"KL-constrained solve ({dx},{du},{T})"
        row(f"{what}, to 1e-6, us", ours, published, (10, aim), "published reference")
        row("  ... to the default tolerance", loose, published, None, "published reference")
        error = [abs(1 - float(q.kl) / 10.0) for q in (r, tight)]
        print(
            f"  ... |KL - eps|/eps {error[0]:.1e} in {r.passes} passes; {error[1]:.1e} in {tight.passes} passes"
        )


def swing_ups(seconds: float) -> None:
    swing_up_rows(row, seconds)
    batches()


FIRST = """
import time
import numpy as np
from lqr import *
from benchmarks.problems import problem
for dx, du, T in ((4, 2, 50), (26, 7, 100)):
    arrays = [a[0] for a in problem(dx, du, T)]
    model, cost = LinearGaussianDynamics(*arrays[:3]), QuadraticCost(*arrays[3:])
    x0 = Gaussian(np.zeros(dx), np.eye(dx))
    anchor = LinearGaussianController(np.zeros((T, du, dx)), np.zeros((T, du)), np.tile(np.eye(du), (T, 1, 1)))
    for what, call in (
        ("backward", lambda: backward(model, cost)),
        ("KL-constrained solve", lambda: minimise_cost_within_kl(model, cost, anchor, x0, 10.0)),
    ):
        start = time.process_time()
        call()
        print(f"first {what} ({dx},{du},{T})", time.process_time() - start, sep="|")
"""
SOLVE = """
import time
from lqr import ilqr
from benchmarks.systems import SYSTEMS
s, start = SYSTEMS["pendulum"], time.process_time()
ilqr(s.dynamics, s.cost, s.x0, s.U)
print("first iLQR solve, pendulum", time.process_time() - start, sep="|")
"""
LOAD = "import time; t = time.process_time(); import lqr; print('import lqr', time.process_time() - t, sep='|')"


def starts() -> None:
    """Prints the CPU seconds of first calls in fresh processes: with an empty cache of kernels, and
    with a full one.
    """
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "NUMBA_CACHE_DIR": cache}
        for state, code in (
            ("cold", FIRST),
            ("cached", FIRST),
            ("cold", SOLVE),
            ("cached", SOLVE),
            ("", LOAD),
        ):
            done = subprocess.run(
                [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
            )
            for line in done.stdout.splitlines():
                what, seconds = line.split("|")
                print(f"{what + (', ' + state if state else ''):44} {float(seconds):9.2f} CPU s")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument(
        "--plot", metavar="PNG", help="also draw the growth with batch, steps and size"
    )
    options = parser.parse_args()
    seconds = 0.05 if options.quick else 0.5
    head = f"{'ours min':>9} {'median':>9}   {'peer min':>9} {'median':>9}   {'ratio':>8} {'ratio':>8}    must   aim"
    print(f"{'':44} {head}")
    for part in (passes, kl, swing_ups):
        part(seconds)
    starts()
    if crocoddyl_backward(*(a[0] for a in (problem(1, 1, 1)[i] for i in (0, 1, 3, 4)))) is None:
        print("crocoddyl is not installed, so its columns are empty: pip install crocoddyl")
    if options.plot:
        from .growth import growth

        growth(options.plot, seconds)


if __name__ == "__main__":
    main()
