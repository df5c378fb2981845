"""The experiments: the modules of `experiments/configs` that bind a task, a method and a config."""

import ast
import difflib
import inspect
import io
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from lqr import InputError

from .flat import flat, parts

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "experiments" / "configs"  # of the experiments
MARKS = {"task", "method", "config"}  # a module is an experiment when it binds all three
PACKAGES = ("gps", "agents")  # where the methods are
METHOD_MARKS = {"Config", "train"}  # a module there is a method when it binds both


class Experiment(NamedTuple):
    """What an experiment's module says."""

    name: str
    text: str  # the module's docstring
    task: Callable[[], Any]  # builds the task; `no_task` where a method is named alone
    method: Any  # a module with Config and train
    config: Any  # a frozen dataclass, method.Config
    chosen: Mapping[str, Any] = MappingProxyType(
        {}
    )  # what the command line said of the task, by option


class Field(NamedTuple):
    """One setting of a method."""

    name: str
    default: Any
    meaning: str  # with its unit; the comment beside the field


def names() -> list[str]:
    """Returns the names of the experiments, without importing one."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if _bound(path) >= MARKS)


def methods() -> list[str]:
    """Returns the names of the methods, each of which runs on any task, without importing one."""
    return sorted(places())


def load(name: str) -> Experiment:
    """Imports an experiment of this folder, or a method, by its name, whose settings are then its
    defaults.

    Its task may be a class or a function that builds one, or a task. Raises InputError, with the
    nearest names, for any other name, and for a module that cannot be imported.
    """
    if name not in names():
        if name in methods():
            method = import_module(places()[name])
            return Experiment(
                name, inspect.getdoc(method) or name, no_task, method, method.Config()
            )
        raise InputError(f"unknown experiment {name!r}; {nearest(name, [*names(), *methods()])}")
    try:
        module = import_module(f"experiments.configs.{name}")
    except InputError as error:
        raise InputError(f"{FOLDER / name}.py: {error}") from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{FOLDER / name}.py cannot be imported ({reason}); correct it") from error
    text = inspect.getdoc(module) or name
    return Experiment(name, text, builder(module.task), module.method, module.config)


def builder(what: Any) -> Callable[[], Any]:
    """Returns what builds a task: a class or a function as it is; a task is handed out itself."""
    is_task = not inspect.isclass(what) and hasattr(what, "reset")
    return partial(_same, what) if is_task else what


def _same(task: Any) -> Any:
    return task


def no_task() -> Any:
    """Raises InputError: a method alone has no task."""
    raise InputError(
        "got a method without a task; expected --task TASK, or an experiment, which has a task"
    )


def nearest(word: str, choices: Iterable[str]) -> str:
    """Returns the part of a message that names the choices nearest to a misspelt word, or else all
    of them.
    """
    choices = list(choices)
    close = difflib.get_close_matches(word, choices, 3, 0.55)
    if close:
        return (
            f"did you mean {' or '.join(close)}? (all: {', '.join(choices)})"
            if len(choices) < 9
            else f"did you mean {' or '.join(close)}?"
        )
    return f"expected one of: {', '.join(choices)}"


def fields(config: Any) -> list[Field]:
    """Returns the settings of a Config, by their flat names, with the values of this one and the
    comments beside the fields.
    """
    comments = dict(_comments(type(config)))
    for name, rule in parts(config).items():
        words = ", ".join(rule.table)
        comments[name] = f"{comments.get(name, '')}: {words}".lstrip(": ")
        for part, comment in _comments(type(getattr(config, name))).items():
            comments[f"{name}_{part}"] = comment
    return [Field(name, value, comments.get(name, "")) for name, value in flat(config).items()]


def places() -> dict[str, str]:
    """Returns the module of each method."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    found = (
        path.relative_to(ROOT).with_suffix("") for path in files if _bound(path) >= METHOD_MARKS
    )
    return {path.name: ".".join(path.parts) for path in found}


def _bound(path: Path) -> set[str]:
    """Returns the names that a module binds at its top level."""
    return _bound_at(path, path.stat().st_mtime_ns)


@cache
def _bound_at(path: Path, _: int) -> set[str]:
    bound: set[str] = set()
    try:
        nodes = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return MARKS if path.parent == FOLDER else bound  # to be named when it is asked for
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            bound |= {
                n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)
            }
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
    return bound


def _comments(cls: type) -> dict[str, str]:
    """Returns the comment of each annotated field of a class and of its bases: at the end of its
    line, or in the lines above it.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):
            continue
        lines = source.splitlines()
        by_line = {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                text = by_line.get(node.end_lineno or node.lineno)
                above, parts = node.lineno - 1, list[str]()
                while text is None and lines[above - 1].lstrip().startswith("#"):
                    parts, above = [by_line[above], *parts], above - 1
                found[node.target.id] = text or " ".join(parts)
    return found
