"""What MkDocs cannot read from files: a page per method, the page of all settings, notebooks,
pictures of symptoms.

MkDocs calls the functions `on_...` (see `hooks` in mkdocs.yml). A new method in `gps/` has a page
and a place in the table without anything being written here; `methods.toml` adds what its module
does not say.
"""

import inspect
import json
import re
import sys
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path[:0] = [str(ROOT), str(DOCS)]

from make_pictures import SYMPTOMS  # noqa: E402

NAV: list[Any] = [
    {"Start": "index.md"},
    {"How it works": "idea.md"},
    {
        "Guide": [
            {"Your own task, cost, prior, policy": "own.md"},
            {"Your own robot model": "model.md"},
            {"A real robot": "robot.md"},
            {"Troubles": "symptoms.md"},
            {"Tasks": "tasks.md"},
            {"Policies": "policies.md"},
            {"Using a policy": "deployment.md"},
            {"Planning": "planning.md"},
            {"Imagined data": "imagined.md"},
            {"Many teachers": "teachers.md"},
            {"Structure": "structure.md"},
            {"Predicting the future": "prediction.md"},
        ]
    },
    {"Packages": [{n: f"{n}.md"} for n in ("lqr", "dynamics", "agents", "gps")]},
    {"Methods": []},
    {"Results": ["results.md", "comparisons.md"]},
    {"Settings": "settings.md"},
    {"Notebooks": []},
    {
        "Reference": [
            {n: f"reference/{n}.md"} for n in ("lqr", "dynamics", "agents", "gps", "methods")
        ]
    },
    {"More": []},
]


@cache
def places() -> dict[str, str]:
    """Returns the module of each method: those of `gps` and `agents` with a Config and a
    `train`.
    """
    texts = {
        path: path.read_text()
        for name in ("gps", "agents")
        for path in sorted((ROOT / name).rglob("*.py"))
    }
    found = [
        path for path, text in texts.items() if "\nclass Config" in text and "\ndef train(" in text
    ]
    return {path.stem: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found}


def methods() -> list[str]:
    """Returns the names of the methods."""
    return list(places())


@cache
def experiments() -> dict[str, list[str]]:
    """Returns the experiments of each method."""
    from experiments.engine import registry

    found: dict[str, list[str]] = {name: [] for name in methods()}
    for name in registry.names():
        method = registry.load(name).method.__name__.rpartition(".")[2]
        if method in found and name != method:
            found[method].append(name)
    return found


def pictured() -> list[str]:
    """Returns the experiment of each method whose learning curve its page shows."""
    about = notes()
    named = [
        (about.get(method, {}).get("picture") or (of[0] if of else ""))
        for method, of in experiments().items()
    ]
    return [name for name in named if name]


@cache
def notes() -> dict[str, Any]:
    """Returns what methods.toml says."""
    return tomllib.loads((DOCS / "methods.toml").read_text())


@cache
def rows() -> dict[str, list[list[str]]]:
    """Returns the rows of the table of results, cells without the bars, by the experiments
    in them.
    """
    found: dict[str, list[list[str]]] = {}
    name = ""
    for line in (DOCS / "results.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if (
            not line.startswith("|")
            or len(cells) != 7
            or (set(cells[0]) <= {"-"} and cells[0])
            or cells[0] == "experiment"
        ):
            continue
        name = cells[0] or name
        key = next(iter(re.findall(r"`(\w+)", name)), "")
        found.setdefault(key, []).append([name, *cells[2:]])
    return found


def method_page(name: str) -> str:
    """Returns the page of a method: paper, idea, equations, command, result, settings."""
    module, about, of = import_module(places()[name]), notes().get(name, {}), experiments()[name]
    title, _, body = (inspect.getdoc(module) or name).partition("\n")
    parts = [f"# {name}", f"**{title}**", literal(body.strip("\n"))]
    parts += ["## Run it", f"```\n{commands(name)}\n```"]
    results = [row for experiment in of for row in rows().get(experiment, [])]
    parts += ["## Result"]
    if results:
        parts += [
            "| experiment | measure | seeds 0 to 4 | mean | other seeds | mean |\n|---|---|---|---|---|---|"
        ]
        parts[-1] += "".join("\n| " + " | ".join(row) + " |" for row in results)
    picture = about.get("picture") or (of[0] if of else "")
    if (DOCS / "pictures" / f"method_{picture}.png").exists():
        parts += [f"![Learning curve of {picture}, seed 0](../pictures/method_{picture}.png)"]
        parts += [
            f"`python experiments/run.py {picture}`, one seed; its `report.html` has the other figures."
        ]
    elif not results:
        parts += ["None is recorded yet."]
    parts += ["## Settings", about.get("paper", "")]
    if hasattr(module.Config(), "profile"):
        parts += [
            "`profile paper` takes the paper's numbers for all that is `None` here; `cpu`, smaller ones."
        ]
    parts += [settings_table(name)]
    return "\n\n".join(part for part in parts if part)


def commands(name: str) -> str:
    """Returns what runs a method: its experiments, or the method on a task, or a line of Python."""
    from experiments.engine import registry

    if of := experiments()[name]:
        return "\n".join(f"python experiments/run.py {experiment}" for experiment in of)
    if name in registry.methods():
        return f"python experiments/run.py {name} --task reacher_four"
    package = places()[name].partition(".")[0]
    return f"from {package} import {name}\nfor iteration in {name}.train(task, {name}.Config(), rng): ..."


