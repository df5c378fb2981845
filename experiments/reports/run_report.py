"""report.html: one page with everything a run has to show, without a link to anything outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine import tables
from ..engine.cli import command
from ..engine.gains import BASES
from ..engine.overrides import imports
from ..engine.progress import clock
from ..engine.summary import held_out_rows, oracle_rows
from . import html
from .figures import FIGURES

FILM = (  # the heading and the text of the moving picture
    "The policy at work",
    "The policy's mean action, on starts and targets drawn anew.",
)


def loading(path: Path | str, about: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the import and the expression that load the policy of the run in `path`: by itself,
    or where it was made with a module of the user's own, by what opens a run.
    """
    needed = "".join(f", {name}={value!r}" for name, value in imports(about["chosen"]).items())
    if needed and about["actor"] in ("planner", "episodes"):
        opened = f"open_run({str(path)!r}{needed}).policy"
        return "from experiments.engine.load_run import open_run", opened
    return "from agents import load_policy", f"load_policy({str(path)!r})"


def snippet(path: Path | str, about: Mapping[str, Any], sees: str) -> str:
    """Returns lines of Python that load the policy and ask it for an action; `sees` is "o" where
    it sees observations, "x" for states.
    """
    start, policy = loading(path, about)
    seen = "observation" if sees == "o" else "x"
    acts = f"action = policy.act({seen})  # and again in each step"
    return "\n".join([start, f"policy = {policy}", "policy.reset()  # an episode begins", acts])


def page(path: Path, about: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Returns the page of the run in `path`, from its config.json, its result and the pictures that
    are there.
    """
    title = f"{about['experiment']}, seed {about['seed']}"
    good = str(result["verdict"]).startswith("It learned:")
    parts = [*html.opening(title, result["verdict"], good, about["text"])]
    if "told" in result:
        parts += html.points([("method", result["told"])])
    parts += html.points([(found["word"], told(found)) for found in result.get("symptoms", [])])
    parts += ["<h2>Final figures</h2>", html.pairs(_final(result))]
    parts += [f'<p class="dim">{html.text(reason)}</p>' for reason in result["skipped"]]
    pictures = {path / "policy.gif": FILM} | {
        path / "figures" / f"{name}.png": (figure.title, figure.text)
        for name, figure in FIGURES.items()
    }
    parts += [html.figure_file(file, *told) for file, told in pictures.items() if file.exists()]
    parts += ["<h2>Iterations</h2>", html.metrics(tables.read(path / "metrics.csv"))]
    if names := _names(result):
        parts.append(html.fold("States and actions", html.pairs(names)))
    settings = {key: html.word(value) for key, value in about["config"].items()}
    parts += [
        html.fold("Settings", html.pairs(list(settings.items()))),
        html.fold(
            "Versions and machine",
            html.pairs([*about["fingerprint"].items(), *about["dependencies"].items()]),
        ),
        "<h2>Use it</h2>",
        f"<pre><code>{html.text(snippet(path, about, result['input']))}</code></pre>",
        *_origin(about),
    ]
    return html.document(title, parts)


def _origin(about: Mapping[str, Any]) -> list[str]:
    """Returns how the run came about: by which command, and whether it began or ended elsewhere."""
    made = f"Made by <code>{html.text(command(about))}</code>"
    parts = [
        "Made from Python, by <code>experiments.run.run</code>"
        if "python" in about["chosen"]
        else made
    ]
    if begun := about.get("begun_from"):
        parts.append(f"It began where another run stood: {html.text(str(begun))}")
    if before := about.get("lengthened_from"):
        numbers = ", then ".join(map(str, before))
        parts.append(f"It was made longer: it was begun with {html.text(numbers)} iterations")
    return [f"<p>{part}.</p>" for part in parts]


def _names(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns what each number of x and u is, where the task tells."""
    return [
        (f"{letter}[{i}]", str(name))
        for letter, key in (("x", "state_names"), ("u", "action_names"))
        for i, name in enumerate(result.get(key, ()))
    ]


def told(symptom: Mapping[str, str]) -> str:
    """Returns a symptom in words: what was seen, and what to try."""
    return f"{symptom['line']}. Try {symptom['remedy']}"


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
        rows += [
            (
                f"gain over {BASES[name]}, paired",
                f"{found['mean']:.2f} ± {found['error']:.2f} (standard error, {found['pairs']} episodes)",
            )
            for name, found in result["gains"].items()
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
