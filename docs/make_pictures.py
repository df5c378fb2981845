"""Makes the pictures of the documentation: `python docs/make_pictures.py reacher | symptoms |
methods | notebooks`.

`reacher` trains the default experiment and shows its policy after the 1st, 4th, 7th and 15th
iteration on the same targets; `symptoms` provokes each trouble of the page on troubles; `methods`
runs every experiment that a page of a method shows (for half an hour or so), or with --runs RUNS
takes the finished runs RUNS/EXPERIMENT alone; `notebooks` runs the notebooks and keeps in them what
comes out.
"""

import argparse
import base64
import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
SHOWN = (1, 4, 7, 15)  # iterations of the moving picture
PANEL = 200  # pixels
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
    parser.add_argument("what", choices=("reacher", "symptoms", "methods", "notebooks"))
    parser.add_argument(
        "--runs", type=Path, help="folder of finished runs, named after their experiments"
    )
    asked = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    if asked.what == "reacher":
        (PICTURES / "reacher.gif").write_bytes(reacher())
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
    """Returns the GIF: the same episodes side by side, by the policies of several iterations."""
    import numpy as np
    from PIL import Image, ImageDraw

    from experiments.engine import registry
    from experiments.viewer import video

    experiment = registry.load("reacher")
    task, panels, trials = experiment.task(), [], {}
    for iteration in experiment.method.train(task, experiment.config, np.random.default_rng(0)):
        if iteration.number in SHOWN:
            trials[iteration.number] = int(iteration.scalars["rollouts"])
            panels.append(list(video._frames(task, iteration.policy)))
        print(f"iteration {iteration.number}", flush=True)
    frames = []
    for row in zip(*panels, strict=True):
        whole = Image.new("RGB", (PANEL * len(row), PANEL + 18), "white")
        draw = ImageDraw.Draw(whole)
        for i, (frame, count) in enumerate(zip(row, trials.values(), strict=True)):
            whole.paste(
                Image.fromarray(frame).resize((PANEL, PANEL), Image.Resampling.LANCZOS),
                (i * PANEL, 18),
            )
            draw.text((i * PANEL + 6, 3), f"after {count} trials", fill="black")
        frames.append(np.asarray(whole))
    return video._gif(frames)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from experiments.launcher import prepare

    prepare()
    main()
