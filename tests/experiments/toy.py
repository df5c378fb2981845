"""Push a point to a target with a linear policy, found by random search: a whole experiment that
runs in milliseconds.

As a script it is experiments/run.py with this experiment in place of the others.
"""

import dataclasses
import os
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from agents.interfaces import Iteration  # noqa: E402
from lqr import InputError, NumericalError  # noqa: E402


class PointMass:
    """x = [position - target, velocity] (4) in the plane, pushed by u (2) for 20 steps."""

    name, horizon, conditions, plane, dt = "point", 20, 3, (0, 1), 1.0
    dx, du, do = 4, 2, 4
    targets = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])

    def run(self, gain, rng, noise=0.0):
        """Returns x (3, 21, 4), u (3, 20, 2) and the cost (3,) of one episode for each target."""
        x, u = np.zeros((3, 21, 4)), np.zeros((3, 20, 2))
        x[:, 0, :2] = -self.targets
        for t in range(20):
            u[:, t] = np.clip(x[:, t] @ gain.T + noise * rng.standard_normal((3, 2)), -1, 1)
            x[:, t + 1] = x[:, t]
            x[:, t + 1, 2:] += 0.2 * u[:, t]
            x[:, t + 1, :2] += 0.2 * x[:, t + 1, 2:]
        return x, u, (x[..., :2] ** 2).sum((1, 2)) + 0.1 * (u**2).sum((1, 2))


class Linear:
    """u = gain x."""

    def __init__(self, gain):
        self.gain = gain

    @classmethod
    def from_state(cls, state):
        if state["gain"].shape != (2, 4):
            raise ValueError(f"gain has shape {state['gain'].shape}")
        return cls(state["gain"])

    def state(self):
        return {"kind": "toy", "gain": self.gain}

    def act(self, observation):
        return np.asarray(observation) @ self.gain.T


@dataclasses.dataclass(frozen=True)
class Config:
    """Random search."""

    iterations: int = 6  # how often to try
    tries: int = 8  # candidates per iteration
    spread: float = 0.5  # standard deviation of a candidate's gains
    sizes: tuple[int, ...] = (3, 4)  # of nothing; there must be a tuple somewhere
    pause: float = 0.0  # seconds of an iteration, or until a file `hurry` is here
    pause_at: int = 0  # the iteration that pauses; 0 is each
    fail_at: int = 0  # the iteration that fails; 0 is none

    def __post_init__(self):
        if self.iterations < 1:
            raise InputError(f"iterations is {self.iterations}; expected 1 or more")


def wait(seconds):
    """Returns after so many seconds, or when a file `hurry` is in the present folder."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not Path("hurry").exists():
        time.sleep(min(left, 0.01))


def train(task, config, rng, state=None):
    """Yields an Iteration per round of candidates."""
    state = state or {
        "number": 0,
        "gain": np.zeros((2, 4)),
        "best": float(task.run(np.zeros((2, 4)), rng)[2].mean()),
    }
    while state["number"] < config.iterations:
        number = state["number"] + 1
        if number == config.fail_at:
            raise NumericalError("got a planned failure; expected nothing else")
        candidates = state["gain"] + config.spread * rng.standard_normal((config.tries, 2, 4))
        costs = np.array([task.run(gain, rng)[2].mean() for gain in candidates])
        best = int(costs.argmin())
        if costs[best] < state["best"]:
            state = {**state, "gain": candidates[best], "best": float(costs[best])}
        state = {**state, "number": number}
        if config.pause_at in (0, number):
            wait(config.pause)
        x, _, cost = task.run(state["gain"], rng, noise=0.1)
        px, _, policy_cost = task.run(state["gain"], rng)
        scalars = {
            "episodes": float(number * config.tries),
            "env_steps": float(number * config.tries * 60),
            "cost": float(cost.mean()),
            "policy_cost": float(policy_cost.mean()),
            "distance": float(np.linalg.norm(x[:, -1, :2], axis=1).mean()),
            "kl": 1.0 / number,
            "step": 1.0,
            "policy_kl": 2.0 / number,
            "nu": 0.1 * number,
            "shift": 0.01,
        }
        arrays = {
            "cost": cost,
            "policy_cost": policy_cost,
            "kl": np.full(3, 1.0 / number),
            "eta": np.ones(3),
        }
        arrays |= {
            "predicted": cost * 0.1,
            "actual": np.full(3, np.nan) if number == 1 else cost * 0.09,
        }
        mean = np.concatenate([px, np.zeros((3, 21, 2))], 2)
        arrays |= {
            "x": x[:, None],
            "mean": mean,
            "cov": np.tile(0.01 * np.eye(6), (3, 21, 1, 1)),
            "policy_x": px,
        }
        arrays |= {"model_error": np.full((3, 20), 0.1)}
        yield Iteration(number, Linear(state["gain"]), scalars, arrays, state)


ACTOR = "controllers"  # whose the column cost is
task, method, config = PointMass, sys.modules[__name__], Config()


def install():
    """Makes this the only experiment, and its policy a known one."""
    from agents import POLICIES
    from experiments.engine import registry

    registry.FOLDER = Path(__file__).parent
    sys.modules["experiments.configs.toy"] = sys.modules[__name__]
    sys.modules["toy"] = sys.modules[__name__]
    POLICIES["toy"] = "toy:Linear"
    if os.environ.get("TOY_FIGURES") == "none":
        from experiments.reports import figures

        figures.draw = lambda *_: None


if __name__ == "__main__":
    import toy  # once more, by the name that whoever imports it knows it by

    from experiments.engine.guard import guarded
    from experiments.run import main

    toy.install()
    sys.exit(guarded(main, sys.argv[1:]))
