"""What tasks may offer: asked for in one place, taken back by None, passed on by wrappers."""

import ast
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import agents.tasks
from agents.tasks import TASKS, capabilities, make_task
from agents.tasks.base.wrapper import Wrapper
from agents.tasks.capabilities import ObservationOf, PhysicalState, capability, manifold_of
from agents.tasks.costs.user_cost import WithCost
from dynamics.capabilities import members

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = [
    kind for name in capabilities.__all__ if isinstance(kind := getattr(capabilities, name), type)
]
KINDS = [kind for kind in PUBLIC if kind.__dict__.get("_is_protocol", False)]


def tasks_asked(path):
    """Returns the lines of a file in which `getattr` or `hasattr` is asked of a task."""
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.Call) or not isinstance(function.func, ast.Name):
            continue
        if function.func.id in ("getattr", "hasattr") and function.args:
            asked = ast.unparse(function.args[0]).removeprefix("self.").removeprefix("run.")
            if asked.lstrip("_") in ("task", "own", "own_task", "base_task"):
                yield function.lineno


@pytest.mark.parametrize("package", ["dynamics", "agents", "gps", "experiments"])
def test_no_attribute_of_a_task_is_probed_outside_capabilities(package):
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / package).rglob("*.py")
        if path.name != "capabilities.py"
        for line in tasks_asked(path)
    }
    assert not found, f"ask by a Protocol of agents.tasks.capabilities instead: {sorted(found)}"


def test_the_search_for_probes_finds_one(tmp_path):
    (tmp_path / "a.py").write_text('x = getattr(self._task, "image", None)\nhasattr(task, "dt")\n')
    assert list(tasks_asked(tmp_path / "a.py")) == [1, 2]


def test_what_is_no_protocol_is_a_tuple_that_one_holds():
    assert {kind.__name__ for kind in PUBLIC if kind not in KINDS} == {"StartMeasure", "Views"}
    assert issubclass(capabilities.StartMeasure, tuple)


@pytest.mark.parametrize("kind", KINDS)
def test_a_capability_is_small_and_says_what_it_means(kind):
    assert 1 <= len(members(kind)) <= 3
    assert kind.__doc__
    assert not kind.__doc__.startswith("Base class")


def test_a_task_offers_what_it_has_whole_and_not_none():
    class Partly:
        to_physical = advance = staticmethod(np.copy)

    assert capability(Partly(), PhysicalState) is None
    task = Partly()
    task.states = np.copy
    assert capability(task, PhysicalState) is task
    task.states = None
    assert capability(task, PhysicalState) is None


def test_a_property_that_is_missing_something_offers_nothing():
    class Broken:
        @property
        def observation_of(self):
            return self.nothing

    assert capability(Broken(), ObservationOf) is None


def test_a_wrapper_offers_what_its_task_does_and_can_take_it_back():
    task = make_task("wrapping_pendulum")
    assert manifold_of(Wrapper(task)) is task.manifold
    assert capability(Wrapper(task), ObservationOf)

    class Blind(Wrapper):
        observation_of = None

    assert capability(Blind(task), ObservationOf) is None
    assert capability(task, ObservationOf)


def test_a_task_of_another_cost_has_no_second_one():
    pusher = make_task("pusher")
    assert capability(pusher, capabilities.TuningCost)
    other = WithCost(pusher, pusher.cost)
    assert capability(other, capabilities.TuningCost) is None
    assert capability(other, capabilities.Plane)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_each_task_can_be_imported_by_its_class(name):
    module, builder = TASKS[name].split(":")
    assert getattr(agents.tasks, builder) is getattr(import_module(module), builder)
