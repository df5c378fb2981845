"""A page of HTML that stands alone: no link, no script, nothing from outside; light and dark,
narrow and in print.
"""

import base64
import html
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynamics.storage.files import read_file

MOST_BYTES = 1 << 26  # of a picture

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5c6675; --page: #fff; --card: #f5f7fa; --line: #d9dee6;
  --mark: #1b7f5a }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #9aa4b2; --page: #14181e; --card: #1d232b;
  --line: #323a45; --mark: #5fd0a5 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: auto; padding: 1rem }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .3rem; break-after: avoid }
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
.pairs td:last-child { min-width: 4.5em }
summary { cursor: pointer; margin-top: 1.5rem; font-weight: 600 }
code { font-size: .88rem; overflow-wrap: anywhere }
pre { white-space: pre-wrap }
@media print { :root { --ink: #000; --dim: #444; --page: #fff; --card: #fff; --line: #bbb } main { max-width: none }
  .wide { overflow: visible } .wide table { font-size: .55rem } td, th { padding: .1rem .25rem }
  details::details-content { content-visibility: visible; block-size: auto } summary { list-style: none } }
"""


def document(title: str, parts: Sequence[str]) -> str:
    """Returns the whole page."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    )
    head += f"<title>{text(title)}</title><style>{STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main>{"".join(parts)}</main></body></html>\n'


def opening(title: str, verdict: str, good: bool, about: str) -> list[str]:
    """Returns what stands at the top: the title, what came of it in one line of plain words, and
    what it was.
    """
    return [
        f"<h1>{text(title)}</h1>",
        f'<p class="verdict{" good" if good else ""}">{text(verdict)}</p>',
        f'<p class="dim">{text(about)}</p>',
    ]


def points(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Returns a list of words with a sentence each, in which what stands between backticks is to
    be typed; nothing without rows.
    """
    if not rows:
        return []
    typed = (re.sub("`(.*?)`", r"<code>\1</code>", text(sentence)) for _, sentence in rows)
    items = [
        f"<li><b>{text(word)}</b>: {one}</li>" for (word, _), one in zip(rows, typed, strict=True)
    ]
    return [f"<ul>{''.join(items)}</ul>"]


def figure(content: bytes, kind: str, heading: str, caption: str) -> str:
    """Returns a picture, within the page, under a heading and above what to look for in it."""
    image = f'<img alt="{text(heading)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'
    return (
        f"<h2>{text(heading)}</h2><figure>{image}<figcaption>{text(caption)}</figcaption></figure>"
    )


def figure_file(path: Path, heading: str, caption: str) -> str:
    """Returns the picture in a file likewise."""
    return figure(read_file(path, MOST_BYTES), path.suffix.lstrip("."), heading, caption)


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Returns a table of names and values."""
    body = "".join(f"<tr><td>{text(name)}</td><td>{text(value)}</td></tr>" for name, value in rows)
    return f'<div class="wide"><table class="pairs"><tbody>{body}</tbody></table></div>'


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table with a head, which scrolls sideways where the page is narrow."""
    top = "".join(f"<th>{text(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def metrics(rows: Sequence[Mapping[str, float]]) -> str:
    """Returns a table of numbers; of a long one every n-th row and the last."""
    every = -(-len(rows) // 60)
    shown = [row for i, row in enumerate(rows) if i % every == 0 or i == len(rows) - 1]
    return grid(
        [key.replace("_", " ") for key in rows[0]],
        [[number(v) for v in row.values()] for row in shown],
    )


def fold(heading: str, content: str) -> str:
    """Returns something that is folded up, but not in print."""
    return f"<details><summary>{text(heading)}</summary>{content}</details>"


def number(value: float) -> str:
    """Returns a number as people write it."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def word(value: Any) -> str:
    """Returns a setting as the command line takes it."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def text(value: Any) -> str:
    """Returns text that HTML takes for nothing else."""
    return html.escape(str(value))
