"""A small picture of each task at the start of an episode: `python
experiments/reports/task_pictures.py --out docs/tasks`.

Those of MuJoCo are rendered, as `experiments/viewer/video.py` does it; the others have no picture.
"""

import io
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported

import numpy as np

from agents.tasks import TASKS, make_task
from agents.tasks.capabilities import Camera, capability
from dynamics.storage.files import make_folder, write_file
from experiments.engine.parser import Parser
from experiments.viewer.video import camera_of
from lqr import InputError

SIZE, SMOOTH = 160, 2  # pixels of a side, and how many times more are drawn


def picture(name: str) -> bytes:
    """Returns a task's first condition at its start, as PNG."""
    import mujoco
    from PIL import Image

    task = make_task(name)
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    model, side = task.model, SIZE * SMOOTH
    model.vis.quality.shadowsize = 0
    model.vis.global_.offwidth = model.vis.global_.offheight = side
    data, camera = task.data(0), camera_of(mujoco, model, task)
    if capability(task, Camera) is None:
        frame(camera, model, data)
    renderer = mujoco.Renderer(model, side, side)
    renderer.update_scene(data, camera)
    seen = renderer.render().reshape(SIZE, SMOOTH, SIZE, SMOOTH, 3).mean((1, 3)).astype(np.uint8)
    renderer.close()
    content = io.BytesIO()
    Image.fromarray(seen).quantize(64).save(content, "PNG", optimize=True)
    return content.getvalue()


def frame(camera: Any, model: Any, data: Any) -> None:
    """Points the camera at all that can move."""
    moving = model.geom_bodyid > 0
    reach = model.geom_rbound[moving, None]
    low, high = (data.geom_xpos[moving] - reach).min(0), (data.geom_xpos[moving] + reach).max(0)
    camera.lookat[:], camera.distance = (low + high) / 2, 1.1 * np.linalg.norm(high - low)


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
