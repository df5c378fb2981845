"""Every error that the sources raise: of one hierarchy, and saying what was got, expected, and the
remedy.
"""

import ast
import re
from pathlib import Path

import pytest

import lqr.errors
from agents.interfaces import EpisodeDiscarded, StoppedByUser
from agents.tasks.adapters.driver import EmergencyStop
from experiments.engine.guard import EXIT_CODES
from experiments.engine.run_folder import Busy

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("lqr", "dynamics", "agents", "gps", "experiments")
OURS = {name for name, kind in vars(lqr.errors).items() if isinstance(kind, type)} | {"Busy"}
MAKERS = {
    "damaged",
    "_refused",
    "unfit",
    "NotPositiveDefinite",
}  # functions that return an error; NotPositiveDefinite(...)
WRAPPED = (
    "{}: {}",
    "{}.py: {}",
    "{}_{}",
)  # a place, or the name of a part, put before another message
SECOND_HALF = re.compile(
    r"expected|[;?]|: [a-z]|, or |should|must"
)  # what was expected, or what to do


def sources():
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def text_of(node):
    """Returns a message as it is written, with {} for what is filled in; None where it is no
    text.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left), text_of(node.right)
        return None if left is None or right is None else left + right
    if isinstance(node, ast.IfExp):
        return text_of(node.body)
    return None


def name_of(call):
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def raised():
    """Yields (file:line, name, message) of each error that is made in the sources."""
    for path in sources():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name_of(node) in OURS and node.args:
                yield (
                    f"{path.relative_to(ROOT)}:{node.lineno}",
                    name_of(node),
                    text_of(node.args[0]),
                )


def test_the_sources_raise_only_errors_of_the_hierarchy():
    allowed = OURS | MAKERS | {"SystemExit", "HelpShown"}  # the latter is no error
    allowed |= {kind.__name__ for kind in (EmergencyStop, EpisodeDiscarded, StoppedByUser)}
    caught_at_once = {  # raised and answered in the same file
        "dynamics/storage/files.py": {"ValueError", "NotADirectoryError"},
        "lqr/kernels/jit.py": {"ValueError"},
        "agents/policies/checks.py": {"TypeError"},
        "agents/tasks/__init__.py": {"AttributeError"},  # as a module's __getattr__ must
        "lqr/batching.py": {"TypeError"},
        "lqr/ilqr_inputs.py": {"TypeError"},
        "experiments/engine/training.py": {"ValueError"},
    }
    odd = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = name_of(node.exc)
                if name not in allowed | caught_at_once.get(str(path.relative_to(ROOT)), set()):
                    odd.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert not odd


def test_every_message_says_what_was_got_and_what_was_expected_or_what_to_do():
    messages = list(raised())
    assert len(messages) > 100
    odd = [
        f"{where} {text}"
        for where, _, text in messages
        if text and text not in WRAPPED and not SECOND_HALF.search(text)
    ]
    assert not odd, "\n".join(odd)


def test_a_message_is_one_line_without_a_capital_or_a_full_stop_at_its_ends():
    odd = []
    for where, _, text in raised():
        if text and (
            text.endswith((".", "!")) or "\n" in text or re.match(r"[A-Z][a-z]{3,} ", text)
        ):
            odd.append(f"{where} {text}")
    assert not odd, "\n".join(odd)


def test_the_hierarchy_has_few_classes_and_one_root_and_each_has_an_exit_code():
    kinds = [getattr(lqr.errors, name) for name in OURS - {"Busy"}] + [Busy]
    assert len(kinds) <= 9
    for kind in kinds:
        assert issubclass(kind, lqr.errors.GPSError)
        assert any(issubclass(kind, known) for known, _ in EXIT_CODES)


@pytest.mark.parametrize("call", ["cov", "multivariate_normal", "loads_pickle", "seed"])
def test_calls_that_hide_a_fault_are_not_made(call):
    """np.cov is NaN for one sample unless biased; multivariate_normal takes what is no
    covariance.
    """
    patterns = {
        "cov": r"np\.cov\((?!.*bias=True)",
        "multivariate_normal": r"\.multivariate_normal\(",
    }
    patterns |= {
        "loads_pickle": r"pickle\.load|allow_pickle=True|torch\.load\(|eval\(|exec\(",
        "seed": r"random\.seed\(",
    }
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"(?<![\w.])" + patterns[call] if call != "seed" else patterns[call], line)
    ]
    assert not found
