"""Other goals for one model, without a further real step: `python -m benchmarks.goals --seeds 0 1 2`.

A model learns Reacher-v5 by PETS, each episode another target. Then its planner is given other costs
(`policy.with_cost`), in the same starts: the task's own; a target on the other side; a circle of
5 cm that the tip is to follow, one turn in the episode's second; and the opposite, away from the
target. Printed are what an episode costs with the first two, the tip's mean distance from where it is
to be on the circle after 15 steps, and its mean distance from the target when it is to go there, to go
away from it, and when nothing is done. With --true plans are made in the task's own physics.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from agents.interfaces import Array
from agents.mpc.steps.saving import TaskMPC
from agents.planners.models import SimulatorModel
from agents.rollout import Trajectories, rollout, run
from agents.tasks.costs.user_cost import UserCost
from experiments.configs.pets_reacher_v5 import config, method, task

CENTRE, RADIUS = np.array([0.12, 0.0]), 0.05  # of the circle, m
TURN, SETTLED = 50, 15  # steps of a turn, and until the tip is taken to be on the circle
STARTS, EPISODES = 12345, 10

Goal = Callable[[Array, Array], Array]  # x (..., dx), t (...) -> place (..., 2)


def main() -> None:
    """Trains one model for each seed, and prints a row of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--rounds", type=int, default=50, help="episodes of a second")
    parser.add_argument("--true", action="store_true", help="plan in the true dynamics")
    asked = parser.parse_args()
    for seed in asked.seeds:
        start = time.process_time()
        found = ", ".join(
            f"{name} {value:.3f}" for name, value in row(seed, asked.rounds, asked.true).items()
        )
        print(f"seed {seed}: {found}; {time.process_time() - start:.0f} CPU s", flush=True)


def row(seed: int, rounds: int, true: bool = False) -> dict[str, float]:
    """Returns what the planner of one model does with each goal."""
    made = task()
    planner: Any = TaskMPC(made, SimulatorModel(made), config.planner, "true", config.horizon)
    if not true:
        settings = replace(config, iterations=rounds)
        *_, last = method.train(made, settings, np.random.default_rng(seed))
        planner = last.policy
    own = episodes(made, planner)
    targets = tip(own.x[:, 0]) - own.x[:, 0, 4:]
    other = episodes(made, planner.with_cost(distance_cost(lambda x, t: x[..., 4:] - tip(x))))
    around = episodes(made, planner.with_cost(distance_cost(circle, torque=0.01)))
    away = episodes(made, planner.with_cost(distance_cost(lambda x, t: tip(x) - x[..., 4:], -1.0)))
    still = run(made, _still, np.zeros(EPISODES, int), np.random.default_rng(STARTS))
    t = np.arange(made.horizon + 1.0)
    gap = np.linalg.norm(tip(around.x) - circle(around.x, t), axis=-1)[:, SETTLED:]
    return {
        "own target": cost_to(own, targets[:, None]),
        "another": cost_to(other, -targets[:, None]),
        "circle (m)": float(gap.mean()),
        "there (m)": _distance(own),
        "away (m)": _distance(away),
        "still (m)": _distance(still),
    }


def episodes(made: Any, planner: Any) -> Trajectories:
    """Returns noise-free episodes, from the same starts whatever the planner."""
    rng = np.random.default_rng(STARTS)
    return rollout(made, planner, np.zeros(1, int), EPISODES, rng, noise=0.0)


def cost_to(found: Trajectories, place: Array) -> float:
    """Returns what an episode costs whose target is a place (..., 2), as the task counts."""
    far = np.linalg.norm(tip(found.x[:, 1:]) - place, axis=-1)
    return float((far + (found.u**2).sum(-1)).sum(1).mean())


def distance_cost(goal: Goal, sign: float = 1.0, torque: float = 1.0) -> UserCost:
    """Returns the cost of a step: the tip's distance from the goal, and `torque` times the square of
    the torques.
    """

    def cost(x: Array, u: Array, t: Array) -> Array:
        far: Array = np.linalg.norm(tip(x) - goal(x, t), axis=-1)
        return sign * far + torque * (u**2).sum(-1)

    return UserCost(cost, task.dx, task.du)


def tip(x: Array) -> Array:
    """Returns where the tip is, (..., 2), m: links of 10 and 11 cm."""
    first, both = x[..., 0], x[..., 0] + x[..., 1]
    along = 0.1 * np.cos(first) + 0.11 * np.cos(both)
    return np.stack([along, 0.1 * np.sin(first) + 0.11 * np.sin(both)], -1)


def circle(x: Array, t: Array) -> Array:
    """Returns where the tip is to be at steps t (...), (..., 2), m."""
    way = 2 * np.pi * t / TURN
    return CENTRE + RADIUS * np.stack([np.cos(way), np.sin(way)], -1)


def _still(x: Array, o: Array, t: int) -> Array:
    return np.zeros((len(x), task.du))


def _distance(found: Trajectories) -> float:
    return float(np.linalg.norm(found.x[:, 1:, 4:], axis=-1).mean())


if __name__ == "__main__":
    main()
