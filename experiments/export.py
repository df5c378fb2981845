"""Makes a program of a run's policy, to be used without this library: `python experiments/export.py
RUN`.

Writes policy_program.pt2, which torch.export.load reads, or with --format onnx policy_program.onnx,
into the run's folder; --out says another place. See `agents.policies.export`.
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str]) -> int:
    """Exports the policy that the words name; returns the exit code."""
    from agents import load_policy
    from agents.policies.export import export
    from experiments.engine.parser import Parser

    parser = Parser("python experiments/export.py", __doc__)
    parser.add_argument("run", type=Path, help="the folder of a run, or its policy's")
    parser.add_argument("--format", default="torch", help="torch or onnx (default torch)")
    parser.add_argument(
        "--out", type=Path, help="the file (default: policy_program.pt2 or .onnx in the folder)"
    )
    asked = parser.parse_args(words)
    print(export(load_policy(asked.run), asked.out or asked.run / "policy_program", asked.format))
    return 0


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
