"""What a row can be, measured once and recorded with its command and seeds: SAC after many steps, or
iLQR in the simulator.

A row that nobody has recorded has no reference, and what it learned is then not judged.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.planners.ilqr import ILQR
from agents.planners.models import SimulatorModel
from agents.planners.objective import Objective
from agents.tasks.capabilities import HasSimulator, capability

from ...engine.episodes import FIRST_SEED
from .episodes import fresh_task, keep, kept_in
from .rows import Row

FILE = Path(__file__).with_name("references.json")
STEPS = 100_000  # of SAC
STARTS, ITERATIONS = 8, 100  # of iLQR, from each of the task's starts


class Known(SimulatorModel):
    """A task's simulator, which takes one step from any state."""

    def __init__(self, simulator: Any):
        self.simulator = simulator

    def step(self, x: np.ndarray, u: np.ndarray, t: int = 0) -> np.ndarray:
        """Returns x' (..., dx), whatever the step."""
        flat, act = x.reshape(-1, x.shape[-1]), u.reshape(-1, u.shape[-1])
        factors = np.ones((len(flat), len(getattr(self.simulator, "parameters", ()))))
        return np.asarray(self.simulator(flat, act, factors)).reshape(x.shape)


def by_ilqr(task: Any, starts: int = STARTS, iterations: int = ITERATIONS) -> list[float]:
    """Returns minus the lowest cost of the descents from each of the task's starts, (C,)."""
    rng = np.random.default_rng(FIRST_SEED)
    told = capability(task, HasSimulator)
    model = Known(told.simulator) if told else SimulatorModel(task)
    planner = ILQR(starts=starts, iterations=iterations)
    x0 = task.reset(np.arange(task.conditions), rng)
    none, T = np.zeros((0, task.horizon, task.du)), task.horizon
    found = []
    for one in x0:
        objective = Objective(model, task.cost, one, 0, T, T, rng)
        plan = planner(objective, none, task.action_low, task.action_high, rng)
        found.append(-float(plan.cost))
    return found


def of_ilqr(row: Row, folder: Path, command: Sequence[str]) -> dict[str, Any]:
    """Returns the reference of a row whose simulator is known."""
    returns = by_ilqr(fresh_task(row, folder))
    what = f"iLQR in the simulator, best of {STARTS} starts"
    return _entry(what, command, [FIRST_SEED], [float(np.mean(returns))])


def of_most(row: Row, command: Sequence[str]) -> dict[str, Any]:
    """Returns the reference of a row whose rewards are bounded: nothing can do better, so what is
    learned beside it is learned beside any other.
    """
    what = "the most that its rewards allow"
    return _entry(what, command, [FIRST_SEED], [float(row.most or 0.0)])


def of_sac(found: dict[int, dict[str, Any]], steps: int, command: Sequence[str]) -> dict[str, Any]:
    """Returns the reference of a row of which SAC's evaluations are `found`, by seed, with what it
    came to early.
    """
    returns = [one["mean_return"] for one in found.values()]
    early = [one["early"] for one in found.values()]
    told = {
        "early_steps": [one["env_steps"] for one in early],
        "early_returns": [one["mean_return"] for one in early],
    }
    return _entry(f"SAC (ours), {steps} steps", command, list(found), returns) | told


def _entry(
    what: str, command: Sequence[str], seeds: list[int], returns: list[float]
) -> dict[str, Any]:
    return {"what": what, "command": shlex.join(command), "seeds": seeds, "returns": returns}


def read(file: Path = FILE) -> dict[str, Any]:
    """Returns the recorded references by the rows' names."""
    return kept_in(file) or {}


def record(name: str, entry: dict[str, Any], file: Path) -> None:
    """Adds a reference, in place of an earlier one of that row."""
    keep(file, dict(sorted({**read(file), name: entry}.items())))


def value(entry: dict[str, Any] | None) -> float | None:
    """Returns a reference's mean return; None where there is none."""
    return float(np.mean(entry["returns"])) if entry else None


def early(entry: dict[str, Any] | None) -> dict[int, dict[str, float]]:
    """Returns what SAC, as a reference, came to early, by seed; nothing of other references."""
    if not entry or "early_returns" not in entry:
        return {}
    told = zip(entry["seeds"], entry["early_returns"], strict=True)
    return {int(seed): {"mean_return": float(total)} for seed, total in told}
