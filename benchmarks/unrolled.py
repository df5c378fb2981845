"""What training on several steps ahead does to the error over the horizon: `python -m
benchmarks.unrolled TASK`.

A network learns from episodes of random actions, with a loss that looks 1, 5 and 15 steps ahead,
and is asked about episodes that it has not seen. Prints a table of the errors, mean and spread of
the seeds; `--out` draws them.
"""

import argparse
from pathlib import Path

import numpy as np

from agents.mpc.steps.loop import run_episodes
from agents.tasks import make_task
from dynamics import MODELS, open_loop_error

AHEAD = 50
SHOWN = (1, 5, 10, 25, 50)


def main() -> None:
    """Prints the table, and draws the figure where a file is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task")
    parser.add_argument("--model", default="nn", choices=("nn", "ensemble"))
    parser.add_argument(
        "--unroll", type=int, nargs="+", default=[1, 5, 15], help="steps ahead of the loss"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--episodes", type=int, default=5, help="that are learned from; as many are held out"
    )
    parser.add_argument("--hold", type=int, default=5, help="steps that a random action is held")
    parser.add_argument(
        "--noise", type=float, default=0.0, help="of measurement in training, share of the spread"
    )
    parser.add_argument("--out", type=Path, help="PNG file of the figure")
    asked = parser.parse_args()
    found, still = {}, np.zeros(AHEAD)
    for unroll in asked.unroll:
        both = [errors(asked, unroll, seed) for seed in range(asked.seeds)]
        found[unroll], still = np.array([b[0] for b in both]), np.mean([b[1] for b in both], 0)
        print(f"loss {unroll} steps ahead, seeds 0 to {asked.seeds - 1}: error at {AHEAD} steps "
              f"{', '.join(f'{e[-1]:.3f}' for e in found[unroll])}", flush=True)  # fmt: skip
    print(f"\n{asked.task}, {asked.model}, noise {asked.noise:g}: error in units of the states' spread, mean and "
          "spread of the seeds\n")  # fmt: skip
    print("| loss looks ahead | " + " | ".join(f"{k} steps" for k in SHOWN) + " |")
    print("|---" * (1 + len(SHOWN)) + "|")
    for unroll, e in found.items():
        cells = [f"{e[:, k - 1].mean():.3f} +- {e[:, k - 1].std():.3f}" for k in SHOWN]
        print(f"| {unroll} | " + " | ".join(cells) + " |")
    print("| nothing changes | " + " | ".join(f"{still[k - 1]:.3f}" for k in SHOWN) + " |")
    if asked.out:
        draw(asked.out, f"{asked.task}, noise {asked.noise:g}", found, still)


def errors(asked: argparse.Namespace, unroll: int, seed: int) -> np.ndarray:
    """Returns the errors of the model and of "nothing changes" up to AHEAD steps, (2, AHEAD)."""
    task, rng = make_task(asked.task), np.random.default_rng(seed)
    seen, unseen = (run_episodes(task, None, asked.episodes, rng, asked.hold) for _ in range(2))
    x = seen.x + asked.noise * seen.x.std((0, 1)) * rng.standard_normal(seen.x.shape)
    model = MODELS[asked.model](unroll=unroll)
    model.fit(*seen._replace(x=x).transitions, np.random.default_rng(seed))
    return open_loop_error(
        lambda x, u: model.predict(x, u).mean, unseen.x, unseen.u, AHEAD, unseen.length
    )


def draw(path: Path, task: str, found: dict[int, np.ndarray], still: np.ndarray) -> None:
    """Writes the figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, ScalarFormatter

    from experiments.reports.style import GREY, STYLE

    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 3.6))
        ahead = np.arange(1, AHEAD + 1)
        for unroll, e in found.items():
            (line,) = axis.plot(
                ahead, e.mean(0), label=f"loss {unroll} step{'s' * (unroll > 1)} ahead"
            )
            axis.fill_between(ahead, e.min(0), e.max(0), alpha=0.15, lw=0, color=line.get_color())
        axis.plot(ahead, still, "--", color=GREY, label="nothing changes")
        axis.set(xlabel="steps ahead", ylabel="error, share of the spread", yscale="log")
        axis.set_title(f"{task}: open-loop error", loc="left")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter("")
        axis.legend(fontsize=8)
        figure.savefig(path, bbox_inches="tight")


if __name__ == "__main__":
    main()
