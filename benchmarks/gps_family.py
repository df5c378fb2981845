"""Learning curves of the guided-policy-search methods: `python -m benchmarks.gps_family [--seeds 5]
[--jobs 2]`.

Runs each experiment of the table below over the seeds (a run that is there already goes on, or
stays where it is finished), draws the cost over the episodes, median and range of the seeds, and
prints the last figures. `--only` names some of the experiments, `--draw` takes the runs as they
are.
"""

import argparse
import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynamics.storage.files import make_folder, write_file
from experiments.engine import tables
from experiments.engine.signals import Stop
from experiments.reports.style import BLUE, GREY, ORANGE, STYLE
from experiments.sweeps.seeds import RUN, sweep

Array = np.ndarray
# The numerics of the Berkeley implementation of 2017, ported and measured elsewhere: mean of three
# seeds at 20, 40, ... 200 episodes; and the best of eight starts of iLQR on the true simulator there,
# a local optimum.
LOCAL = (10.15, 7.66, 5.75, 4.48, 4.05, 3.31, 3.11, 2.71, 2.59, 2.44)
ON_POLICY = (10.0, 13.5, 28.5, 9.3, 62.0, 60.8, 6.5, 9.2, 4.2, 4.19)
OFF_POLICY = (10.0, 47.6, 36.1, 37.1, 31.3, 5.6, 5.2, 4.4, 4.0, 3.48)
LIMIT = 2.145


class Panel(NamedTuple):
    """One experiment, and what its curve is held against."""

    title: str
    column: str = "policy_cost"  # of metrics.csv
    reference: tuple[float, ...] = ()
    limit: float | None = None
    log: bool = False
    label: str = "cost of an episode"


def panels() -> dict[str, Panel]:
    """Returns the experiments that are drawn, by name."""
    from agents.tasks.classic.point_mass import PointMass

    four = {"limit": LIMIT, "log": True}
    return {
        "reacher_four_local": Panel("lqr_flm, four targets", "cost", LOCAL, **four),
        "reacher_four": Panel("badmm, four targets", reference=ON_POLICY, **four),
        "reacher_four_mdgps": Panel("mdgps on-policy, 4 targets", reference=ON_POLICY, **four),
        "reacher_four_mdgps_off": Panel(
            "mdgps off-policy, 4 targets", reference=OFF_POLICY, **four
        ),
        "point_mass": Panel(
            "lqr_flm, point mass", "cost", limit=float(PointMass().optimum().mean()), log=True
        ),
        "reacher_reset_free": Panel(
            "reset_free, reacher", "policy_distance", log=True, label="final distance (m)"
        ),
        "disc_pi2": Panel("pi2, disc", "cost"),
        "disc_pilqr": Panel("pilqr, disc", "cost"),
        "disc_pigps": Panel("pigps, disc"),
        "disc_pilqr_gps": Panel("pilqr_gps, disc"),
    }


def learn(names: list[str], seeds: int, jobs: int, out: Path) -> None:
    """Runs what is missing of these experiments."""
    with Stop() as stop:
        for name in names:
            if not stop.asked:
                print(f"{name}, seeds 0 to {seeds - 1} ...", flush=True)
                make_folder(out / name)
                sweep([sys.executable, str(RUN), name], range(seeds), out / name, jobs, stop)


def curves(folder: Path, column: str) -> tuple[Array, dict[int, Array]]:
    """Returns the episodes (I,), and a column (I,) of each seed that has got as far as any."""
    found = {
        int(path.parent.name[5:]): tables.read(path) for path in folder.glob("seed_*/metrics.csv")
    }
    length = max(map(len, found.values()), default=0)
    kept = {seed: rows for seed, rows in sorted(found.items()) if length and len(rows) == length}
    episodes = [row["episodes"] for row in next(iter(kept.values()))] if kept else []
    return np.array(episodes), {
        seed: np.array([row[column] for row in rows]) for seed, rows in kept.items()
    }


def draw(shown: dict[str, Panel], out: Path) -> bytes:
    """Returns the figure as PNG; an experiment without runs has an empty panel."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(2.9 * columns, 2.3 * rows), squeeze=False
        )
        for axis, (name, panel) in zip(axes.flat, shown.items(), strict=False):
            _panel(axis, panel, *curves(out / name, panel.column))
        for axis in axes.flat[len(shown) :]:
            axis.set_axis_off()
        figure.tight_layout()
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=80)
        plt.close(figure)
    return picture.getvalue()


def _panel(axis: Any, panel: Panel, episodes: Array, seeds: dict[int, Array]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axis.set_title(panel.title, loc="left")
    axis.set(xlabel="episodes", ylabel=panel.label)
    if seeds:
        costs = np.stack(list(seeds.values()))
        axis.fill_between(episodes, costs.min(0), costs.max(0), color=BLUE, alpha=0.18, lw=0)
        axis.plot(episodes, np.median(costs, 0), color=BLUE, lw=1.4)
    if panel.reference:
        axis.plot(
            20 * np.arange(1, 1 + len(panel.reference)), panel.reference, "--", color=ORANGE, lw=1.2
        )
    if panel.limit is not None:
        axis.axhline(panel.limit, color=GREY, lw=1, ls=":")
    if panel.log:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(NullFormatter())


def main() -> None:
    """Runs, draws, and prints a line for each experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", metavar="EXPERIMENT", choices=list(panels()), help="default: all"
    )
    parser.add_argument("--seeds", type=int, default=5, help="from 0 on")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/gps_family"), help="folder of the runs"
    )
    parser.add_argument("--figure", type=Path, help="default: methods.png in that folder")
    parser.add_argument("--draw", action="store_true", help="run nothing")
    words = parser.parse_args()
    shown = {name: panel for name, panel in panels().items() if name in (words.only or panels())}
    make_folder(words.out)
    if not words.draw:
        learn(list(shown), words.seeds, words.jobs, words.out)
    for name, panel in shown.items():
        episodes, costs = curves(words.out / name, panel.column)
        if costs:
            ends = [costs[seed][-1] for seed in costs]
            each = ", ".join(f"{seed}: {end:.4g}" for seed, end in zip(costs, ends, strict=True))
            print(
                f"{name}: {panel.column} after {episodes[-1]:.0f} episodes {each}; mean {np.mean(ends):.4g}"
            )
    path = words.figure or words.out / "methods.png"
    write_file(path, draw(shown, words.out))
    print(f"figure {path}")


if __name__ == "__main__":
    main()
