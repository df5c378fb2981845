"""Many teachers, one policy: what each method of `gps.multitask` is worth, and what it is held against.

    python -m benchmarks.teachers [PART ...] [--seeds 5] [--first 0]

Parts: distral, transfer, distillation, grid, ensemble, mimic, dnc. Every seed is printed as it is
done, then the means. CPU seconds are of one thread.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from agents.baselines import trpo
from agents.rollout import rollout
from agents.tasks import make_task
from experiments.configs import reacher_dnc, rooms
from gps.multitask import distral, dnc

Array = np.ndarray
Rows = Iterator[tuple[str, float]]
SOFT_Q = {"kl_cost": 0.0, "entropy_cost": 0.05}  # chosen on seeds 10 to 12, as Distral's prices are


def judged(task: Any, policy: Any, episodes: int = 50) -> Array:
    """Returns the mean cost in each condition of noise-free episodes, the same for all policies."""
    every, rng = np.arange(task.conditions), np.random.default_rng(1000)
    found = rollout(task, policy, every, episodes, rng, noise=0.0)
    costs: Array = found.costs.reshape(task.conditions, episodes).mean(1)
    return costs


def steps_of(
    config: Any, goals: tuple[int, ...], seed: int, state: Any = None
) -> tuple[Array, Any]:
    """Returns the steps of an episode in each iteration, and the last state."""
    task, rng = make_task("rooms", goals=goals), np.random.default_rng(seed)
    rows = list(distral.train(task, replace(config, evaluate_every=0), rng, state))
    return np.array([row.scalars["episode_steps"] for row in rows]), rows[-1].state


def four_goals(seed: int) -> Rows:
    """Distral and soft Q-learning of four goals: mean steps of 50 iterations, and of the last ten."""
    for name, more in (("distral", {}), ("soft Q", SOFT_Q)):
        steps, _ = steps_of(replace(rooms.config, **more), (0, 1, 2, 3), seed)
        yield f"{name}: all", steps.mean()
        yield f"{name}: last ten", steps[-10:].mean()


def fifth_goal(seed: int, level: float = 60.0) -> Rows:
    """Environment steps until five episodes in a row take at most `level` steps in the mean, with
    the shared policy of four other goals after 100 iterations, and by soft Q-learning from nothing.
    """
    known = replace(rooms.config, iterations=100)
    _, state = steps_of(known, (0, 1, 2, 3), seed)
    for name, more, begun in (("distral", {}, state), ("soft Q", SOFT_Q, None)):
        count = known.iterations if begun else 0
        config = replace(rooms.config, iterations=count + 150, **more)
        steps, _ = steps_of(config, (4,), seed + 100, begun)
        mean = np.convolve(steps, np.ones(5) / 5, "valid")
        held = mean <= level
        at = int(held.argmax()) + 5 if held.any() else len(steps)
        yield f"{name}: steps to {level:.0f}", steps[:at].sum()
        yield f"{name}: first five", steps[:5].mean()


def divided(seed: int) -> Rows:
    """Divide and conquer, without its penalty, and TRPO, as many episodes each: the cost of an
    episode of the reacher, noise-free, 5 of each of 40 targets.
    """
    config = replace(reacher_dnc.config, evaluate_every=0)
    plain = trpo.Config(iterations=config.iterations, kl_step=0.05, evaluate_every=0)
    contestants: tuple[tuple[str, Any, Any], ...] = (
        ("dnc", dnc, config),
        ("dnc, penalty 0", dnc, replace(config, penalty=0.0)),
        ("trpo", trpo, plain),
    )
    for name, method, settings in contestants:
        task = reacher_dnc.task()
        *_, last = method.train(task, settings, np.random.default_rng(seed))
        yield name, judged(task, last.policy, 5).mean()


PARTS: dict[str, Callable[[int], Rows]] = {
    "distral": four_goals,
    "transfer": fifth_goal,
    "dnc": divided,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teachers", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    for part in asked.parts or PARTS:
        table: dict[str, list[float]] = {}
        for seed in range(asked.first, asked.first + asked.seeds):
            begun = time.process_time()
            for name, value in PARTS[part](seed):
                table.setdefault(name, []).append(float(value))
                print(f"{part} seed {seed} {name}: {value:.4g}", flush=True)
            print(f"{part} seed {seed}: {time.process_time() - begun:.0f} CPU s", flush=True)
        for name, values in table.items():
            each = ", ".join(f"{value:.4g}" for value in values)
            print(f"{part} | {name} | {np.mean(values):.4g} | {each}", flush=True)


if __name__ == "__main__":
    main()
