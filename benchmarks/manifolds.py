"""What it is worth to declare that an angle wraps, and that four numbers are an orientation.

    python -m benchmarks.manifolds [--seeds 5]

Local controllers alone: `wrapping_pendulum`, 20 iterations of 4 episodes, and `free_body`, 10
iterations of 3 x 4 episodes, each as it is and with its manifold taken away. A row per seed: the
final noise-free cost, and how far from the goal.
"""

import argparse

import numpy as np

from agents.tasks.classic.free_body import FreeBody
from agents.tasks.classic.wrapping_pendulum import WrappingPendulum
from experiments.configs.free_body import config as turn
from gps import lqr_flm

SWING = lqr_flm.Config(iterations=20, samples=4, initial_std=0.3, min_std=0.05)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    heads = ("pendulum, declared", "undeclared", "free body, declared", "undeclared")
    print("seed  " + "".join(f"{head:32}" for head in heads))
    for seed in range(parser.parse_args().seeds):
        row = []
        for make, config in ((WrappingPendulum, SWING), (FreeBody, turn)):
            for declared in (True, False):
                task = make()
                if not declared:
                    task.manifold = None
                *_, last = lqr_flm.train(task, config, np.random.default_rng(seed))
                end = last.scalars
                if make is FreeBody:
                    row.append(
                        f"{end['cost']:6.2f} ({end['angle']:5.1f} deg, {end['distance']:.3f} m)"
                    )
                else:
                    stays = "stays" if end["balanced"] else "does not stay"
                    row.append(f"{end['cost']:6.2f} ({end['distance']:.3f} m, {stays})")
        print(f"{seed:4}  " + "".join(f"{cell:32}" for cell in row), flush=True)


if __name__ == "__main__":
    main()
