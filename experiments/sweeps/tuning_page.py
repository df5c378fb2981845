"""What a search over settings leaves: the best settings, a table of the trials, and a page."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.storage.files import write_file
from lqr import InputError

from ..engine.flat import flat
from ..engine.progress import places, table
from ..reports import html
from ..reports.style import STYLE
from .tuning import Search, ended

BEST, TRIALS, PAGE = "best.json", "tune.csv", "report.html"


def leave(
    study: Any, search: Search, seeds: Sequence[int], folder: Path, stopped: Callable[[], bool]
) -> None:
    """Judges the best settings and those that were there before on these seeds, writes everything
    and prints what came of it. Raises InputError where no trial came to a score.
    """
    done = [t for t in ended(study) if t.state.name == "COMPLETE"]
    if not done:
        raise InputError(
            "no trial came to a score; expected settings that run: give others by --search"
        )
    best = search.settings(min(done, key=lambda t: t.value).params)
    method = search.experiment.method.__name__
    said = json.dumps({"method": method, "config": flat(best)}, indent=1, allow_nan=False)
    write_file(folder / BEST, said.encode())
    write_file(folder / TRIALS, _csv(study, search).encode())
    judged: dict[str, list[float]] = {"before": [], "found": []}
    for seed in seeds:
        for name, config in (("before", search.config), ("found", best)):
            if stopped():
                return
            judged[name].append(_shown(search, search.final(config, seed)))
    pictures = drawn(study, search)
    write_file(folder / PAGE, page(search, best, judged, seeds, pictures).encode())
    table(_rows(search, best, judged))
    places([("look at", str(folder / PAGE)), ("use", f"--config {folder / BEST}")])


def _shown(search: Search, score: float) -> float:
    """Returns the measure of a score, which is lower where the run is better."""
    return -score if search.larger else score


def _rows(search: Search, best: Any, judged: dict[str, list[float]]) -> list[tuple[str, str]]:
    """Returns the result in words: each seed, and the mean difference with its standard error."""
    before, found = (np.array(judged[name]) for name in ("before", "found"))
    gap = found - before
    error = gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else np.nan
    rows = [
        (
            f"{name}, {search.measure}",
            f"{' '.join(f'{v:.4g}' for v in values)}, mean {values.mean():.4g}",
        )
        for name, values in (("settings before", before), ("settings found", found))
    ]
    rows.append(
        ("difference", f"{gap.mean():.3g} ± {error:.2g} (standard error of the mean, in pairs)")
    )
    old, new = flat(search.config), flat(best)
    return rows + [
        (r.name, f"{html.word(old[r.name])} -> {html.word(new[r.name])}") for r in search.ranges
    ]


def _csv(study: Any, search: Search) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", "state", search.measure, *(r.name for r in search.ranges), "error"])
    for trial in ended(study):
        score = "" if trial.value is None else repr(_shown(search, trial.value))
        if trial.state.name == "PRUNED":
            score = ""
        values = [trial.params.get(r.name, "") for r in search.ranges]
        error = trial.user_attrs.get("error", "")
        writer.writerow([trial.number, trial.state.name.lower(), score, *values, error])
    return out.getvalue()


def importances(study: Any) -> dict[str, float]:
    """Returns which share of the scores' variance each setting explains (functional analysis of
    variance, Hutter et al. 2014); nothing where there are too few trials.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    try:
        return dict(get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0)))
    except (RuntimeError, ValueError):
        return {}


def drawn(study: Any, search: Search) -> list[tuple[bytes, str, str]]:
    """Returns pictures as PNG, each with a heading and what to look for in it."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    done = [t for t in ended(study) if t.state.name == "COMPLETE"]
    scores = np.array([_shown(search, t.value) for t in done])
    found = []
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(8, 3))
        best = np.maximum.accumulate(scores) if search.larger else np.minimum.accumulate(scores)
        axis.plot([t.number for t in done], scores, "o", label="trial")
        axis.step([t.number for t in done], best, where="post", label="best so far")
        axis.set_xlabel("trial")
        axis.set_ylabel(search.measure)
        axis.legend()
        found.append((_png(plt, figure), "Trials", "Where the line still falls, more trials pay."))
        if shares := importances(study):
            figure, axis = plt.subplots(figsize=(8, 0.6 + 0.35 * len(shares)))
            names = list(shares)[::-1]
            axis.barh(names, [shares[name] for name in names])
            axis.set_xlabel("share of the variance of the scores")
            text = "Settings at the bottom can be left as they are."
            found.append((_png(plt, figure), "What matters", text))
        figure, axis = plt.subplots(figsize=(8, 4))
        _parallel(axis, search, done, scores)
        text = (
            "A line is a trial, dark ones are better: where dark lines meet, the setting matters."
        )
        found.append((_png(plt, figure), "Settings of the trials", text))
    return found


def _parallel(axis: Any, search: Search, done: Sequence[Any], scores: np.ndarray) -> None:
    """Draws a line for each trial over one upright axis per setting."""
    import matplotlib.pyplot as plt

    order = np.argsort(np.argsort(scores if search.larger else -scores))  # the best is last
    places = np.stack([[_place(r, t.params[r.name]) for t in done] for r in search.ranges])
    for i in np.argsort(order):
        share = (order[i] + 1) / len(done)
        axis.plot(places[:, i], color=plt.get_cmap("Blues")(0.15 + 0.85 * share), lw=1 + share)
    names = [f"{r.name.replace('_', ' ')}\n{r.text}" for r in search.ranges]
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set_yticks([0, 1], ["lowest", "highest"])
    for x in range(len(names)):
        axis.axvline(x, color="0.7", lw=0.8, zorder=0)


def _place(r: Any, value: Any) -> float:
    """Returns where between its ends a value stands, 0 to 1."""
    if r.choices:
        return r.choices.index(value) / max(len(r.choices) - 1, 1)
    low, high, at = (np.log(v) if r.low > 0 else v for v in (r.low, r.high, value))
    return float((at - low) / (high - low))


def _png(plt: Any, figure: Any) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight")
    plt.close(figure)
    return picture.getvalue()


def page(
    search: Search,
    best: Any,
    judged: dict[str, list[float]],
    seeds: Sequence[int],
    pictures: Sequence[tuple[bytes, str, str]],
) -> str:
    """Returns the page of a search."""
    before, found = (float(np.mean(judged[name])) for name in ("before", "found"))
    better = found > before if search.larger else found < before
    verdict = (
        f"On seeds {', '.join(map(str, seeds))}, none of which settings were chosen on, the mean "
        f"{search.measure} is {found:.4g} with the settings found, {before:.4g} with those before."
    )
    title = f"Settings of {search.experiment.name}"
    parts = html.opening(title, verdict, better, search.experiment.text)
    head = ["seed", "before", "found"]
    rows = [
        [str(seed), f"{a:.4g}", f"{b:.4g}"]
        for seed, a, b in zip(seeds, judged["before"], judged["found"], strict=True)
    ]
    parts += ["<h2>Judged</h2>", html.grid(head, rows)]
    parts += ["<h2>Result</h2>", html.pairs(_rows(search, best, judged))]
    parts += [html.figure(content, "png", heading, text) for content, heading, text in pictures]
    return html.document(title, parts)
