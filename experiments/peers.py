"""Stable-Baselines3's SAC and PPO in an environment of Gymnasium, run here and evaluated as our
policies are.

    python experiments/peers.py SAC Reacher-v5 --steps 100000 --seed 0 --out FOLDER

Settings are the library's defaults. After every `--every` steps the mean action is tried in the
fresh episodes in which our policies are evaluated. A run that was stopped starts again; one that is
finished stays. Needs the extra `peers`:
pip install -c constraints.txt -e ".[peers]".
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str]) -> int:
    """Trains what the words ask for, once; returns 0."""
    from experiments.benchmarking.any_task import peers as any_task
    from experiments.benchmarking.peers import ALGORITHMS, run
    from experiments.engine.parser import Parser

    parser = Parser("python experiments/peers.py", __doc__)
    parser.add_argument("algorithm", choices=ALGORITHMS)
    parser.add_argument("env_id", help=f"or {any_task.PREFIX}ROW, a row of the suite any_task")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=2_500, help="steps between two evaluations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(words)
    if asked.env_id.startswith(any_task.PREFIX):  # evaluated at the end alone, as the suite does
        return any_task.run(asked.algorithm, asked.env_id, asked.steps, asked.seed, asked.out)
    return run(asked.algorithm, asked.env_id, asked.steps, asked.seed, asked.every, asked.out)


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
