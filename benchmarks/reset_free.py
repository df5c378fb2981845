"""How near a reset-free policy ends to targets that it never saw: `python -m benchmarks.reset_free
RUN [RUN ...]`.

Ten targets and starts are drawn once by Reacher-v5's own distribution; training draws from other
generators. Prints the final distance of the fingertip to each (mm), and their mean.
"""

import argparse

import numpy as np

from agents import load_policy
from agents.rollout import rollout
from agents.tasks.mujoco.reacher import Reacher

TARGETS, LAYOUT = 10, 30_000


def distances(policy: object) -> np.ndarray:
    """Returns the final distances (m) of the policy's mean actions to the test targets, (10,)."""
    task = Reacher(TARGETS, layout_seed=LAYOUT)
    shown = rollout(task, policy, np.arange(TARGETS), 1, np.random.default_rng(LAYOUT), noise=0.0)  # type: ignore[arg-type]
    return task.metrics(shown.x, shown.u)["distance"]


def main() -> None:
    """Prints a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="folders of runs of reacher_reset_free")
    means = []
    for path in parser.parse_args().runs:
        found = distances(load_policy(path))
        means.append(found.mean())
        print(
            f"{path}: {' '.join(f'{1000 * d:.1f}' for d in found)} mm; mean {1000 * found.mean():.1f} mm",
            flush=True,
        )
    print(
        f"mean of {len(means)} runs {1000 * np.mean(means):.1f} mm, worst {1000 * np.max(means):.1f} mm"
    )


if __name__ == "__main__":
    main()
