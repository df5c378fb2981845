"""Steps of Reacher-v5 per CPU second, closed loop on one core: `python -m benchmarks.rollouts
[--simulations 20]`.

Ours is `agents.rollout` with a linear controller per simulation and all its checks; beside it stand
MuJoCo's batch alone, which is the ceiling, and a loop over Gymnasium. Median and best of the
repeats.

`--gymnasium` measures ways through environments of Gymnasium instead, in steps per second on the
clock, as other processes take part: a bare loop, the task `gymnasium:ENV_ID` one after another and
with `processes`, and Gymnasium's own vector environments; for quick steps, and for steps that sleep
for 5 ms as a simulator elsewhere, or a robot, would.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.cpu_count = lambda: 1  # type: ignore[assignment]  # one thread of simulations

from agents.rollout import rollout  # noqa: E402
from agents.tasks.adapters.gymnasium_task import GymnasiumTask  # noqa: E402
from agents.tasks.mujoco.reacher import Reacher  # noqa: E402
from gps.steps.initial_controllers import zero_controllers  # noqa: E402


def rate(steps: int, call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Returns the median and the highest number of steps per CPU second."""
    call()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        found.append(steps / (time.process_time() - start))
    return float(np.median(found)), float(np.max(found))


class Waiting(gymnasium.Wrapper):
    """Takes 5 ms longer over a step."""

    def step(self, action: Any) -> Any:
        """Steps, and sleeps."""
        time.sleep(0.005)
        return super().step(action)


def reacher(wait: bool) -> Any:
    """Returns Gymnasium's arm."""
    env = gymnasium.make("Reacher-v5")
    return Waiting(env) if wait else env


def ways(make: Callable[[], Any], N: int, steps: int) -> dict[str, float]:
    """Returns the steps per second of each way through N environments."""
    env = make()
    U = np.random.default_rng(0).uniform(-1, 1, size=(steps, N, 2)).astype(env.action_space.dtype)
    envs, seeds = [make() for _ in range(N)], list(range(N))

    def loop(u: np.ndarray) -> None:
        for env, one in zip(envs, u, strict=True):
            env.step(one)

    found = {}
    kinds = {
        "SyncVectorEnv": SyncVectorEnv,
        "AsyncVectorEnv": partial(AsyncVectorEnv, context="forkserver"),
    }
    for name in ("a loop", "the task", "the task, processes", *kinds):
        close: Callable[[], Any] = lambda: None  # noqa: E731
        if name == "a loop":
            for env, seed in zip(envs, seeds, strict=True):
                env.reset(seed=seed)
            step: Callable[[np.ndarray], Any] = loop
        elif name in kinds:
            fleet = kinds[name]([make] * N)  # type: ignore[operator]
            fleet.reset(seed=seeds)
            step, close = fleet.step, fleet.close
        else:
            task = GymnasiumTask(
                make, horizon=10**6, conditions=N, processes=name.endswith("processes")
            )
            task.reset(np.arange(N), np.random.default_rng(0))
            step = task.step
        step(U[0])
        start = time.perf_counter()
        for u in U:
            step(u)
        found[name] = N * steps / (time.perf_counter() - start)
        close()
    return found


def main() -> None:
    """Prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument(
        "--gymnasium", action="store_true", help="ways through environments of Gymnasium"
    )
    words = parser.parse_args()
    if words.gymnasium:
        for wait in (False, True):
            print(f"{words.simulations} of Reacher-v5" + ", 5 ms a step" * wait)
            for name, speed in ways(partial(reacher, wait), words.simulations, 40).items():
                print(f"  {name:22} {speed:8.0f} steps per second", flush=True)
        return
    N, rng = words.simulations, np.random.default_rng(0)
    task = Reacher(N)
    controller, every = zero_controllers(task, 0.1), np.arange(N)

    def stepping() -> None:
        task.reset(every, np.random.default_rng(0))
        for _ in range(task.horizon):
            task._sim._batch.step(nstep=2)

    def gymnasium_loop() -> None:
        for seed in range(2):
            env.reset(seed=seed)
            for _ in range(task.horizon):
                env.step(np.zeros(2))

    env, steps = gymnasium.make("Reacher-v5"), N * task.horizon
    for what, count, call in (
        ("agents.rollout", steps, lambda: rollout(task, controller, every, 1, rng)),
        ("MuJoCo's batch alone", steps, stepping),
        ("a loop over Gymnasium", 2 * task.horizon, gymnasium_loop),
    ):
        median, best = rate(count, call, words.repeats)
        print(
            f"{what:24} {median:8.0f} steps per CPU second (median), {best:8.0f} (best)", flush=True
        )


if __name__ == "__main__":
    main()
