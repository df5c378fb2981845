# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""How good and how fast the local models are: `python -m benchmarks.models [--repeats R]`.

The systems are linear, x' = A x + B u + noise of standard deviation 0.01, with A slightly damped
and scaled such that predicting "x' = x" errs by the zero model's error of the published comparison.
Five episodes are fitted with a mixture that has seen 20 others, or each word's prior; errors are
those of one step in 100 episodes that were held out.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import NamedTuple

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from scipy.stats import t as student

from dynamics import GaussianMixturePrior, fit_linear_gaussian, one_step_error, predictive

Array = np.ndarray
NOISE = 0.01


class System(NamedTuple):
    """x' = A x + B u + noise; x_0 and u are normal."""

    A: Array
    B: Array
    T: int


def system(rng: np.random.Generator, dx: int, du: int, T: int, zero: float) -> System:
    """Returns a random stable system whose changes of state have the root mean square `zero`."""
    A = np.eye(dx) + 0.3 * rng.normal(size=(dx, dx)) / np.sqrt(dx)
    A *= 0.95 / np.abs(np.linalg.eigvals(A)).max()
    B = rng.normal(size=(dx, du))
    for _ in range(20):  # the noise does not scale, so a few rounds are needed
        x, _ = episodes(System(A, B, T), 50, np.random.default_rng(0))
        B *= zero / np.sqrt((np.diff(x, axis=2) ** 2).mean())
    return System(A, B, T)


def episodes(s: System, N: int, rng: np.random.Generator, C: int = 1) -> tuple[Array, Array]:
    """Returns x (C, N, T+1, dx) and u (C, N, T, du) of episodes with white actions."""
    dx, du = s.B.shape
    x, u = np.zeros((C, N, s.T + 1, dx)), rng.normal(size=(C, N, s.T, du))
    x[:, :, 0] = rng.normal(size=(C, N, dx)) * np.abs(s.B).mean()
    for t in range(s.T):
        x[:, :, t + 1] = (
            x[:, :, t] @ s.A.T + u[:, :, t] @ s.B.T + NOISE * rng.normal(size=(C, N, dx))
        )
    return x, u


def flat(x: Array, u: Array) -> tuple[Array, Array, Array]:
    """Returns the transitions of episodes, (M, .)."""
    return (
        x[:, :, :-1].reshape(-1, x.shape[-1]),
        u.reshape(-1, u.shape[-1]),
        x[:, :, 1:].reshape(-1, x.shape[-1]),
    )


def row(what: str, value: str, must: str, aim: str) -> None:
    print(f"{what:66} {value:>24}   {must:>9} {aim:>9}", flush=True)


def errors(seeds: range) -> None:
    for dx, du, T, zero, must, aim in (
        (6, 2, 50, 0.170, 0.022, 0.015),
        (26, 7, 100, 0.279, 0.040, 0.030),
    ):
        found, nothing = [], []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            s = system(rng, dx, du, T, zero)
            prior, (x, u), test = GaussianMixturePrior(), episodes(s, 5, rng), episodes(s, 100, rng)
            for data in (episodes(s, 20, rng), (x, u)):
                prior.update(*flat(*data))
            error = one_step_error(fit_linear_gaussian(x, u, prior).dynamics, *test)
            found.append(error.model)
            nothing.append(error.zero)
        row(f"held-out one-step RMSE ({dx},{du},{T}), mean of {len(seeds)}, zero model {np.mean(nothing):.3f}",
            f"{np.mean(found):.4f} max {max(found):.4f}", f"{must}", f"{aim}")  # fmt: skip


def gaps(seeds: range) -> None:
    for dx, du, T, zero, theirs in ((4, 2, 49, 0.170, 4.8), (26, 7, 99, 0.279, 47.6)):
        found = []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            s = system(rng, dx, du, T, zero)
            prior, seen = GaussianMixturePrior(), flat(*episodes(s, 20, rng))
            prior.update(*seen)
            found.append(
                prior.log_likelihood(*seen) - prior.log_likelihood(*flat(*episodes(s, 50, rng)))
            )
        row(f"mixture of {20 * T} x {2 * dx + du}: training minus held-out mean log-likelihood",
            f"{np.mean(found):.2f} max {max(found):.2f}", f"{theirs / 2}", "0")  # fmt: skip


def coverage(repeats: int, seed: int = 0) -> None:
    """One held-out transition per repetition, each with its own system, episodes and time step."""
    rng, inside = np.random.default_rng(seed), {0.5: 0.0, 0.9: 0.0, 0.99: 0.0}
    dx, du, T = 4, 2, 10
    for _ in range(repeats):
        s = system(rng, dx, du, T, 0.17)
        prior = GaussianMixturePrior()
        (x, u) = episodes(s, 5, rng)
        (x_test, u_test) = episodes(s, 1, rng)
        for data in (episodes(s, 20, rng), (x, u)):
            prior.update(*flat(*data))
        p = predictive(fit_linear_gaussian(x, u, prior).posterior, x_test[:, :, :-1], u_test)
        t, i = rng.integers(T), rng.integers(dx)
        gap = abs(x_test[0, 0, t + 1, i] - p.location[0, 0, t, i]) / np.sqrt(p.scale[0, 0, t, i, i])
        for level in inside:
            inside[level] += (gap < student.ppf(0.5 + level / 2, p.df[0, 0, t])) / repeats
    for level, must, aim in ((0.5, "", ""), (0.9, "88-92", "89-91"), (0.99, "", "")):
        row(
            f"coverage of {100 * level:.0f} % intervals, {repeats} repetitions (%)",
            f"{100 * inside[level]:.1f}",
            must,
            aim,
        )


def measure(function: Callable[[], object], repeats: int = 7) -> tuple[float, float]:
    """Returns the least and the median CPU time of one call, in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(1e3 * (time.process_time() - start))
    return min(times), float(np.median(times))


def times() -> None:
    """Ten rounds of 4 conditions x 5 episodes x T 50 in the sizes of reacher_four, of a system that
    bends.
    """
    rng, spent = np.random.default_rng(0), []
    s = system(rng, 6, 2, 50, 0.170)
    prior = GaussianMixturePrior()
    for _ in range(10):
        x, u = episodes(s, 5, rng, C=4)
        x = np.sin(2 * x)
        start = time.process_time()
        prior.update(*flat(x, u))
        middle = time.process_time()
        fit_linear_gaussian(x, u, prior)
        spent.append((1e3 * (middle - start), 1e3 * (time.process_time() - middle)))
    both = [sum(pair) for pair in spent]
    row(f"mixture update + fit, 4 x 5 x 50, CPU ms: median of 10 rounds (K {len(prior.weights)})",
        f"{np.median(both):.0f} max {max(both):.0f}", "60", "15")  # fmt: skip
    for what, index in (("  mixture update alone", 0), ("  fit alone", 1)):
        alone = [pair[index] for pair in spent]
        row(what, f"{np.median(alone):.0f} max {max(alone):.0f}", "", "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=2000, help="of the coverage")
    parser.add_argument("--seeds", type=int, default=5, help="systems per row")
    options = parser.parse_args()
    row("", "measured", "must", "aim")
    times()
    errors(range(options.seeds))
    gaps(range(options.seeds))
    coverage(options.repeats)


if __name__ == "__main__":
    main()
