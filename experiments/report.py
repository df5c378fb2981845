"""report.html: one page with everything a run has to show, without a link to anything outside."""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import tables
from .command import PROGRAM
from .display import clock

CAPTIONS = {  # file -> heading, and what to look for
    "policy.gif": ("The policy at work", "The policy's mean action, on starts and targets drawn anew."),
    "figures/learning.png": (
        "Learning",
        "The cost of an episode should fall; the bands are the spread over the conditions.",
    ),
    "figures/trajectories.png": (
        "Trajectories",
        "Samples, controllers and policy; ellipses are two standard deviations. All should end at the cross.",
    ),
    "figures/improvement.png": (
        "Predicted against actual improvement",
        "A dot is a condition in an iteration. On the line the local models were right; below it they promised more.",
    ),
    "figures/divergence.png": (
        "KL and its multiplier",
        "How far each update moved, against its bound. Where it is always at the bound, larger steps may pay.",
    ),
}
USE = "from agents import load_policy; policy = load_policy(run_folder); action = policy.act(observation)"
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5c6675; --page: #fff; --card: #f5f7fa; --line: #d9dee6;
  --mark: #1b7f5a }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #9aa4b2; --page: #14181e; --card: #1d232b;
  --line: #323a45; --mark: #5fd0a5 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: auto; padding: 1rem }
h1 { font-size: 1.5rem; margin: .5rem 0 }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .3rem }
.verdict { font-size: 1.15rem; padding: .8rem 1rem; background: var(--card); border-left: .3rem solid #c77700;
  border-radius: .3rem }
.good { border-color: var(--mark) }
.dim, figcaption { color: var(--dim); font-size: .9rem }
figure { margin: .5rem 0 1rem; break-inside: avoid }
img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
td, th { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
td:first-child, th:first-child { text-align: left; padding-left: 0 }
.pairs td { white-space: normal; text-align: left; overflow-wrap: anywhere }
summary { cursor: pointer; margin-top: 1.5rem; font-weight: 600 }
code { font-size: .88rem; overflow-wrap: anywhere }
"""


def page(path: Path, about: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Returns the page of the run in `path`, from its config.json, its result and the pictures that are there."""
    title = f"{about['experiment']}, seed {about['seed']}"
    good = " good" if str(result["verdict"]).startswith("It learned:") else ""
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="verdict{good}">{_text(result["verdict"])}</p>',
        f'<p class="dim">{_text(about["text"])}</p>',
        "<h2>Final figures</h2>",
        _pairs(_final(result)),
    ]
    parts += [f'<p class="dim">{_text(reason)}</p>' for reason in result["skipped"]]
    parts += [_figure(path / name, *CAPTIONS[name]) for name in CAPTIONS if (path / name).exists()]
    parts += ["<h2>Iterations</h2>", _iterations(tables.read(path / "metrics.csv"))]
    again = " ".join(f"--{key.replace('_', '-')} {_word(value)}" for key, value in about["config"].items())
    parts += [
        _fold("Settings", _pairs([(key, _word(value)) for key, value in about["config"].items()])),
        _fold("Versions and machine", _pairs([*about["fingerprint"].items(), *about["dependencies"].items()])),
        "<h2>Use it</h2>",
        f"<p><code>{_text(USE)}</code></p>",
        f"<p>Made by <code>{PROGRAM} {_text(about['experiment'])} --seed {about['seed']} {_text(again)}</code></p>",
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>{_text(title)}</title><style>{STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _final(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if "grade" in result:
        got, random = result["grade"], result["random"]
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
        rows += [("final distance", f"{got['final_distance']:.4f} m")] if got["final_distance"] is not None else []
    rows += [(name, f"{value:.4g}" if value < 1e4 else f"{value:.0f}") for name, value in result["figures"].items()]
    return [*rows, ("training time", clock(result["seconds"]))]


def _iterations(rows: Sequence[Mapping[str, float]]) -> str:
    """Returns the metrics as a table; of a long run every n-th row and the last."""
    every = -(-len(rows) // 60)
    shown = [row for i, row in enumerate(rows) if i % every == 0 or i == len(rows) - 1]
    head = "".join(f"<th>{_text(key.replace('_', ' '))}</th>" for key in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{_number(value)}</td>" for value in row.values()) + "</tr>" for row in shown)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _figure(path: Path, heading: str, caption: str) -> str:
    kind = path.suffix.lstrip(".")
    content = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{_text(heading)}" src="data:image/{kind};base64,{content}">'
    return f"<h2>{_text(heading)}</h2><figure>{image}<figcaption>{_text(caption)}</figcaption></figure>"


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>" for name, value in rows)
    return f'<div class="wide"><table class="pairs"><tbody>{body}</tbody></table></div>'


def _fold(heading: str, content: str) -> str:
    return f"<details><summary>{_text(heading)}</summary>{content}</details>"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def _word(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _text(value: Any) -> str:
    return html.escape(str(value))
