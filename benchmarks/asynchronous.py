"""How long a run takes beside its data: `python -m benchmarks.asynchronous --seeds 0 1 2 3 4`.

Pendulum-v1 at the pace of a real one, 20 steps in a second, by ME-TRPO one after the other (sync) and
side by side in three processes (async). For each seed and schedule: seconds of data, seconds in all
and their ratio, the number of fits and of rounds of improvement, and the return of 20 noise-free
episodes after so many steps. `--figure FILE.png` draws the time lines of the last seed, and the
returns of all.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np

from agents.imagination import asynchronous, me_trpo
from experiments.configs.asynchronous_pendulum import config, task
from experiments.configs.me_trpo_pendulum import config as one_by_one

PACE = config.pace


def main() -> None:
    """Prints a row for each seed and schedule."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--schedules", nargs="+", default=["sync", "async"])
    parser.add_argument("--pace", type=float, default=PACE, help="steps of the world in a second")
    parser.add_argument("--figure", help="FILE.png")
    asked = parser.parse_args()
    found = {
        (name, seed): row(name, seed, asked.pace)
        for seed in asked.seeds
        for name in asked.schedules
    }
    if asked.figure:
        figure(found, asked.figure, asked.pace)


def row(name: str, seed: int, pace: float) -> dict[str, Any]:
    """Returns a run's times and returns, and prints them."""
    made, rng, began = task(), np.random.default_rng(seed), time.monotonic()
    rounds = {"iterations": config.iterations, "iteration_steps": config.iteration_steps}
    aside = name == "async"
    c = replace(config, pace=pace) if aside else replace(one_by_one, pace=pace, **rounds)
    method: Any = asynchronous if aside else me_trpo
    rows = list(method.train(made, c, rng))
    wall, steps = time.monotonic() - began, rows[-1].scalars["env_steps"]
    lines = rows[-1].arrays.get("timeline", np.zeros((0, 3)))
    turns = [int((lines[:, 0] == who).sum()) for who in (1, 2)]
    returns = [(int(r.scalars["env_steps"]), round(-r.scalars["cost"])) for r in rows]
    print(
        f"{name}, seed {seed}: {steps / pace:.0f} s of data, {wall:.0f} s, ratio {wall * pace / steps:.3f}, "
        f"fits {turns[0]}, improvements {turns[1]}, returns {returns}",
        flush=True,
    )
    return {"wall": wall, "data": steps / pace, "lines": lines, "returns": returns}


def figure(found: dict[tuple[str, int], dict[str, Any]], path: str, pace: float) -> None:
    """Draws the time lines of the last asynchronous run, and the returns of all."""
    import matplotlib.pyplot as plt

    fig, (above, below) = plt.subplots(2, 1, figsize=(8, 5), layout="constrained")
    for (name, _), one in found.items():
        steps, returns = zip(*one["returns"], strict=True)
        below.plot(steps, returns, color="C0" if name == "async" else "C1")
        if name == "async":
            above.clear()
            above.barh("collect", one["data"], color="C2")
            for i, who in ((1, "fit"), (2, "improve")):
                lines = one["lines"][one["lines"][:, 0] == i]
                above.barh(
                    [who] * len(lines), lines[:, 2] - lines[:, 1], left=lines[:, 1], edgecolor="w"
                )
    above.set(xlabel="s", title=f"who works when, at {pace:g} steps of the world in a second")
    below.set(
        xlabel="steps", ylabel="return", title="side by side (blue), one after the other (orange)"
    )
    fig.savefig(path)


if __name__ == "__main__":
    main()
