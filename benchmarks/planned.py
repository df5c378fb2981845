"""Learning curves of planning experiments: `python -m benchmarks.planned pets_pendulum --seeds 0 1
2 3 4`.

For each seed the return of every round's episodes, and of them the mean after the first round, the
best so far, the mean of the last twenty, and after how many steps the mean of `--window` rounds
reached a `--level`. Settings may be overridden as for run.py: `--set fit_every=0
planner_samples=100`; `--method` takes another method's page, with the settings that it shares.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from agents.interfaces import Iteration
from experiments.engine.flat import flat, rebuilt, with_parts


def main() -> None:
    """Runs the seeds one after the other, and prints a row as each ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--method", help="another page of agents/")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--level", type=float, help="return")
    parser.add_argument("--stop", type=float, help="return at which a seed is not continued")
    parser.add_argument("--window", type=int, default=1, help="rounds")
    asked = parser.parse_args()
    experiment = import_module(f"experiments.configs.{asked.experiment}")
    method, config = chosen(
        experiment, asked.method, dict(pair.split("=", 1) for pair in asked.set)
    )
    firsts = []
    for seed in asked.seeds:
        start = time.process_time()
        rows = until(
            method.train(experiment.task(), config, np.random.default_rng(seed)), asked.stop
        )
        firsts.append(report(seed, rows, asked.level, asked.window))
        print(
            f"  {time.process_time() - start:.0f} CPU s, {calls(rows):.0f} model calls per step",
            flush=True,
        )
    print(
        f"mean over {len(firsts)} seeds of the means after the first round: {np.mean(firsts):.1f}"
    )


def until(rounds: Iterator[Iteration], level: float | None) -> list[Iteration]:
    """Returns the rounds, none after the first whose return is at the level."""
    rows = []
    for row in rounds:
        rows.append(row)
        if level is not None and value_of(row) >= level:
            break
    return rows


def value_of(row: Iteration) -> float:
    """Returns a round's return, or its cost, negated."""
    return row.scalars.get("return", -row.scalars["cost"])


def chosen(experiment: Any, method: str | None, words: dict[str, str]) -> tuple[Any, Any]:
    """Returns the method's module, and its settings: those of the experiment that it has, and those
    in words.
    """
    page, config = experiment.method, experiment.config
    if method:
        page = import_module(f"agents.mpc.{method}")
        known = {field.name: field.default for field in dataclasses.fields(config)}
        own = {field.name for field in dataclasses.fields(page.Config)}
        changed = {
            k: getattr(config, k) for k in known if k in own and getattr(config, k) != known[k]
        }
        config = page.Config(**changed)
    config = with_parts(config, words)
    values = flat(config)
    return page, rebuilt(config, values | {k: value(v, values[k]) for k, v in words.items()})


def value(word: str, like: Any) -> Any:
    """Returns the value that a word means, of the type of another one."""
    if isinstance(like, bool):
        return {"True": True, "False": False, "1": True, "0": False}[word]
    if isinstance(like, tuple):
        return tuple(int(part) for part in word.split(","))
    return type(like)(word)


def report(seed: int, rows: list[Iteration], level: float | None, window: int) -> float:
    """Prints what one seed came to; returns the mean after the first round, where there are
    more.
    """
    value = np.array([value_of(row) for row in rows])
    steps = np.array([row.scalars["env_steps"] for row in rows])
    best, later = np.maximum.accumulate(value), value[1:] if len(value) > 1 else value
    print(f"seed {seed}: {', '.join(f'{v:.1f}' for v in value)}")
    text = f"  mean after the first {later.mean():.1f}, of the last twenty {value[-20:].mean():.1f}"
    marks = sorted(
        {int(len(rows) * share) - 1 for share in (0.4, 0.6, 0.8, 1.0)} & set(range(len(rows)))
    )
    text += "; best so far " + ", ".join(f"{best[i]:.1f} at {steps[i]:.0f}" for i in marks)
    if level is not None:
        reached = np.convolve(value, np.full(window, 1 / window), "valid") >= level
        after = f"after {steps[window - 1 :][np.argmax(reached)]:.0f}" if reached.any() else "never"
        text += f"; {level:g} as the mean of {window} {after}"
    print(text + " steps", flush=True)
    return float(later.mean())


def calls(rows: list[Iteration]) -> float:
    """Returns the model calls per environment step of the last round."""
    return rows[-1].scalars["model_calls"]


if __name__ == "__main__":
    main()
