"""The rooms of the house: nothing goes in a circle, methods look alike, names are the field's."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lqr", "dynamics", "agents", "gps", "experiments")
METHODS = (
    "gps",
    "agents/mpc",
    "agents/baselines",
    "agents/bayesian",
    "agents/imagination",
    "gps/multitask",
)  # folders that hold methods, and `steps`
LONGEST = 40  # lines of a `train`

FIELD = {  # package -> words that were the library's own, and are no longer names
    "gps": "Rounds left learn Known Local adopt judge refused lead floored with_floor lean lean_of "
    "agreement agreement_growth thaw unfreeze frozen paced lagging lag_limit on_lag trusted "
    "within_reach Seen see seen shown rehearsal rehearse strays attempt lesson improve Proposal "
    "Student imitation plans tried visited unused loyalty copies trials rollouts promised",
    "agents": "KINDS in_task sees foresight look before Promise promised covered in_truth ceiling "
    "settled aggregate Planned World Simulated Possible prices priced dear cheap hold refit random "
    "plans tried visited unused loyalty copies screen ordinary usual blows view possible place_of "
    "physical twin unseen sound taken most teach keep seen frozen thaw judged graded shown",
    "dynamics": "History most teach keep seen screen ordinary usual blows Units rate born fold "
    "Perceptrons stepper unrolled curved see moved look before",
    "experiments": "words opened choosing catalogue finish stopping display overlay overlay_last "
    "last_pictures recorded graded judge judged grade",
    "lqr": "sweep small vectors products descent",
}


def modules(package):
    """Returns the modules of a package by their dotted name; a folder's own is its `__init__`."""
    found = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package):
    """Returns, for each module, the modules of its package that it imports, lazily or not."""
    known = modules(package)
    found = {name: set() for name in known}
    for name, path in known.items():
        parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            base = parts[: len(parts) - node.level + 1] if node.level else []
            place = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                hit = next((c for c in (f"{place}.{alias.name}", place) if c in known), None)
                found[name] |= {hit} - {name, None}
    return found


def public_names(path):
    """Returns the public names that a module makes: its own, and its classes' methods and
    fields.
    """
    nodes = list(ast.parse(path.read_text()).body)
    found = {path.stem}
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            nodes.extend(node.body)
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        found |= {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def circle(graph):
    """Returns the names that import each other in a circle; None where nobody does."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_a_circle_is_seen():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is not None
    assert circle({"a": {"b"}, "b": {"c"}}) is None


@pytest.mark.parametrize("package", PACKAGES)
def test_no_files_of_a_package_import_each_other_in_a_circle(package):
    assert circle(imports(package)) is None


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folders_of_a_package_import_each_other_in_a_circle(package):
    """At each level: a folder is one room, whatever is in it."""
    arrows = imports(package)
    folders = {tuple(name.split(".")[:depth]) for name in arrows for depth in range(1, 4)}
    for folder in folders:
        graph = {}
        for name, others in arrows.items():
            here = name.split(".")
            if tuple(here[: len(folder)]) != folder or len(here) == len(folder):
                continue
            room = here[len(folder)]
            for other in others:
                there = other.split(".")
                inside = tuple(there[: len(folder)]) == folder and len(there) > len(folder)
                if inside and there[len(folder)] != room:
                    graph.setdefault(room, set()).add(there[len(folder)])
        assert circle(graph) is None, folder


@pytest.mark.parametrize("folder", METHODS)
def test_a_folder_of_methods_holds_methods_and_their_steps(folder):
    for path in sorted((ROOT / folder).iterdir()):
        if path.is_dir():
            assert f"{folder}/{path.name}" in METHODS or path.name in ("steps", "__pycache__"), path
        elif path.suffix == ".py" and path.name != "__init__.py":
            assert {"Config", "train"} <= public_names(path) | bound(path), path


def bound(path):
    """Returns the names that a module imports."""
    nodes = ast.walk(ast.parse(path.read_text()))
    found = (node.names for node in nodes if isinstance(node, ast.ImportFrom))
    return {alias.asname or alias.name for names in found for alias in names}


TRAINS = [
    (path, node)
    for folder in METHODS
    for path in sorted((ROOT / folder).glob("*.py"))
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name == "train"
]


@pytest.mark.parametrize(("path", "train"), TRAINS, ids=[path.stem for path, _ in TRAINS])
def test_train_reads_like_an_algorithm(path, train):
    first = train.body[1] if ast.get_docstring(train) else train.body[0]
    lines = train.end_lineno - first.lineno + 1
    assert lines <= LONGEST, f"{path}: train has {lines} lines"
    called = [node.func for node in ast.walk(train) if isinstance(node, ast.Call)]
    names = [f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in called]
    own = ("_replace", "_asdict", "_fields", "_make")  # what every named tuple has
    private = [name for name in names if name.startswith("_") and name not in own]
    assert not private, f"{path}: train calls {private}"


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_the_fields(package):
    own = set(FIELD[package].split())
    odd = {str(path): sorted(public_names(path) & own) for path in modules(package).values()}
    assert not {path: names for path, names in odd.items() if names}
