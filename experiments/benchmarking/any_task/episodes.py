"""A row's task, the episodes in which whoever learned it is evaluated, and what was found in them.

In Gymnasium these are 20 fresh resets of the unmodified environment, cut after the row's steps; the
others have the starts that they have.
"""

import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import agents.tasks
from agents.tasks import make_task
from dynamics.storage.files import make_folder, read_json, write_file
from lqr import CheckpointError

from ...engine.episodes import FIRST_SEED
from ...engine.evaluation import Acting, Evaluation, evaluate_in_task
from .joint_task import JointTask
from .local_tasks import CartTask, LayoutTask
from .rows import DM_CONTROL, Row

EPISODES = 20
BASELINES = "baselines.json"
MAZE = Path(__file__).with_name("maze.xml")
ARM = Path(agents.tasks.__file__).parent / "models" / "arm.xml"


def task_word(row: Row, folder: Path) -> str:
    """Returns what --task calls a row's task; the arm of small controls is written in the folder."""
    if row.kind == "arm":
        return f"mjcf:{arm(row, folder)}"
    if row.kind == "maze":
        return f"mjcf:{MAZE}"
    module = f"{DM_CONTROL}:" if row.module == "dm_control" else ""
    return f"gymnasium:{module}{row.task}"


def arm(row: Row, folder: Path) -> Path:
    """Returns the arm's model: its own, or the same with controls from -1 to 1 and the torques as
    gear.
    """
    if not row.value:
        return ARM
    text = re.sub(r'ctrlrange="-(\d+) \1"', r'gear="\1" ctrlrange="-1 1"', ARM.read_text())
    path = folder / "arm_unit.xml"
    if not path.exists():
        make_folder(folder)
        write_file(path, text.encode())
    return path


def fresh_task(row: Row, folder: Path) -> Any:
    """Returns the task in which a row is evaluated."""
    if row.kind == "cart":
        return CartTask(row.value)
    if row.kind == "layout":
        return LayoutTask(int(row.value))
    if row.kind == "joint":
        return JointTask()
    if row.kind in ("arm", "maze"):
        return make_task(task_word(row, folder))
    if row.module == "dm_control":
        import_module(DM_CONTROL)
    return make_task(
        f"gymnasium:{row.task}", horizon=row.steps, conditions=EPISODES, layout_seed=FIRST_SEED
    )


def evaluate(task: Any, policy: Any) -> dict[str, Any]:
    """Returns how a policy's mean action does in the episodes of a row's task."""
    return as_numbers(evaluate_in_task(task, policy, EPISODES)["evaluation"])


def as_numbers(found: Evaluation) -> dict[str, Any]:
    """Returns what is kept of an evaluation."""
    return {
        "episodes": found.episodes,
        "mean_return": found.mean_return,
        "standard_error": found.standard_error,
        "returns": list(found.returns),
    }


def baselines(row: Row, folder: Path) -> Mapping[str, Any]:
    """Returns what random actions and none do in a row's episodes, as kept in its folder."""
    if not (folder / BASELINES).exists():
        task = fresh_task(row, folder)
        found = evaluate_in_task(task, Acting(task, None), EPISODES)
        kept = {name: as_numbers(found[name]) for name in ("random", "idle")}
        keep(folder / BASELINES, kept)
    return kept_in(folder / BASELINES) or {}


def keep(path: Path, numbers: Mapping[str, Any]) -> None:
    """Writes numbers into a file, whole or not at all."""
    make_folder(path.parent)
    write_file(path, json.dumps(numbers, indent=1).encode())


def kept_in(path: Path) -> dict[str, Any] | None:
    """Returns the numbers of a file; None where there is none. Raises CheckpointError for others."""
    if not path.exists():
        return None
    found = read_json(path)
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: got {type(found).__name__}; expected what was kept there")
    return dict(found)


class Peer:
    """A trained policy of Stable-Baselines3 as one that acts in a task."""

    input = "o"

    def __init__(self, model: Any, middle: Any = 0.0, half: Any = 1.0):
        """Its actions are `half` times as large in the task, about `middle`."""
        self.model, self.middle, self.half = model, middle, half

    def sample(self, o: np.ndarray, t: int, rng: Any) -> np.ndarray:
        """Returns mean actions (B, du) for observations o (B, do)."""
        action = self.model.predict(o.astype(np.float32), deterministic=True)[0]
        return np.asarray(self.middle + self.half * action, float)
