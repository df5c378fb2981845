"""All prior global models side by side: what they make of recorded episodes, and what is learned with
each of them.
"""

import csv
import dataclasses
import io
import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynamics import PRIORS
from dynamics.storage.files import make_folder, read_file, read_json, write_file
from lqr import CheckpointError, InputError

from ..engine import provenance, registry, tables
from ..engine.saved_files import RESULT
from ..engine.signals import Stop
from ..sweeps.seeds import RUN, sweep

LEARNED, MODELS, FIGURE, PLAN = "learning.csv", "models.csv", "priors.png", "plan.json"
PAGE = "report.html"
MARKS = (100, 200)  # episodes at which the table says what was learned


class Plan(NamedTuple):
    """What is compared; it is saved, and a comparison goes on only under the plan that it began
    with.
    """

    experiment: str
    priors: tuple[str, ...]  # none is all
    seeds: tuple[int, ...]  # of the learning runs
    recording_seed: int
    held_out: int  # episodes of each condition and iteration
    settings: Mapping[str, Any]  # that differ from the experiment's


def run(plan: Plan, path: Path, jobs: int = 1) -> int:
    """Compares, and leaves the tables and the figure in the folder. Returns 0, or 128 + the signal
    that stopped it.

    Raises InputError for a plan that cannot be, CheckpointError for a folder that holds another
    comparison.
    """
    plan = plan._replace(priors=plan.priors or tuple(PRIORS))
    experiment, config = checked(plan, jobs)
    claim(path, plan)
    with Stop() as stop:
        if not (path / MODELS).exists():
            write_rows(path / MODELS, evaluated(plan, experiment, config))
        if not stop.asked:
            learn(plan, path, jobs, stop)
    models, costs = read_rows(path / MODELS), learned(plan, path)
    write_rows(path / LEARNED, costs)
    print("\n" + "\n".join(table(plan.priors, models, costs)))
    from .priors_figure import draw
    from .priors_page import document

    picture = draw(plan.priors, models, costs)
    write_file(path / FIGURE, picture)
    write_file(path / PAGE, document(plan, models, costs, picture).encode())
    print(
        f"\nlook at {path / PAGE}\nfigure {path / FIGURE}, tables {path / MODELS} and {path / LEARNED}"
    )
    if stop.asked:
        print("stopped; the same command goes on with what is missing")
    return 128 + stop.asked if stop.asked else 0


def checked(plan: Plan, jobs: int) -> tuple[registry.Experiment, Any]:
    """Returns the experiment and its config under the plan's settings."""
    experiment = registry.load(plan.experiment)
    if not hasattr(experiment.config, "prior"):
        raise InputError(
            f"{plan.experiment} has no prior; expected an experiment whose method fits local models"
        )
    for word in plan.priors:
        if word not in PRIORS:
            raise InputError(f"unknown prior {word!r}; {registry.nearest(word, PRIORS)}")
    for name, value, least in (
        ("held-out", plan.held_out, 1),
        ("jobs", jobs, 1),
        ("first-seed", plan.recording_seed, 0),
    ):
        if value < least:
            raise InputError(f"{name} is {value}; expected {least} or more")
    return experiment, dataclasses.replace(experiment.config, **plan.settings)


def claim(path: Path, plan: Plan) -> None:
    """Makes the folder, or takes up the comparison in it if it has this plan and was made by this
    version.
    """
    mine = json.loads(json.dumps({**plan._asdict(), "version": provenance.own_version()}))
    if (path / PLAN).exists():
        theirs = read_json(path / PLAN)
        odd = sorted(key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key))
        if odd:
            raise CheckpointError(
                f"{path}: got a comparison that differs in {', '.join(odd)}; take another --out"
            )
        return
    make_folder(path)
    if any(path.iterdir()):
        raise CheckpointError(
            f"{path}: got a folder that is not empty; expected a new one, or that of a comparison"
        )
    write_file(path / PLAN, json.dumps(mine, indent=1).encode())


