"""Makes the pictures of the documentation: `python docs/make_pictures.py reacher | six | symptoms |
methods | notebooks`.

`reacher` trains the default experiment and shows its policy after the 1st, 4th, 7th and 15th
iteration on the same targets; `six` trains six experiments and shows what each has learned, or with
--runs RUNS takes the finished runs RUNS/EXPERIMENT; `symptoms` provokes each trouble of the page on
troubles; `methods` runs every experiment that a page of a method shows (for half an hour or so), or
with --runs RUNS takes the finished runs RUNS/EXPERIMENT alone; `notebooks` runs the notebooks and
keeps in them what comes out.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
SHOWN = (1, 4, 7, 15)  # iterations of the moving picture
EPISODES = 5  # of each policy
PANEL, STRIP = 212, 144  # pixels a side of what `reacher` and `six` show of one policy
LINE, GAP = 26, 4  # pixels of a line of words, and between panels
INK, PAPER = (70, 78, 90), (237, 241, 246)
SPEED, SECONDS = 20, 5.0  # pictures a second of `six`, and its length
SIX = {  # experiment -> what is said below its policy, and how many episodes are shown
    "obstacle": ("around a box", 2),
    "peg": ("a peg into a hole", 2),
    "gripper": ("carry a block", 2),
    "reacher": ("reach a target", 5),
    "pendulum": ("swing up", 1),
    "cartpole": ("swing up on a cart", 1),
}
MODELS = {  # of tasks that are equations: what they look like, and where their state x has its joints
    "pendulum": (
        """<mujoco><worldbody><geom type="plane" size="9 9 1" pos="0 0 -1.2"/>
        <geom type="cylinder" size="0.05 0.06" euler="90 0 0" rgba="0.2 0.23 0.28 1"/>
        <body><joint axis="0 -1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 -1" size="0.06" rgba="0.16 0.42 0.78 1"/>
        <site name="tip" pos="0 0 -1"/></body></worldbody></mujoco>""",
        [0],
        {"lookat": (0, 0, -0.05), "distance": 3.0, "elevation": -12, "azimuth": 90},
    ),
    "cartpole": (
        """<mujoco><worldbody><geom type="plane" size="9 9 1" pos="0 0 -0.6"/>
        <geom type="capsule" fromto="-3 0 0 3 0 0" size="0.015" rgba="0.6 0.65 0.7 1"/>
        <body><joint type="slide" axis="1 0 0"/>
        <geom type="box" size="0.13 0.08 0.06" rgba="0.2 0.23 0.28 1"/>
        <body><joint axis="0 -1 0"/>
        <geom type="capsule" fromto="0 -0.1 0 0 -0.1 -0.5" size="0.03" rgba="0.16 0.42 0.78 1"/>
        <site name="tip" pos="0 -0.1 -0.5"/></body></body></worldbody></mujoco>""",
        [0, 2],
        {"lookat": (0, 0, 0), "distance": 2.2, "elevation": -12, "azimuth": 90},
    ),
}
SYMPTOMS = {  # picture -> the words that provoke it, and the figure that shows it
    "cost_rises": (
        "point_mass --prior flat --samples 4 --kl-step 1000 --max-kl-step 1000",
        "learning",
    ),
    "bound": ("point_mass --kl-step 0.3 --max-kl-step 0.3", "divergence"),
    "imitation": (
        "badmm --task point_mass --iterations 8 --samples 5 --policy-steps 5 --hidden 2",
        "imitation",
    ),
    "model_error": ("point_mass --prior flat --samples 3 --iterations 4", "model_error"),
}


def main() -> None:
    """Makes what the words ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("reacher", "six", "symptoms", "methods", "notebooks"))
    parser.add_argument(
        "--runs", type=Path, help="folder of finished runs, named after their experiments"
    )
    asked = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    if asked.what == "reacher":
        (PICTURES / "reacher.gif").write_bytes(reacher())
    elif asked.what == "six":
        (PICTURES / "six.gif").write_bytes(six(asked.runs))
    elif asked.what == "symptoms":
        for name, (words, figure) in SYMPTOMS.items():
            copy(run(words.split()), figure, f"symptom_{name}")
    elif asked.what == "notebooks":
        for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
            fill(path)
    else:
        sys.path.insert(0, str(ROOT / "docs"))
        from site_pages import pictured

        for experiment in pictured():
            done = asked.runs / experiment if asked.runs else run([experiment])
            if (done / "result.json").exists():
                copy(done, "learning", f"method_{experiment}")


