"""Makes a program of a run's policy, to be used without this library: `python experiments/export.py
RUN`.

Writes policy_program.pt, which torch.jit.load reads, or with --format onnx policy_program.onnx,
into the run's folder; --out says another place. See `agents.policies.export`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def write(words: Sequence[str]) -> int:
    """Exports the policy that the words name; returns the exit code."""
    found = argparse.ArgumentParser(
        prog="python experiments/export.py",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    found.add_argument("run", type=Path, help="the folder of a run, or its policy's")
    found.add_argument(
        "--format", default="torchscript", help="torchscript or onnx (default torchscript)"
    )
    found.add_argument(
        "--out", type=Path, help="the file (default: policy_program.pt or .onnx in the folder)"
    )
    found.add_argument("--debug", action="store_true", help="show the traceback of an error")
    asked = found.parse_args(words)
    from agents import load_policy
    from agents.policies.export import export

    print(export(load_policy(asked.run), asked.out or asked.run / "policy_program", asked.format))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from experiments.run import prepare

    prepare()
    from experiments.engine.main import main

    sys.exit(main(sys.argv[1:], write))
