"""What the command line takes, lists and refuses."""

import re
import sys

import numpy as np
import pytest

from agents.tasks.adapters.user_task import OwnTask
from agents.tasks.classic.point_mass import PointMass
from experiments import run
from experiments.engine import listing, registry
from experiments.engine.cli import USAGE, as_words, parse
from experiments.engine.guard import guarded
from experiments.reports import figures
from lqr import InputError, Quadratic


def parsed(*words):
    return parse(words, lambda path, experiment: (None, 0), lambda path: "")


SWITCHES = [  # of an experiment, of a planner's, of every run
    ("lqr_flm", "antithetic", lambda r: r.config.antithetic),
    ("pets", "planner-best", lambda r: r.config.planner.best),
    ("badmm", "strict-resume", lambda r: r.options.strict_resume),
    ("badmm", "task-processes", lambda r: r.options.task_processes),
]


@pytest.mark.parametrize(("name", "option", "value"), SWITCHES)
def test_what_is_true_or_false_is_set_in_every_usual_way(name, option, value):
    for words in ([f"--{option}"], [f"--{option}", "True"], [f"--{option}=true"]):
        assert value(parsed(name, *words, "--seed", "3")) is True
    for words in ([f"--no-{option}"], [f"--{option}", "False"], [f"--{option}=false"]):
        assert value(parsed(name, *words, "--seed", "3")) is False
    with pytest.raises(InputError, match=f"perhaps.*--{option}"):
        parsed(name, f"--{option}=perhaps")


@pytest.mark.parametrize("name", ["reacher", "mbmf_pendulum", *registry.methods()])
def test_each_experiment_and_each_method_is_asked_for_by_its_name_alone(name):
    request = parsed(name)
    assert request.config == registry.load(name).config


def test_every_switch_of_every_method_can_be_typed_as_its_report_says():
    for name in registry.methods():
        config = registry.load(name).config
        found = {f.name: f.default for f in registry.fields(config) if f.default in (True, False)}
        wanted = {key: not value for key, value in found.items() if isinstance(value, bool)}
        got = parsed(name, *as_words(wanted).split())
        told = {f.name: f.default for f in registry.fields(got.config)}
        assert {key: told[key] for key in wanted} == wanted


def test_help_says_the_values_of_a_switch_and_stands_in_groups(capsys):
    assert parsed("pets", "--help") is None
    told = capsys.readouterr().out
    assert re.search(r"--reject-outliers \{True,False\}", told)
    assert "--no-reject" not in told
    titles = re.findall("([a-z-]+) options", re.sub(r"\x1b\[[0-9;]*m", "", told))
    assert titles == ["run", "pets", "pets-planner"]


def test_help_is_short_and_lists_have_a_line_each(capsys):
    assert parsed("--help") is None
    assert capsys.readouterr().out.strip() == USAGE
    assert len(USAGE.splitlines()) < 15
    for what, names in (
        ("EXPERIMENTS", registry.names()),
        ("methods", registry.methods()),
        ("TASKS", ["reacher", "pendulum", "peg", "gymnasium:ENV_ID"]),
    ):
        lines = listing.text(what).splitlines()
        assert max(map(len, lines)) <= 100
        firsts = [line.split()[0] for line in lines if line.startswith("  ")]
        assert set(names) <= set(firsts)
        assert len(firsts) == len(set(firsts))
    with pytest.raises(InputError, match="METHODS"):
        listing.text("all")


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """An empty folder in place of that of the experiments."""
    import experiments.configs

    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    monkeypatch.setattr(experiments.configs, "__path__", [str(tmp_path)])
    return tmp_path


GOOD = "from agents.tasks.classic.point_mass import PointMass as task\nfrom gps import lqr_flm as method\n"
GOOD += "config = method.Config()\n"


@pytest.mark.parametrize(
    "broken",
    ["import no_such_module\n" + GOOD, "config = = 3", GOOD + "1 / 0", GOOD + "raise SystemExit"],
)
def test_an_experiment_that_cannot_be_imported_is_named_and_the_others_are_listed(configs, broken):
    (configs / "works_a.py").write_text(GOOD)
    (configs / "broken_b.py").write_text(broken)
    told = listing.text("experiments")
    assert "works_a" in told
    assert "broken_b" in told.partition("cannot be imported")[2]
    with pytest.raises(InputError, match=r"broken_b\.py"):
        registry.load("broken_b")


class Cart:
    """A user's own."""

    def reset(self, condition, rng):
        self.x = np.array([1.0, 0.0])
        return self.x

    def step(self, u):
        self.x = self.x + 0.1 * np.array([self.x[1], u[0]])
        return self.x


OWN = OwnTask(Cart, Quadratic(np.eye(3)), action_low=[-2], action_high=[2], horizon=5, name="cart")


@pytest.mark.parametrize("task", [OWN, PointMass, lambda: PointMass()])
def test_a_task_of_an_experiment_is_an_object_a_class_or_a_function(task):
    built = registry.builder(task)()
    assert hasattr(built, "reset")
    assert not isinstance(built, type)


def test_an_experiment_with_a_task_object_runs(configs, tmp_path, monkeypatch):
    (configs / "cart.py").write_text(
        f"from {__name__} import OWN as task\nfrom gps import lqr_flm as method\n"
        "config = method.Config(iterations=1, samples=2)\n"
    )
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    assert guarded(run.main, ["cart", "--out", str(tmp_path / "r")]) == 0
    assert "cart" in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.parametrize("words", [["--cost", "mine.py:bad"], []])
def test_a_run_that_is_refused_leaves_no_folder(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def bad(x, u):\n    return x  # of another shape\n")
    task = "mountain_car" if words else "free_body"  # whose states no planner takes
    out = ["--out", "new/r", "--iterations", "2"]
    assert guarded(run.main, ["mpc", "--task", task, *words, *out]) == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("watch", ["r", "--seconds"]),
        ("evaluate", ["r", "--within"]),
        ("sweep", ["toy", "--patience"]),
    ],
)
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_number_that_is_none_is_refused_by_every_command(forked, command, words, number):
    done = forked(command, *words, number)
    assert done.returncode == 2
    assert f"{words[1]} is {number}; expected a finite number" in done.stderr
