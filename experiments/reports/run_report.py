"""report.html: one page with everything a run has to show, without a link to anything outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine import tables
from ..engine.cli import PROGRAM
from ..engine.progress import clock
from ..engine.summary import held_out_rows, oracle_rows
from . import html

CAPTIONS = {  # file -> heading, and what to look for
    "policy.gif": (
        "The policy at work",
        "The policy's mean action, on starts and targets drawn anew.",
    ),
    "figures/learning.png": (
        "Learning",
        "The cost of an episode should fall; the bands are the spread over the conditions.",
    ),
    "figures/trajectories.png": (
        "Trajectories",
        "All should end at the cross. Ellipses are two standard deviations of the controller, enlarged as written.",
    ),
    "figures/states.png": (
        "States over time",
        "The coordinates of the state in the first condition; the band is two standard deviations of the controller.",
    ),
    "figures/imitation.png": (
        "Policy against controllers",
        "A dot is a condition: on the line the policy is as good as the controller it learned from; above it, worse.",
    ),
    "figures/model_error.png": (
        "Error of the local models along the trajectory",
        "One step ahead, on trials that the models have not seen; at 1 a model is as bad as 'nothing changes'.",
    ),
    "figures/promise.png": (
        "Predicted and real cost over the horizon",
        "Of the actions that were taken, in an episode that the model had not seen. Where the line of what came leaves "
        "the band, the model was surer than it should be.",
    ),
    "figures/open_loop.png": (
        "Error of the model, open loop",
        "So many steps ahead, in episodes that the model had not seen. Where it meets the dashed line, a plan that "
        "looks farther ahead rests on nothing.",
    ),
    "figures/planner.png": (
        "The planner's search",
        "Where the cheapest cost still falls at the end, more iterations may pay; where mean and cheapest meet early, "
        "the search has settled.",
    ),
    "figures/improvement.png": (
        "Predicted against actual improvement",
        "A dot is a condition in an iteration. On the line the local models were right; below it they promised more.",
    ),
    "figures/divergence.png": (
        "KL and its multiplier",
        "How far each update moved, against its bound. Where it is always at the bound, larger steps may pay.",
    ),
    "figures/multipliers.png": (
        "Multipliers",
        "The weight on the divergence grows as controllers and policy are drawn together; the shift should settle.",
    ),
}
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
    parts += [
        html.figure_file(path / name, *CAPTIONS[name])
        for name in CAPTIONS
        if (path / name).exists()
    ]
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
            ("no action", f"{result['still']['mean_return']:.2f}"),
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
