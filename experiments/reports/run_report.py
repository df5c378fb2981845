"""report.html: one page with everything a run has to show, without a link to anything outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine import tables
from ..engine.cli import PROGRAM
from ..engine.progress import clock
from ..engine.summary import held_out_rows, oracle_rows
from . import html
from .figures import FIGURES

FILM = (  # the heading and the text of the moving picture
    "The policy at work",
    "The policy's mean action, on starts and targets drawn anew.",
)
USE = "from agents import load_policy; policy = load_policy(run_folder); action = policy.act(observation)"


def page(path: Path, about: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Returns the page of the run in `path`, from its config.json, its result and the pictures that
    are there.
    """
    title = f"{about['experiment']}, seed {about['seed']}"
    good = str(result["verdict"]).startswith("It learned:")
    parts = [*html.opening(title, result["verdict"], good, about["text"])]
    parts += ["<h2>Final figures</h2>", html.pairs(_final(result))]
    parts += [f'<p class="dim">{html.text(reason)}</p>' for reason in result["skipped"]]
    pictures = {path / "policy.gif": FILM} | {
        path / "figures" / f"{name}.png": (figure.title, figure.text)
        for name, figure in FIGURES.items()
    }
    parts += [html.figure_file(file, *told) for file, told in pictures.items() if file.exists()]
    parts += ["<h2>Iterations</h2>", html.metrics(tables.read(path / "metrics.csv"))]
    settings = {key: html.word(value) for key, value in about["config"].items()}
    again = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in settings.items())
    made = f"{PROGRAM} {about['experiment']} --seed {about['seed']}"
    parts += [
        html.fold("Settings", html.pairs(list(settings.items()))),
        html.fold(
            "Versions and machine",
            html.pairs([*about["fingerprint"].items(), *about["dependencies"].items()]),
        ),
        "<h2>Use it</h2>",
        f"<p><code>{html.text(USE)}</code></p>",
        f"<p>Made by <code>{html.text(f'{made} {again}')}</code></p>",
    ]
    return html.document(title, parts)


def _final(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if "evaluation" in result:
        got, random = result["evaluation"], result["random"]
        rows += [
            (
                f"mean return in {result['env_id']}",
                f"{got['mean_return']:.2f} ± {got['standard_error']:.2f} (standard error)",
            ),
            ("episodes", str(got["episodes"])),
            ("worst and best return", f"{got['worst_return']:.2f}, {got['best_return']:.2f}"),
            ("random actions", f"{random['mean_return']:.2f}"),
            ("no action", f"{result['idle']['mean_return']:.2f}"),
        ]
        rows += (
            [("final distance", f"{got['final_distance']:.4f} m")]
            if got["final_distance"] is not None
            else []
        )
    rows += held_out_rows(result) + oracle_rows(result)
    rows += [
        (name, f"{value:.4g}" if value < 1e4 else f"{value:.0f}")
        for name, value in result["figures"].items()
    ]
    return [*rows, ("training time", clock(result["seconds"]))]
