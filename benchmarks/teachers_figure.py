"""Guided policy search beside divide and conquer: how far the teachers are from the policy that is
distilled from them, iteration by iteration.

    python -m benchmarks.teachers_figure docs/pictures/teachers_kl.png
"""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.storage.files import write_file
from experiments.configs import reacher_dnc, reacher_four
from experiments.reports.style import BLUE, ORANGE, STYLE


def rows(module: Any, column: str, **more: Any) -> np.ndarray:
    """Returns a column of an experiment with seed 0, (iterations,)."""
    config = replace(module.config, **more)
    found = module.method.train(module.task(), config, np.random.default_rng(0))
    return np.array([row.scalars[column] for row in found])


def main(path: str) -> None:
    """Draws the figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    horizon = reacher_four.task.horizon
    guided = rows(reacher_four, "policy_kl") / horizon
    divided = rows(reacher_dnc, "apart", iterations=40, evaluate_every=0)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
        axes[0].plot(np.arange(1, len(guided) + 1), guided, "o-", ms=3, color=BLUE)
        axes[0].set_yscale("log")
        axes[0].set_title("badmm: KL(controller || policy)", loc="left", fontsize=10)
        axes[1].plot(np.arange(1, len(divided) + 1), divided, "o-", ms=3, color=ORANGE)
        axes[1].set_title("dnc: KL between two parts' policies", loc="left", fontsize=10)
        for axis in axes:
            axis.set(xlabel="iteration", ylabel="nats per step")
        picture = io.BytesIO()
        figure.savefig(picture, format="png", bbox_inches="tight")
    write_file(Path(path), picture.getvalue())


if __name__ == "__main__":
    main(sys.argv[1])