def literal(text: str) -> str:
    """Returns a docstring as Markdown: what is indented there is a block as it stands; so is no
    other thing.
    """
    safe = [
        line if line.startswith("    ") else line.replace("|", "\\|").replace("<", "&lt;")
        for line in text.splitlines()
    ]
    return "\n".join(safe)


def reasons(method: str) -> dict[str, str]:
    """Returns when to change the settings of a method, from settings.toml."""
    found = tomllib.loads((DOCS / "settings.toml").read_text())
    planning = found.pop("planning")
    return found | (planning if places()[method].startswith("agents") else {})


def settings_table(method: str) -> str:
    """Returns a table of the settings of a method."""
    from experiments.engine.registry import fields

    when = reasons(method)
    lines = ["| setting | default | meaning, unit | change it when |", "|---|---|---|---|"]
    for field in fields(import_module(places()[method]).Config()):
        value = (
            " ".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        )
        cells = [f"`{field.name}`", f"`{value}`", field.meaning, when.get(field.name, "–")]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def reference_page() -> str:
    """Returns the reference of the methods: `train` and `Config` of each."""
    parts = [
        "# Methods",
        "Each is a module with a `Config` and a `train`; [one page each](../methods/index.md) explains them.",
    ]
    for place in sorted(places().values()):
        options = "    options: {members: [Config, train], show_root_toc_entry: true}"
        parts.append(f"::: {place}\n{options}")
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """Returns the page of every setting of every method."""
    from experiments.engine.registry import fields

    found: dict[
        tuple[str, str, str], dict[str, list[str]]
    ] = {}  # (name, meaning, when to change it) -> defaults
    for name in methods():
        for field in fields(import_module(places()[name]).Config()):
            entry = found.setdefault(
                (field.name, field.meaning, reasons(name).get(field.name, "–")), {}
            )
            entry.setdefault(str(field.default), []).append(name)
    lines = [
        "# Every setting",
        "",
        "On the command line `--kl-step 20`, in code `Config(kl_step=20.0)`. Shares are of half the ",
    ]
    lines[-1] += "action range. What reproduces a paper stands on the page of its method.\n"
    lines += ["| setting | meaning, unit | change it when | defaults |", "|---|---|---|---|"]
    for (name, meaning, when), defaults in sorted(found.items()):
        shown = "; ".join(f"`{value}` ({', '.join(who)})" for value, who in defaults.items())
        cells = [f"`{name}`", meaning, when, shown]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def methods_index() -> str:
    """Returns the table of all methods."""
    lines = ["# Methods", "", "| method | what it does | experiments |", "|---|---|---|"]
    for name, of in experiments().items():
        title = (inspect.getdoc(import_module(places()[name])) or "").splitlines()[0]
        lines.append(f"| [{name}]({name}.md) | {title} | {', '.join(f'`{e}`' for e in of)} |")
    return (
        "\n".join(lines)
        + "\n\n`python experiments/run.py METHOD --task TASK` runs one of them on any task.\n"
    )


def notebook_page(path: Path) -> str:
    """Returns a notebook as a page: its text, its code, and what came out."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            said = "".join(output.get("text", []) or data.get("text/plain", []))
            if "image/png" in data:
                parts.append(
                    f'<img alt="output" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
                )
            elif said:
                parts.append(f"```\n{said.rstrip()}\n```")
    return "\n\n".join([*parts, f"[Download this notebook]({path.name})"])


def on_config(config: Any) -> Any:
    """Fills the navigation: methods and notebooks that there are, and pages that nobody listed."""
    if str(ROOT) not in sys.path:  # MkDocs puts it back after a hook is loaded
        sys.path.insert(0, str(ROOT))
    listed = {*re.findall(r"[\w/]+\.md", json.dumps(NAV)), "methods.md"}
    nav = json.loads(json.dumps(NAV))
    for section in nav:
        ((name, content),) = section.items()
        if name == "Methods":
            content += [
                {"Overview": "methods/index.md"},
                {"Compared": "methods.md"},
                *({n: f"methods/{n}.md"} for n in methods()),
            ]
        if name == "Notebooks":
            content += [
                f"notebooks/{p.stem}.md" for p in sorted((DOCS / "notebooks").glob("*.ipynb"))
            ]
        if name == "More":
            content += [p.name for p in sorted(DOCS.glob("*.md")) if p.name not in listed]
    config.nav = nav
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made here."""
    from mkdocs.structure.files import File

    made = {f"methods/{name}.md": method_page(name) for name in methods()}
    made |= {"methods/index.md": methods_index(), "settings.md": settings_page()}
    made["reference/methods.md"] = reference_page()
    made |= {
        f"notebooks/{p.stem}.md": notebook_page(p)
        for p in sorted((DOCS / "notebooks").glob("*.ipynb"))
    }
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the command and the picture of a symptom where a page asks for it."""

    def shown(match: re.Match[str]) -> str:
        name = match.group(1)
        words, figure = SYMPTOMS[name]
        return f"```\npython experiments/run.py {words}\n```\n\n![The figure {figure}](pictures/symptom_{name}.png)"

    return re.sub(r"{{ symptom (\w+) }}", shown, markdown)