def evaluated(plan: Plan, experiment: registry.Experiment, config: Any) -> list[dict[str, Any]]:
    """Returns a row for each prior and iteration."""
    from .priors_data import assess, record

    task = experiment.task()
    print(f"recording episodes of {plan.experiment} ...", flush=True)
    recorded = list(record(task, experiment.method, config, plan.recording_seed, plan.held_out))
    rows: list[dict[str, Any]] = []
    for word in plan.priors:
        start = time.perf_counter()
        rows += assess(word, task, recorded, config.prior_strength)
        print(f"  {word:<12} evaluated on them in {time.perf_counter() - start:.1f} s", flush=True)
    return rows


def learn(plan: Plan, path: Path, jobs: int, stop: Stop) -> None:
    """Runs what is missing of the learning, a sweep over the seeds for each prior."""
    changed = [
        word
        for key, value in plan.settings.items()
        for word in (f"--{key.replace('_', '-')}", str(value))
    ]
    for word in plan.priors:
        folder = path / word
        make_folder(folder)
        if all((folder / f"seed_{seed}" / RESULT).exists() for seed in plan.seeds) or stop.asked:
            continue
        print(f"learning with the prior {word} ...", flush=True)
        command = [sys.executable, str(RUN), plan.experiment, "--prior", word, *changed]
        sweep(
            command, plan.seeds, folder, jobs, stop, say=lambda text: print(f"  {text}", flush=True)
        )


def learned(plan: Plan, path: Path) -> list[dict[str, Any]]:
    """Returns a row for each prior, seed and iteration; the cost is the policy's, where there is
    one.
    """
    rows = []
    for word in plan.priors:
        for seed in plan.seeds:
            for row in tables.read(path / word / f"seed_{seed}" / "metrics.csv"):
                cost = row.get("policy_cost", row["cost"])
                rows.append(
                    {"prior": word, "seed": seed, "episodes": int(row["episodes"]), "cost": cost}
                )
    return rows


def table(
    words: Sequence[str], models: list[dict[str, Any]], learned: list[dict[str, Any]]
) -> list[str]:
    """Returns the lines of the table: medians over the iterations, as one blow weighs more than all
    else, and mean costs over the seeds."""
    heads = ("prior", "1 step", "10 steps", "log-lik.", "50 %", "90 %", "99 %", "fit ms")
    keys = (
        "one_step",
        "k_step",
        "log_likelihood",
        "coverage_50",
        "coverage_90",
        "coverage_99",
        "fit_ms",
    )
    forms = ("{:.0e}", "{:.0e}", "{:.2f}", "{:.0%}", "{:.0%}", "{:.0%}", "{:.0f}")
    marks = [m for m in MARKS if any(row["episodes"] >= m for row in learned)]
    widths = (12, 7, 8, 8, 5, 5, 5, 6)
    lines = [
        " ".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True))
        + "".join(f"  cost@{m}" for m in marks)
    ]
    for word in words:
        own = [row for row in models if row["prior"] == word]
        cells = [
            form.format(np.median([row[key] for row in own]))
            for key, form in zip(keys, forms, strict=True)
        ]
        line = " ".join(f"{c:>{w}}" for c, w in zip((word, *cells), widths, strict=True))
        lines.append(
            line
            + "".join(
                f"{np.mean(cost_at(learned, word, m)):>10.2f}"
                for m in marks
                if cost_at(learned, word, m)
            )
        )
    return lines


def cost_at(learned: Iterable[Mapping[str, Any]], word: str, episodes: int) -> list[float]:
    """Returns each seed's cost after the last iteration within that many episodes."""
    last = {
        row["seed"]: row["cost"]
        for row in learned
        if row["prior"] == word and row["episodes"] <= episodes
    }
    return list(last.values())


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a table at once."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, text.getvalue().encode())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a table; whatever is a number becomes one."""
    content = io.StringIO(read_file(path, tables.MOST_BYTES).decode(errors="replace"), newline="")
    return [{key: number(value) for key, value in row.items()} for row in csv.DictReader(content)]


def number(text: str) -> Any:
    """Returns the number that the text is, else the text."""
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if math.isfinite(value) and value == int(value) and "." not in text else value
