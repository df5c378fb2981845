"""What randomised physics is worth: `python -m benchmarks.randomised [--seeds 0 1 2 3 4]
[--iterations N]`.

The same method, settings, steps and seeds learn to reach in Reacher-v5 as it is, and in one whose
masses, rotors and motors are drawn anew for each episode. Both policies are then tried, without
noise, on 200 fresh targets in arms whose masses and rotors' inertias are so many times those of the
model (nearly all of this arm's inertia is the rotors').
"""

import argparse
import time
import warnings
from dataclasses import replace

import numpy as np

from agents.rollout import rollout
from agents.tasks.mujoco.reacher import Reacher
from agents.tasks.wrappers.randomised import Randomised, Uniform
from experiments.configs import reacher, reacher_randomised

FACTORS, TARGETS, FIRST = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0), 200, 30_000
ONLY = {"damping": None, "gain": None, "friction": None}


def returns(policy: object, factor: float) -> float:
    """Returns the mean return over fresh targets in arms that are `factor` times as heavy."""
    heavy = Uniform(factor, factor)
    task = Randomised(Reacher(TARGETS, layout_seed=FIRST), mass=heavy, rotor=heavy, **ONLY)  # type: ignore[arg-type]
    episodes = rollout(task, policy, np.arange(TARGETS), 1, np.random.default_rng(FIRST), noise=0.0)  # type: ignore[arg-type]
    return float(-episodes.cost.sum(-1).mean())


def learned(experiment: object, seed: int, **settings: int) -> object:
    """Returns the policy after the last iteration."""
    config = replace(experiment.config, **settings)  # type: ignore[attr-defined]
    *_, last = experiment.method.train(experiment.task(), config, np.random.default_rng(seed))  # type: ignore[attr-defined]
    return last.policy


def main() -> None:
    """Prints a line for each seed and kind of training, and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--iterations", type=int, default=reacher.config.iterations)
    words = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'inertia, times the model':32}" + "".join(f"{factor:8g}" for factor in FACTORS))
    for name, experiment in (("as the model is", reacher), ("randomised", reacher_randomised)):
        rows = []
        for seed in words.seeds:
            start = time.process_time()
            policy = learned(experiment, seed, iterations=words.iterations)
            rows.append([returns(policy, factor) for factor in FACTORS])
            spent = time.process_time() - start
            print(
                f"{name + f', seed {seed}':32}"
                + "".join(f"{r:8.2f}" for r in rows[-1])
                + f"  {spent:.0f} CPU s",
                flush=True,
            )
        print(f"{name + ', mean':32}" + "".join(f"{r:8.2f}" for r in np.mean(rows, 0)))
        print(f"{name + ', deviation':32}" + "".join(f"{r:8.2f}" for r in np.std(rows, 0)))


if __name__ == "__main__":
    main()
