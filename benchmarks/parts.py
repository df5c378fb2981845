"""Benchmarks of several parts: each seed is printed as it is done, then what all came to."""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Part = Callable[[int], Iterator[tuple[str, Any]]]  # a seed -> names and numbers, or arrays of them


def run_parts(name: str, about: str | None, parts: Mapping[str, Part]) -> None:
    """Runs the parts that the command line names, all without a name, with the seeds that it says."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    for part in asked.parts or parts:
        table: dict[str, list[Any]] = {}
        for seed in range(asked.first, asked.first + asked.seeds):
            begun = time.process_time()
            for row, value in parts[part](seed):
                table.setdefault(row, []).append(value)
                print(f"{part} seed {seed} {row}: {shown(value)}", flush=True)
            print(f"{part} seed {seed}: {time.process_time() - begun:.0f} CPU s", flush=True)
        for row, values in table.items():
            each, mean = ", ".join(map(shown, values)), shown(np.mean(values, 0))
            print(f"{part} | {row} | {mean} | {each}", flush=True)


def shown(value: Any) -> str:
    """Returns a number, or several, to four digits."""
    return " ".join(f"{v:.4g}" for v in np.atleast_1d(value))
