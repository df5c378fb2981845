"""A run tells what is wrong with it: each trouble is made here on purpose, and healthy runs are
silent.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linear_tasks import Point

from agents.tasks import make_task
from experiments import run as program
from experiments.engine import registry, tables
from experiments.engine.cli import Options, as_words
from experiments.engine.guard import guarded
from experiments.engine.symptoms import remedies
from experiments.engine.symptoms.looked_at import Run, columns
from experiments.engine.symptoms.troubles import TROUBLES, symptoms
from experiments.engine.symptoms.watch import Watch, task_words
from experiments.engine.training import by_condition
from experiments.reports import figures, finalise
from experiments.viewer import video
from lqr import Quadratic

ROOT = Path(__file__).resolve().parents[2]
COSTS = {"cost", "sampled_cost", "policy_cost"}  # columns that a constant in the cost changes
SCALED = COSTS | {"cost_variation", "cost_spread", "predicted", "actual"}


class Deaf(Point):
    """Its forces do nothing; the wind moves it."""

    def reset(self, conditions, rng):
        self.rng = rng
        return super().reset(conditions, rng)

    def step(self, u):
        return super().step(0.3 * self.rng.standard_normal(u.shape))


class Fixed(Point):
    """Its forces do nothing, nor does anything else."""

    def step(self, u):
        return super().step(0.0 * u)


class Unpaid(Point):
    """Its cost is that of the forces alone."""

    def __init__(self):
        super().__init__()
        self.cost = Quadratic(np.diag([0.0, 0.0, 0.0, 0.0, 0.2, 0.2]))


class Falls(Point):
    """Ends after 4 of 15 steps."""

    def reset(self, conditions, rng):
        self.t = 0
        return super().reset(conditions, rng)

    def step(self, u):
        self.t += 1
        return super().step(u)

    def done(self):
        return np.full(len(self.x), self.t >= 4)


class Held(Point):
    """In its last condition it is held fast."""

    def step(self, u):
        return super().step(u * (self.goal[:, :1] != self.targets[2, 0]))


@dataclass(frozen=True, eq=False)
class Case:
    """A tiny run."""

    task: Callable[[], Any]
    method: str
    iterations: int
    settings: dict[str, Any]


NOISE = {"samples": 4, "initial_std": 0.1, "min_std": 0.03}
TINY = {"samples": 4, "initial_std": 1e-6, "min_std": 1e-6}
BLIND = {"samples": 1, "prior": "flat", "initial_std": 0.1}  # a model of one episode
SMALL_NET = {"policy_steps": 2, "hidden": (1,)}
SICK = {
    "no exploration seen": Case(Deaf, "lqr_flm", 5, {"samples": 4}),
    "exploration too small": Case(Point, "lqr_flm", 5, TINY),
    "flat cost": Case(Unpaid, "lqr_flm", 5, {"samples": 3}),
    "episodes end early": Case(Falls, "lqr_flm", 5, {"samples": 3}),
    'model no better than "nothing changes"': Case(
        Deaf, "lqr_flm", 5, {"samples": 4, "prior": "flat"}
    ),
    "promises not kept": Case(Point, "lqr_flm", 10, BLIND),
    "KL step at its floor": Case(Point, "lqr_flm", 10, BLIND),
    "KL step at its ceiling": Case(
        Point,
        "lqr_flm",
        7,
        {"samples": 8, "initial_std": 0.03, "min_std": 0.03, "kl_step": 1.0, "max_kl_step": 1.0},
    ),
    "policy does not follow": Case(Point, "badmm", 6, NOISE | SMALL_NET),
    "condition stuck": Case(Held, "lqr_flm", 9, NOISE),
    "no gain": Case(Fixed, "lqr_flm", 5, {"samples": 4}),
}
HEALTHY = {
    "controllers": Case(Point, "lqr_flm", 8, NOISE),
    "policy": Case(Point, "badmm", 5, NOISE | {"policy_steps": 60, "hidden": (16,)}),
    "reacher": Case(lambda: make_task("reacher_four"), "lqr_flm", 7, {}),
}


@cache
def run_of(case):
    """Returns what the tables of a tiny run hold."""
    task, method = case.task(), registry.load(case.method).method
    names = method.Config.__dataclass_fields__
    found = {"probe": False, "initial": "zero"} | case.settings
    found = {key: value for key, value in found.items() if key in names}
    config = method.Config(iterations=case.iterations, **found)
    rows, each = [], []
    for iteration in method.train(task, config, np.random.default_rng(0)):
        rows.append({"iteration": iteration.number, **iteration.scalars})
        each += by_condition(iteration, figures.kept())
    return Run(
        columns=columns(rows),
        conditions=tables.by_iteration(each),
        method=case.method,
        task="--task reacher_four",
        settings=vars(config),
        horizon=task.horizon,
    )


pytestmark = pytest.mark.filterwarnings("ignore")  # that nothing is learned is said there, too


def words(run):
    return [symptom.word for symptom in symptoms(run)]


def test_each_trouble_is_provoked():
    assert SICK.keys() == TROUBLES.keys()


@pytest.mark.parametrize("word", SICK)
def test_a_run_that_has_a_trouble_says_so(word):
    assert word in words(run_of(SICK[word]))


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_says_nothing(name):
    run = run_of(HEALTHY[name])
    assert words(run) == []
    cost = run.columns["cost"]
    assert cost[-1] < 0.8 * run.columns["sampled_cost"][0]  # it is a healthy one


@pytest.mark.parametrize("word", SICK)
def test_neither_a_constant_nor_a_unit_of_the_cost_changes_what_is_said(word):
    run = run_of(SICK[word])

    def other(table):
        return {
            key: (1e-3 * value if key in SCALED else value) + (500.0 if key in COSTS else 0.0)
            for key, value in table.items()
        }

    changed = run._replace(columns=other(run.columns), conditions=other(run.conditions))
    assert words(changed) == words(run)


@pytest.mark.parametrize("word", SICK)
def test_what_is_to_be_typed_can_be_typed(word):
    run = run_of(SICK[word])
    names = {field.name for field in registry.fields(Options())} | set(run.settings)
    known = {as_words({name: 0}).split()[0] for name in names}
    for symptom in symptoms(run):
        typed = re.findall("`(.*?)`", symptom.remedy)
        assert typed, symptom
        for text in typed:
            first, *rest = text.split()
            if first == "python":
                assert rest[1] in registry.methods()
                assert rest[1] != run.method
                rest = rest[2:]
                assert rest[0] == "--task"
            options = {part for part in text.split() if part.startswith("--")}
            assert options <= known, text


def test_a_run_without_the_columns_is_not_judged():
    run = run_of(SICK["no gain"])
    few = {key: run.columns[key] for key in ("iteration", "cost")}
    assert words(run._replace(columns=few, conditions={})) == []
    assert words(run._replace(columns={}, conditions={})) == []


def test_a_policy_no_better_than_no_action_has_not_gained():
    run = run_of(HEALTHY["controllers"])
    assert words(run._replace(returns=(-10.0, -9.0))) == ["no gain"]
    assert words(run._replace(returns=(-9.0, -10.0))) == []


def test_auto_is_not_told_that_another_method_tries_several():
    about = Run({}, {}, "auto", "--task pendulum", {"budget": 1000}, 50)
    assert "tries several" not in remedies.another_method(about)
    assert "tries several" in remedies.another_method(about._replace(method="pets"))


def test_a_trouble_is_told_once_and_when_it_was_seen_twice():
    run = run_of(SICK["no exploration seen"])
    rows = [
        dict(zip(run.columns, row, strict=True)) for row in zip(*run.columns.values(), strict=True)
    ]
    rows += [rows[-1] | {"iteration": 6.0}] * 3
    about = run._replace(columns={}, conditions={})
    watch = Watch(about, len(rows), [], [])
    told = [[symptom.word for symptom in watch.look(row, [])] for row in rows]
    assert [row.count("no exploration seen") for row in told] == [0, 0, 0, 0, 1, 0, 0, 0]
    for stop in range(len(rows)):  # a run that is resumed says what it would have said
        again = Watch(about, len(rows), rows[:stop], [])
        rest = [[symptom.word for symptom in again.look(row, [])] for row in rows[stop:]]
        assert rest == told[stop:]


def test_the_words_of_the_task_are_those_of_the_run_or_of_the_table():
    assert task_words("reacher_four_local", {}) == "--task reacher_four"
    chosen = {"task": "gymnasium:Pusher-v5", "task_horizon": 50, "evaluation_episodes": 3}
    assert task_words("lqr_flm", chosen) == "--task gymnasium:Pusher-v5 --task-horizon 50"
    assert task_words("reacher_wrong_masses", {}) == "--task TASK"
    assert task_words("made_in_python", {}) == "--task TASK"


def test_the_page_of_troubles_has_the_same_words():
    page = (ROOT / "docs" / "symptoms.md").read_text()
    heads = [head.lower() for head in re.findall("^### (.*)$", page, re.M)]
    assert heads == [word.lower() for word in TROUBLES]


def test_a_run_prints_what_is_wrong_and_its_report_begins_with_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.py").write_text("def nothing(x, u):\n    return (u**2).sum(-1)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    monkeypatch.setattr(video, "make_apart", lambda *_: None)
    sick = ["lqr_flm", "--task", "mountain_car", "--task-horizon", "6", "--iterations", "6"]
    assert guarded(program.main, [*sick, "--cost", "own.py:nothing", "--out", "r"]) == 0
    printed = capsys.readouterr().out
    before, _, after = printed.partition("result")
    assert "flat cost: try `--cost MODULE:FUNCTION`\n" in before  # while it was in progress
    assert "there is no slope to follow. Try a cost that falls towards the goal" in after
    (first, *_) = json.loads(Path("r/result.json").read_text())["symptoms"]
    assert first["word"] == "flat cost"
    report = Path("r/report.html").read_text()
    assert report.index("<b>flat cost</b>") < report.index("Final figures")
    assert "<code>python experiments/run.py pilqr --task mountain_car" in report
    assert finalise.run_report.told(first) in printed
