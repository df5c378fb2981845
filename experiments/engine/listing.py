"""What there is to run, a line each: the experiments, the methods and the tasks."""

import ast
from importlib import util

from agents.tasks import TASKS
from lqr import InputError

from . import registry

WIDTH = 100  # columns
WHAT = ("experiments", "methods", "tasks")


def text(what: str) -> str:
    """Returns the list of one of WHAT, in groups. Raises InputError for any other word."""
    if what.lower() not in WHAT:
        raise InputError(f"got --list {what}; expected one of: {', '.join(WHAT).upper()}")
    lines = {"experiments": _experiments, "methods": _methods, "tasks": _tasks}[what.lower()]()
    more = [other.upper() for other in WHAT if other != what.lower()]
    return "\n".join([*lines, "", f"--list {' or '.join(more)} shows those; NAME --help, settings"])


def _experiments() -> list[str]:
    """Returns the experiments by the folder of their methods; those that cannot be imported last."""
    groups: dict[str, list[tuple[str, str]]] = {}
    broken = []
    for name in registry.names():
        try:
            experiment = registry.load(name)
        except InputError as error:
            broken.append((name, str(error)))
            continue
        package = experiment.method.__name__.rpartition(".")[0]
        groups.setdefault(package, []).append((name, experiment.text))
    return _grouped(groups | ({"cannot be imported": broken} if broken else {}))


def _methods() -> list[str]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, module in sorted(registry.places().items()):
        path = registry.ROOT / (module.replace(".", "/") + ".py")
        groups.setdefault(module.rpartition(".")[0], []).append(
            (name, ast.get_docstring(ast.parse(path.read_bytes())) or "")
        )
    return _grouped(groups)


def _tasks() -> list[str]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, place in TASKS.items():
        module, _, own = place.partition(":")
        group = module.removeprefix("agents.tasks.").rpartition(".")[0] or "your own"
        groups.setdefault(group, []).append((name, _doc(module, own)))
    any_task = ("gymnasium:ENV_ID", "Any environment of Gymnasium with continuous actions.")
    own_model = ("mjcf:FILE", "A robot model of your own, MJCF or URDF, whose sites reach goals.")
    return _grouped(groups | {"adapters": [any_task, own_model]})


def _doc(module: str, name: str) -> str:
    """Returns the docstring of a class or function, without importing it."""
    place = util.find_spec(module)
    if place is None or not place.origin or not place.origin.endswith(".py"):
        return ""
    with open(place.origin, "rb") as file:
        nodes = ast.parse(file.read()).body
    kinds = (ast.ClassDef, ast.FunctionDef)
    return next(
        (ast.get_docstring(n) or "" for n in nodes if isinstance(n, kinds) and n.name == name), ""
    )


def _grouped(groups: dict[str, list[tuple[str, str]]]) -> list[str]:
    width = max((len(name) for rows in groups.values() for name, _ in rows), default=0)
    lines = list[str]()
    for group, rows in groups.items():
        lines += ["", group] if lines else [group]
        for name, told in rows:
            first = " ".join(told.split("\n\n")[0].split())
            line = f"  {name:<{width}}  {first}".rstrip()
            lines.append(_cut(line))
    return lines


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3].rsplit(" ", 1)[0] + "..."
