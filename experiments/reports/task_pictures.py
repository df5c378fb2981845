"""A small picture of each task at the start of an episode: `python
experiments/reports/task_pictures.py --out docs/tasks`.

Those of MuJoCo are rendered on the stage of `experiments/viewer`; the others have no picture.
"""

import io
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported

import numpy as np

from agents.tasks import TASKS, make_task
from dynamics.storage.files import make_folder, write_file
from experiments.engine.parser import Parser
from experiments.viewer.stage import Stage, camera_of
from lqr import InputError

SIZE = 160  # pixels of a side


def picture(name: str) -> bytes:
    """Returns a task's first condition at its start, as PNG."""
    from PIL import Image

    task = make_task(name)
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    data = task.data(0)
    seen = Stage(task.model, camera_of(task.model, task, data), SIZE, task.dt).picture(data)
    content = io.BytesIO()
    Image.fromarray(seen).quantize(64).save(content, "PNG", optimize=True)
    return content.getvalue()


def main(words: Sequence[str]) -> int:
    """Writes a PNG for each task that the words name, by default all that have a model; returns
    0.
    """
    parser = Parser("python experiments/reports/task_pictures.py", "Pictures of the tasks.")
    parser.add_argument("tasks", nargs="*", help="names; by default all that MuJoCo simulates")
    parser.add_argument("--out", type=Path, default=Path("docs/tasks"))
    asked = parser.parse_args(words)
    seen = asked.tasks or [
        name for name in TASKS if name != "dm_peg" or find_spec("dm_control")
    ]  # of an extra
    seen = [name for name in seen if hasattr(make_task(name), "model")]
    if lacking := set(asked.tasks) - set(seen):
        raise InputError(
            f"got {', '.join(sorted(lacking))}; expected tasks that MuJoCo simulates: {', '.join(seen)}"
        )
    make_folder(asked.out)
    for name in seen:
        write_file(asked.out / f"{name}.png", picture(name))
        print(asked.out / f"{name}.png", flush=True)
    return 0


if __name__ == "__main__":
    from experiments.engine.guard import guarded

    sys.exit(guarded(main, sys.argv[1:]))
