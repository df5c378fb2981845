"""Episodes until the inverted double pendulum stands for 1000 steps: `python -m benchmarks.balance
[--seeds 0 1 2 3 4]`.

The controllers are planned over 40 steps; after step 20 the gain of that step is kept, from 20
fresh starts.
"""

import argparse
import time
import warnings
from dataclasses import replace

import numpy as np

from agents.rollout import run
from agents.tasks.mujoco.inverted import InvertedDoublePendulum
from experiments.configs import inverted_double_pendulum as experiment

STARTS, ENOUGH, HOLD = 20, 0.9, 20


def standing(controller: object, seed: int) -> np.ndarray:
    """Returns how many of 1000 steps the poles stand, (STARTS,)."""
    task = InvertedDoublePendulum(horizon=1000)
    K, k = controller.K[0], controller.k[0]  # type: ignore[attr-defined]

    def act(x: np.ndarray, o: np.ndarray, t: int) -> np.ndarray:
        return x @ K[min(t, HOLD)].T + k[min(t, HOLD)]

    return run(task, act, np.zeros(STARTS, int), np.random.default_rng(1_000_000 + seed)).length


def main() -> None:
    """Prints a line for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    warnings.simplefilter("ignore")
    for seed in parser.parse_args().seeds:
        start, config = time.process_time(), replace(experiment.config, iterations=25)
        for iteration in experiment.method.train(
            experiment.task(), config, np.random.default_rng(seed)
        ):
            steps = standing(iteration.policy.controller, seed)
            if (steps == 1000).mean() >= ENOUGH:
                break
        episodes = iteration.scalars["episodes"]
        share = (steps == 1000).mean()
        cpu = time.process_time() - start
        print(
            f"seed {seed}: {episodes:.0f} episodes, {share:.0%} of {STARTS} stand 1000 steps; {cpu:.1f} CPU s",
            flush=True,
        )


if __name__ == "__main__":
    main()