def run(words: list[str]) -> Path:
    """Runs an experiment as a person does; returns its folder."""
    folder = Path(tempfile.mkdtemp()) / "run"
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), *words, "--out", str(folder)]
    print(" ".join(command[1:]), flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def copy(folder: Path, figure: str, name: str) -> None:
    """Takes a figure of a run over."""
    shutil.copyfile(folder / "figures" / f"{figure}.png", PICTURES / f"{name}.png")
    print(f"  {name}.png", flush=True)


def fill(path: Path) -> None:
    """Runs a notebook's cells in one namespace, and writes what they print and draw below them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    book, namespace = json.loads(path.read_text()), dict[str, Any]()
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
            exec(compile("".join(cell["source"]), path.name, "exec"), namespace)
        text = printed.getvalue().splitlines(keepends=True)
        cell["execution_count"] = number
        cell["outputs"] = (
            [{"output_type": "stream", "name": "stdout", "text": text}] if text else []
        )
        for figure in map(plt.figure, plt.get_fignums()):
            picture = io.BytesIO()
            figure.savefig(picture, format="png", bbox_inches="tight", dpi=80)
            data = {
                "image/png": base64.b64encode(picture.getvalue()).decode(),
                "text/plain": ["a figure"],
            }
            cell["outputs"].append({"output_type": "display_data", "data": data, "metadata": {}})
        plt.close("all")
    path.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n")
    print(f"  {path.name}", flush=True)


def reacher() -> bytes:
    """Returns the GIF: the same episodes side by side, by the policies of several iterations, at
    half their speed.
    """
    import numpy as np

    from experiments.engine import registry
    from experiments.viewer import video

    experiment = registry.load("reacher")
    task, panels, words = experiment.task(), [], []
    for iteration in experiment.method.train(task, experiment.config, np.random.default_rng(0)):
        if iteration.number in SHOWN:
            words.append(f"{int(iteration.scalars['episodes'])} episodes")
            panels.append(list(video.frames_of(task, iteration.policy, PANEL, 1, EPISODES)))
        print(f"iteration {iteration.number}", flush=True)
    return side_by_side(panels, ["after " + words[0], *words[1:]])


def six(runs: Path | None) -> bytes:
    """Returns the GIF of six tasks, each by the policy of a run that ended well."""
    panels = []
    for experiment in SIX:
        done = runs / experiment if runs else run([experiment])
        print(json.loads((done / "result.json").read_text())["verdict"], flush=True)
        panels.append(scene(experiment, done))
    return side_by_side(panels, [words for words, _ in SIX.values()], SPEED)


def scene(experiment: str, done: Path) -> list[Any]:
    """Returns SECONDS of pictures of a run's policy in its task, in equal parts for its episodes:
    each one's beginning, or the whole and its end held.
    """
    from agents.saving import load_policy
    from experiments.engine import registry
    from experiments.viewer import video

    task, policy = registry.load(experiment).task(), load_policy(done)
    _, episodes = SIX[experiment]
    count, every = round(SECONDS * SPEED / episodes), max(1, round(1 / (SPEED * task.dt)))
    if experiment in MODELS:
        pictures = list(drawn(task, policy, *MODELS[experiment]))
    else:
        pictures = list(video.frames_of(task, policy, STRIP, every, episodes))
    length = len(pictures) // episodes
    shown = []
    for n in range(episodes):
        one = pictures[n * length : (n + 1) * length][:count]
        shown += one + one[-1:] * (count - len(one))
    return shown


def drawn(task: Any, policy: Any, xml: str, joints: list[int], view: Any) -> Iterator[Any]:
    """Yields pictures of an episode of a task that is equations, in a model that is only looked
    at.
    """
    import mujoco
    import numpy as np

    from experiments.viewer.stage import Stage, camera_of

    x = [task.reset(np.zeros(1, int), np.random.default_rng(1))[0]]
    for t in range(task.horizon):
        action = np.clip(policy.act(x[-1], t, 0), task.action_low, task.action_high)
        x.append(task.step(action[None])[0])
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    stage = Stage(model, camera_of(model, SimpleNamespace(camera=view), data), STRIP, 1 / SPEED)
    times = np.arange(0, task.horizon * task.dt, 1 / SPEED) / task.dt
    between = [np.interp(times, np.arange(len(x)), np.array(x)[:, i]) for i in joints]
    for place in np.stack(between, 1):
        data.qpos[:] = place
        mujoco.mj_forward(model, data)
        stage.see(data)
        yield stage.picture(data)


def side_by_side(panels: list[Any], words: list[str], speed: int = 25, colours: int = 64) -> bytes:
    """Returns the GIF of several episodes beside each other, each above its words."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    from experiments.viewer import video

    side, font, frames = panels[0][0].shape[0], ImageFont.load_default(13), []
    blank = Image.new("RGB", (len(panels) * (side + GAP) - GAP, side + LINE), PAPER)
    draw = ImageDraw.Draw(blank)
    for i, text in enumerate(words):
        place = (i * (side + GAP) + side / 2, side + LINE / 2)
        draw.text(place, text, fill=INK, font=font, anchor="mm")
    for row in zip(*panels, strict=True):
        whole = blank.copy()
        for i, frame in enumerate(row):
            whole.paste(Image.fromarray(frame), (i * (side + GAP), 0))
        frames.append(np.asarray(whole))
    return video.gif(frames, colours, speed)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported
    from experiments.run import prepare

    prepare()
    main()
