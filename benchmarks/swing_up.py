"""How much experience a swing-up takes: `python -m benchmarks.swing_up [pendulum|cartpole] [--seeds
0 1 2 3 4]`.

After each episode the controllers are tried without noise from 20 fresh starts, which do not count
as experience. Swung up and balanced means that in 9 of 10 of them the tip stays within 0.1 m of its
target for the last second.
"""

import argparse
import time
import warnings
from dataclasses import replace
from importlib import import_module

import numpy as np

from agents.rollout import rollout

STARTS, ENOUGH = 20, 0.9


def experience(name: str, seed: int) -> tuple[float | None, float, float]:
    """Returns seconds of experience until it is done (None: not at all), the reward then, and CPU
    seconds.
    """
    experiment = import_module(f"experiments.configs.{name}")
    task, start = experiment.task(), time.process_time()
    config = replace(experiment.config, iterations=15)
    reward = 0.0
    for iteration in experiment.method.train(task, config, np.random.default_rng(seed)):
        fresh = np.random.default_rng(1_000_000 + seed)
        tests = rollout(task, iteration.policy.controller, np.arange(1), STARTS, fresh, noise=0.0)
        figures = task.metrics(tests.x, tests.u)
        reward = float(figures["reward"].mean())
        if figures["balanced"].mean() >= ENOUGH:
            return iteration.scalars["env_steps"] * task.dt, reward, time.process_time() - start
    return None, reward, time.process_time() - start


def main() -> None:
    """Prints a line for each seed, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", nargs="?", default="cartpole", choices=["pendulum", "cartpole"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    words = parser.parse_args()
    warnings.simplefilter("ignore")
    found = []
    for seed in words.seeds:
        seconds, reward, cpu = experience(words.task, seed)
        shown = "not at all" if seconds is None else f"{seconds:.0f} s"
        found.append(np.inf if seconds is None else seconds)
        print(
            f"{words.task}, seed {seed}: balanced after {shown}, reward {reward:.1f}; {cpu:.1f} CPU s",
            flush=True,
        )
    print(
        f"{words.task}: mean {np.mean(found):.1f} s, worst {np.max(found):.1f} s of {len(found)} seeds"
    )


if __name__ == "__main__":
    main()
