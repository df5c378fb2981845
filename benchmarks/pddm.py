"""PDDM's table of choices, each by itself: size of the model and of the ensemble, horizon, planner.

    python -m benchmarks.pddm --task pets_cartpole --seeds 0 1 2 --out runs/pddm_ablations

One setting is changed at a time, as by Nagabandi, Konolige, Levine & Kumar (2019). Each run leaves
a file of its returns in the folder, and a run that has one is not run again. Prints the table of
what is there, and draws it.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.mpc.pddm import Config
from agents.mpc.steps.loop import train_mpc
from agents.planners import CEM, RandomShooting
from agents.tasks import make_task
from dynamics.storage.files import make_folder, write_file

BASE: dict[str, Any] = {"planner": "PDDM"}
CHOICES: dict[
    str, list[tuple[str, dict[str, Any]]]
] = {  # question -> its answers; an empty one is BASE
    "model": [("16 16", {"hidden": (16, 16)}), ("64 64", {}), ("200 200", {"hidden": (200, 200)})],
    "ensemble": [("1", {"members": 1}), ("3", {"members": 3, "particles": 6}), ("5", {})],
    "horizon": [
        ("5", {"horizon": 5}),
        ("12", {"horizon": 12}),
        ("25", {}),
        ("40", {"horizon": 40}),
    ],
    "planner": [("shooting", {"planner": "shooting"}), ("CEM", {"planner": "CEM"}), ("PDDM", {})],
}


def planner(word: str, c: Any) -> Any:
    """Returns a planner that evaluates as many sequences as PDDM's does."""
    own = c.planner
    if word == "shooting":
        return RandomShooting(own.samples * own.iterations)
    if word == "CEM":
        return CEM(own.samples, max(own.samples // 10, 2), own.iterations)
    return own


def main() -> None:
    """Runs what is missing; prints and draws what is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="pets_cartpole")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--iterations", type=int, default=5, help="episodes, the first of random actions"
    )
    parser.add_argument("--only", choices=list(CHOICES), nargs="+", default=list(CHOICES))
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    make_folder(asked.out)
    for question in [] if asked.table else asked.only:
        for answer, change in CHOICES[question]:
            for seed in asked.seeds:
                found = once(asked, change, seed)
                print(
                    f"{question} {answer}, seed {seed}: {', '.join(f'{r:.1f}' for r in found)}",
                    flush=True,
                )
    table(asked)
    draw(asked)


def place(asked: argparse.Namespace, change: Mapping[str, Any], seed: int) -> Path:
    """Returns the file of a run; answers that are the same share it."""
    words = [
        f"{name}-{'x'.join(map(str, np.ravel(value)))}" for name, value in sorted(change.items())
    ] or ["base"]
    return Path(asked.out / f"{asked.task}_{asked.iterations}_{'_'.join(words)}_{seed}.json")


def once(asked: argparse.Namespace, change: Mapping[str, Any], seed: int) -> list[float]:
    """Returns the return of each episode, run now if it was not before."""
    path = place(asked, change, seed)
    if path.exists():
        return list(json.loads(path.read_text())["returns"])
    words = {**BASE, **change}
    word = words.pop("planner")
    c = replace(Config(iterations=asked.iterations), **words)
    c = replace(c, planner=planner(word, c))
    rng = np.random.default_rng(seed)
    rows = list(train_mpc(make_task(asked.task), c, rng, None))
    returns = [row.scalars.get("return", -row.scalars["cost"]) for row in rows]
    about = {
        "returns": returns,
        "model_calls": rows[-1].scalars["model_calls"],
        "config": asdict(c),
        "planner": word,
    }
    write_file(path, json.dumps(about, indent=1).encode())
    return returns


def gathered(asked: argparse.Namespace, change: Mapping[str, Any]) -> tuple[list[float], float]:
    """Returns the mean return of the episodes after the first, by seed, and the model calls per
    step.
    """
    files = [path for seed in asked.seeds if (path := place(asked, change, seed)).exists()]
    found = [json.loads(path.read_text()) for path in files]
    return [float(np.mean(f["returns"][1:])) for f in found], float(
        found[0]["model_calls"]
    ) if found else np.nan


def table(asked: argparse.Namespace) -> None:
    """Prints a row for each answer."""
    seeds = ", ".join(map(str, asked.seeds))
    print(f"\n{asked.task}: mean return of episodes 2 to {asked.iterations}, by seed ({seeds})\n")
    print("| | | by seed | mean | model calls per step |\n|---|---|---|---|---|")
    for question, answers in CHOICES.items():
        for answer, change in answers:
            means, calls = gathered(asked, change)
            if means:
                shown = ", ".join(f"{m:.1f}" for m in means)
                print(f"| {question} | {answer} | {shown} | {np.mean(means):.1f} | {calls:.0f} |")


def draw(asked: argparse.Namespace) -> None:
    """Writes a panel for each question."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from experiments.reports.style import BLUE, ORANGE, STYLE

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(2, 2, figsize=(6.4, 5.2), sharey=True)
        for axis, (question, answers) in zip(axes.ravel(), CHOICES.items(), strict=True):
            for i, (_, change) in enumerate(answers):
                means, _ = gathered(asked, change)
                axis.plot(
                    [i] * len(means),
                    means,
                    "o",
                    ms=5,
                    alpha=0.7,
                    color=ORANGE if not change else BLUE,
                )
                if means:
                    axis.plot(
                        [i - 0.2, i + 0.2],
                        [np.mean(means)] * 2,
                        color=ORANGE if not change else BLUE,
                        lw=2,
                    )
            axis.set_xticks(range(len(answers)), [answer for answer, _ in answers])
            axis.set_title(question, loc="left", fontsize=10)
        figure.suptitle(
            f"{asked.task}: mean return of episodes 2 to {asked.iterations}", x=0.01, ha="left"
        )
        figure.tight_layout()
        figure.savefig(asked.out / "ablations.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
