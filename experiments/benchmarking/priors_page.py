"""report.html of a comparison of priors: what came of it in a line, the picture, the figures, and
every seed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import provenance
from ..reports import html

MEASURES = {  # column of models.csv -> what people call it
    "one_step": "error of one step, share of that of x' = x",
    "k_step": "error of ten steps",
    "log_likelihood": "log likelihood, nats per transition",
    "coverage_50": "unseen episodes within 50 % intervals",
    "coverage_90": "within 90 %",
    "coverage_99": "within 99 %",
    "fit_ms": "CPU time of a fit, ms",
}


def document(
    plan: Any,
    models: Sequence[Mapping[str, Any]],
    learned: Sequence[Mapping[str, Any]],
    picture: bytes,
) -> str:
    """Returns the page, from the plan and the rows of models.csv and learning.csv."""
    ends = {word: final_costs(learned, word) for word in plan.priors}
    title = f"Priors compared on {plan.experiment}"
    caption = "Errors and calibration on unseen episodes; learning is the mean over the seeds and their range."
    heads = ["", *plan.priors]
    rows = [
        [name, *(_median(models, word, key) for word in plan.priors)]
        for key, name in MEASURES.items()
    ]
    parts = html.opening(
        title,
        verdict(ends),
        any(ends.values()),
        f"{len(plan.seeds)} seeds, {plan.held_out} held out",
    )
    parts += [html.figure(picture, "png", "Errors, intervals and learning", caption)]
    parts += ["<h2>Local models, medians over the iterations</h2>", html.grid(heads, rows)]
    if any(ends.values()):
        rows = [
            [f"seed {seed}", *(html.number(ends[w].get(seed, float("nan"))) for w in plan.priors)]
            for seed in plan.seeds
        ]
        parts += ["<h2>Final cost of every seed</h2>", html.grid(heads, rows)]
    about = {**plan._asdict(), "version": provenance.own_version(), **provenance.fingerprint()}
    parts += [
        html.fold(
            "Plan, versions and machine", html.pairs([(k, html.word(v)) for k, v in about.items()])
        )
    ]
    return html.document(title, parts)


def final_costs(learned: Sequence[Mapping[str, Any]], word: str) -> dict[int, float]:
    """Returns the cost of the last iteration of each seed."""
    return {row["seed"]: row["cost"] for row in learned if row["prior"] == word}


def verdict(ends: Mapping[str, Mapping[int, float]]) -> str:
    """Returns with which prior it ends best, in plain words."""
    means = {word: float(np.mean(list(costs.values()))) for word, costs in ends.items() if costs}
    if not means:
        return "The local models were evaluated; nothing was learned with them yet."
    ranked = sorted(means, key=lambda word: means[word])
    text = f"With the prior {ranked[0]} it ends best: mean final cost {means[ranked[0]]:.3g}"
    return text + (
        f", against {means[ranked[1]]:.3g} with {ranked[1]}." if len(ranked) > 1 else "."
    )


def _median(models: Sequence[Mapping[str, Any]], word: str, key: str) -> str:
    values = [row[key] for row in models if row["prior"] == word]
    return f"{np.median(values):.3g}" if values else "–"
