"""What a policy makes of a model's errors: `python -m benchmarks.members --members 1 3 5 10 --seeds 0 1 2`.

A few random steps of Pendulum-v1, an ensemble fitted to them once, and then trust-region steps on
what it imagines and nothing else, as in one round of ME-TRPO that nobody stops. Every ten steps: the
mean cost of episodes of 50 steps from the same states in the members, and in the world; and after how
many the members would have stopped the round. `--figure FILE.png` draws both.
"""

import argparse
import time
from typing import Any

import numpy as np

from agents.imagination import me_trpo
from agents.imagination.steps.environment_model import EnvironmentModel
from agents.imagination.steps.imagined_episodes import imagined_episodes, member_costs
from agents.imagination.steps.on_policy import OnPolicy, starts_of, with_units_of
from agents.imagination.steps.workers import rows_of
from experiments.configs.me_trpo_pendulum import task

EVERY, STARTS = 10, 100  # updates between two looks, states that both begin in


def main() -> None:
    """Prints a row for each seed and number of members."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, nargs="+", default=[1, 3, 5, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=200, help="of random actions")
    parser.add_argument("--updates", type=int, default=80)
    parser.add_argument("--figure", help="FILE.png")
    asked = parser.parse_args()
    found = {}
    for seed in asked.seeds:
        for members in asked.members:
            start = time.process_time()
            found[members, seed] = row(seed, members, asked.steps, asked.updates)
            imagined, real, stop = found[members, seed]
            print(
                f"seed {seed}, {members} members: imagined {np.round(imagined)}, real {np.round(real)}, "
                f"stop at {stop}; {time.process_time() - start:.0f} CPU s",
                flush=True,
            )
    if asked.figure:
        figure(found, asked.figure)


def row(seed: int, members: int, steps: int, updates: int) -> tuple[Any, Any, int]:
    """Returns the costs in the members and in the world at each look, and where a round ends."""
    c = me_trpo.Config(members=members, warm_up=steps, iteration_steps=steps)
    run = OnPolicy(task(), c, np.random.default_rng(seed), None)
    run.collect()
    first = rows_of(run.buffer, run.buffer.total)["rows"]
    run.buffer.load_state({})
    run.buffer.add(**{name: part[:steps] for name, part in first.items()})
    run.fit()
    world = EnvironmentModel(run.task, me_trpo.Config(model="simulator"))
    policy, update = with_units_of(run.policy, run.buffer), me_trpo.update_of(c)
    fixed = starts_of(run.buffer, c, STARTS, run.rng)
    imagined, real, kept, stop = [], [], None, updates
    for number in range(updates + 1):
        if number % EVERY == 0:
            said = member_costs(run.env_model, policy, fixed, c.imagined_steps, seed)
            stopped = kept is not None and (said < kept).mean() < c.agreement
            stop = min(stop, number) if stopped else stop
            kept = said
            imagined.append(said.mean())
            real.append(member_costs(world, policy, fixed, c.imagined_steps, seed).mean())
        x0 = starts_of(run.buffer, c, c.imagined, run.rng)
        episodes = imagined_episodes(run.env_model, policy, x0, c.imagined_steps, run.rng)
        policy = update(policy, episodes, run.rng)
    return np.array(imagined), np.array(real), stop


def figure(found: dict[tuple[int, int], tuple[Any, Any, int]], path: str) -> None:
    """Draws imagined and real costs over the updates, a panel for each number of members."""
    import matplotlib.pyplot as plt

    counts = sorted({members for members, _ in found})
    fig, axes = plt.subplots(
        1, len(counts), figsize=(3 * len(counts), 3), sharey=True, layout="constrained"
    )
    for ax, count in zip(np.atleast_1d(axes), counts, strict=True):
        for (members, _), (imagined, real, _) in found.items():
            if members == count:
                at = EVERY * np.arange(len(real))
                ax.plot(at, -imagined, "C0", label="imagined")
                ax.plot(at, -real, "C1", label="real")
        ax.set(title=f"{count} members", xlabel="updates")
    np.atleast_1d(axes)[0].set(ylabel="return of 50 steps")
    handles = np.atleast_1d(axes)[0].get_legend_handles_labels()[0][:2]
    np.atleast_1d(axes)[0].legend(handles, ["imagined", "real"])
    fig.savefig(path)


if __name__ == "__main__":
    main()
