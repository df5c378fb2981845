"""Steps of Reacher-v5 per CPU second, closed loop on one core: `python -m benchmarks.rollouts [--simulations 20]`.

Ours is `agents.rollout` with a linear controller per simulation and all its checks; beside it stand MuJoCo's batch
alone, which is the ceiling, and a loop over Gymnasium. Minimum and median of the repeats.
"""

import argparse
import os
import time
from collections.abc import Callable

import numpy as np

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.cpu_count = lambda: 1  # type: ignore[assignment]  # one thread of simulations

from agents.rollout import rollout  # noqa: E402
from agents.tasks.reacher import Reacher  # noqa: E402
from gps.local import initial_controller  # noqa: E402


def rate(steps: int, call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Returns the median and the highest number of steps per CPU second."""
    call()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        found.append(steps / (time.process_time() - start))
    return float(np.median(found)), float(np.max(found))


def main() -> None:
    """Prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=20)
    words = parser.parse_args()
    N, rng = words.simulations, np.random.default_rng(0)
    task = Reacher(N)
    controller, every = initial_controller(task, 0.1), np.arange(N)

    def stepping() -> None:
        task.reset(every, np.random.default_rng(0))
        for _ in range(task.horizon):
            task._sim._batch.step(nstep=2)

    def gymnasium_loop() -> None:
        for seed in range(2):
            env.reset(seed=seed)
            for _ in range(task.horizon):
                env.step(np.zeros(2))

    import gymnasium

    env, steps = gymnasium.make("Reacher-v5"), N * task.horizon
    for what, count, call in (
        ("agents.rollout", steps, lambda: rollout(task, controller, every, 1, rng)),
        ("MuJoCo's batch alone", steps, stepping),
        ("a loop over Gymnasium", 2 * task.horizon, gymnasium_loop),
    ):
        median, best = rate(count, call, words.repeats)
        print(f"{what:24} {median:8.0f} steps per CPU second (median), {best:8.0f} (best)", flush=True)


if __name__ == "__main__":
    main()
