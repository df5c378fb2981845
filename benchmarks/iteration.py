"""CPU seconds of one iteration on reacher_four without policy training: `python -m
benchmarks.iteration [--seed N]`.

Episodes, mixture, models, KL-constrained LQR and the noise-free evaluation. The first two iterations,
which load libraries and compile kernels, are shown apart.
"""

import argparse
import time

import numpy as np

from agents.tasks.mujoco.reacher import ReacherFour
from gps import lqr_flm


def main() -> None:
    """Runs the trajectory-centric method once and prints the time of its iterations."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    iterations = lqr_flm.train(
        ReacherFour(), lqr_flm.Config(), np.random.default_rng(parser.parse_args().seed)
    )
    seconds, start = [], time.process_time()
    for _ in iterations:
        seconds.append(time.process_time() - start)
        start = time.process_time()
    print(f"first two iterations: {seconds[0]:.2f} s, {seconds[1]:.2f} s")
    later = np.array(seconds[2:])
    print(
        f"the others: min {later.min():.3f}, median {np.median(later):.3f}, max {later.max():.3f} CPU s"
    )


if __name__ == "__main__":
    main()
