# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""CPU seconds of one iteration of the trajectory-centric method, without policy training.

    python -m benchmarks.iteration [--seed N]            # reacher_four
    python -m benchmarks.iteration --states [--horizon 50]  # 17, 105 and 348 states

Episodes, mixture, models, KL-constrained LQR and the noise-free evaluation. The first two iterations,
which load libraries and compile kernels, are shown apart.
"""

import argparse
import os
import time
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.tasks.mujoco.reacher import ReacherFour
from gps import lqr_flm

LARGE = ("HalfCheetah-v5", "Ant-v5", "Humanoid-v5")


def main() -> None:
    """Runs the trajectory-centric method and prints the time of its iterations."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--states", action="store_true", help="tasks of 17, 105 and 348 states")
    parser.add_argument("--horizon", type=int, default=50, help="steps, with --states")
    parser.add_argument("--iterations", type=int, default=5, help="with --states")
    options = parser.parse_args()
    if not options.states:
        row("reacher_four", ReacherFour(), lqr_flm.Config(), options.seed)
        return
    for name in LARGE:
        task = GymnasiumTask(name, horizon=options.horizon)
        row(name, task, lqr_flm.Config(iterations=options.iterations, probe=False), options.seed)


def row(name: str, task: Any, config: Any, seed: int) -> None:
    """Prints the time of the iterations."""
    seconds, start = [], time.process_time()
    for _ in lqr_flm.train(task, config, np.random.default_rng(seed)):
        seconds.append(time.process_time() - start)
        start = time.process_time()
    later = np.array(seconds[2:])
    print(
        f"{name}: min {later.min():.3f}, median {np.median(later):.3f}, max {later.max():.3f} CPU s; "
        f"the first two {seconds[0]:.2f}, {seconds[1]:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
