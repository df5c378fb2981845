# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""CPU milliseconds of an update of soft actor-critic, ours and Stable-Baselines3's in turn.

    python -m benchmarks.sac [--updates 100]

Batches of 256, one thread; each size is measured three times, turn by turn, and the least is told.
"""

import argparse
import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from collections.abc import Callable

import gymnasium
import numpy as np

from agents.learners.sac import SAC, Units

SIZES = ((4, 1, 64), (4, 1, 128), (4, 1, 256), (17, 6, 64), (17, 6, 128), (17, 6, 256))
BATCH = 256


def ours(do: int, du: int, hidden: int) -> Callable[[], None]:
    """Returns one update of our learner, with the minibatch brought to its units."""
    rng = np.random.default_rng(0)
    units = Units(np.zeros(do), np.ones(do), np.array(0.0), np.array(1.0))
    made = SAC(-np.ones(du), np.ones(du), units, rng, (hidden, hidden))
    o, u, r = (
        rng.normal(size=(2, 10_000, do)),
        rng.uniform(-1, 1, (10_000, du)),
        rng.normal(size=10_000),
    )

    def update() -> None:
        rows = rng.integers(10_000, size=BATCH)
        made.update(made.batch(o[0][rows], u[rows], r[rows], o[1][rows], r[rows] > 9), rng)

    return update


def theirs(do: int, du: int, hidden: int) -> Callable[[], None] | None:
    """Returns one update of Stable-Baselines3's SAC; None where it is not installed."""
    try:
        import stable_baselines3
        import torch
        from stable_baselines3.common.logger import Logger
    except ModuleNotFoundError:
        return None
    torch.set_num_threads(1)

    class Noise(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (do,))
        action_space = gymnasium.spaces.Box(-1.0, 1.0, (du,))

        def reset(self, **more):
            super().reset(seed=0)
            return self.np_random.normal(size=do).astype(np.float32), {}

        def step(self, action):
            return self.np_random.normal(size=do).astype(np.float32), 0.0, False, False, {}

    model = stable_baselines3.SAC(
        "MlpPolicy", Noise(), learning_starts=10**9, buffer_size=2000, device="cpu", seed=0,
        policy_kwargs={"net_arch": [hidden, hidden]},
    )  # fmt: skip
    model.set_logger(Logger(None, []))
    model.learn(1000, log_interval=None)
    return lambda: model.train(1, BATCH)


def least(update: Callable[[], None], updates: int) -> float:
    """Returns CPU milliseconds of an update, the mean of so many."""
    start = time.process_time()
    for _ in range(updates):
        update()
    return 1e3 * (time.process_time() - start) / updates


def main() -> None:
    """Prints a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=100)
    updates = parser.parse_args().updates
    print(f"{'observations, actions, units':30} {'ours (ms)':>10} {'SB3 (ms)':>10} {'ratio':>7}")
    for do, du, hidden in SIZES:
        both = ours(do, du, hidden), theirs(do, du, hidden)
        for one in both:
            for _ in range(10 if one else 0):
                one()  # warm
        times = [[least(one, updates) for one in both if one] for _ in range(3)]
        found = [min(column) for column in zip(*times, strict=True)]
        peer = (
            f"{found[1]:10.2f} {found[1] / found[0]:6.1f}x" if len(found) > 1 else "not installed"
        )
        print(f"{f'{do}, {du}, 2 x {hidden}':30} {found[0]:10.2f} {peer}", flush=True)


if __name__ == "__main__":
    main()
