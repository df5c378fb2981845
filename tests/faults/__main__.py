"""The long versions of the tests in this folder: `python -m tests.faults kill --count 200`."""

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMANDS = ("kill", "processes", "disk", "fuzz", "power", "numeric", "golden")

if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parents[1])]
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python -m tests.faults {{{','.join(COMMANDS)}}} [--help]")
    sys.exit(import_module(sys.argv[1]).main(sys.argv[2:]))
