"""Stable-Baselines3's SAC and PPO in an environment of Gymnasium, evaluated as our policies are."""

import time
from pathlib import Path
from typing import Any

from agents.learners.sb3 import unlogged
from lqr import InputError

from ..engine.evaluation import evaluate_policy
from ..engine.tables import Table

ALGORITHMS = ("SAC", "PPO")
CURVE, DONE = (
    "curve.csv",
    "done",
)  # env_steps, evaluated_return, cpu_seconds (without the evaluation), evaluated_distance (m); the end of a run


class Greedy:
    """A trained policy's mean action, in the form that is evaluated."""

    def __init__(self, model: Any):
        self.model = model

    def act(self, observation: Any) -> Any:
        """Returns the action (du,) for one observation."""
        return self.model.predict(observation, deterministic=True)[0]


def train(
    algorithm: str, env_id: str, steps: int, seed: int, every: int, folder: Path, episodes: int = 20
) -> None:
    """Trains for `steps` steps and writes a row of CURVE after every `every`; one thread, so that a
    seed repeats.

    Raises InputError for another algorithm, and where Stable-Baselines3 is not installed.
    """
    if algorithm not in ALGORITHMS or min(steps, every) < 1:
        raise InputError(
            f"got {algorithm}, {steps} steps, every {every}; expected one of {ALGORITHMS}, 1 or more each"
        )
    try:
        import stable_baselines3
    except ModuleNotFoundError:
        raise InputError(
            "stable_baselines3 is not installed; expected it for the peers: "
            'pip install -c constraints.txt -e ".[peers]"'
        ) from None
    import gymnasium
    import torch

    torch.set_num_threads(1)
    model = getattr(stable_baselines3, algorithm)(
        "MlpPolicy", gymnasium.make(env_id), seed=seed, device="cpu"
    )
    unlogged(model)
    curve, spent = Table(folder / CURVE), 0.0
    while model.num_timesteps < steps:
        start = time.process_time()
        model.learn(min(every, steps - model.num_timesteps), reset_num_timesteps=False)
        spent += time.process_time() - start
        found = evaluate_policy(env_id, Greedy(model), episodes)
        mean, far = found.mean_return, found.final_distance
        row = {
            "env_steps": float(model.num_timesteps),
            "evaluated_return": mean,
            "cpu_seconds": spent,
        }
        curve.append(row | ({} if far is None else {"evaluated_distance": far}))
        print(
            f"{algorithm} {env_id} seed {seed}: {model.num_timesteps} steps, {mean:.2f}, {spent:.0f} CPU s",
            flush=True,
        )
