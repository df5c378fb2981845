"""A task and a cost from the command line: learned with, resumed with, and never imported for a
file's word.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from agents import load_policy
from experiments.engine.cli import Options
from experiments.engine.guard import guarded
from experiments.engine.overrides import choose, load_function
from experiments.engine.registry import load
from experiments.run import main
from lqr import CheckpointError, InputError

COST = """
import os
import numpy as np
calls = 0
def reach(x, u):
    global calls
    calls += 1
    if calls > int(os.environ.get("CALLS", 10**9)):
        raise RuntimeError("planned")
    return np.sqrt(1e-3 + (x[:, :2] ** 2).sum(-1)) + 0.01 * (u**2).sum(-1)
"""
WORDS = ["lqr_flm", "--task", "point_mass", "--iterations", "3"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to stand in, with the user's module in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(COST)
    yield tmp_path
    sys.modules.pop("mine", None)


def chosen(name, **words):
    return choose(load(name), Options(**words))


def test_a_method_learns_a_task_with_a_users_cost_and_resumes_to_the_same_bits(
    here, monkeypatch, capsys
):
    words = [*WORDS, "--cost", "mine.py:reach"]
    assert guarded(main, [*words, "--out", "whole"]) == 0
    calls = sys.modules["mine"].calls
    sys.modules.pop("mine")
    monkeypatch.setenv("CALLS", str(calls - 10))  # fails in the last iteration
    assert guarded(main, [*words, "--out", "parts"]) == 2
    sys.modules.pop("mine")
    monkeypatch.delenv("CALLS")
    assert [p.name for p in (here / "parts" / "checkpoints").iterdir()]
    assert guarded(main, ["--resume", "parts"]) == 3  # the cost is not imported for a file's word
    assert "mine" not in sys.modules
    assert "expected it beside the run" in capsys.readouterr().err
    assert guarded(main, ["--resume", "parts", "--cost", "mine.py:reach"]) == 0
    for name in ("metrics.csv", "conditions.csv", "policy/MANIFEST.json"):
        assert (here / "whole" / name).read_bytes() == (here / "parts" / name).read_bytes(), name
    config = json.loads((here / "whole" / "config.json").read_text())
    assert config["chosen"]["task"] == "point_mass"
    report = (here / "whole" / "report.html").read_text()
    assert "point_mass with the cost mine.py:reach" in report
    assert "<td>x[2]</td><td>speed x (m/s)</td>" in report
    assert "<td>u[0]</td><td>force x (N)</td>" in report


def test_a_planning_method_takes_a_task_of_any_length_and_a_cost_too(here):
    words = ["mpc", "--task", "mountain_car", "--task-horizon", "12", "--iterations", "2"]
    words += ["--planner-samples", "20", "--horizon", "5", "--fit-steps", "20"]
    assert guarded(main, [*words, "--out", "plain"]) == 0
    policy = load_policy(here / "plain")
    assert policy.steps == 12
    oracle = json.loads((here / "plain" / "result.json").read_text())["oracle"]
    assert set(oracle) == {"learned", "true"}
    report = (here / "plain" / "report.html").read_text()
    assert "the same starts, planned in the ground-truth dynamics" in report
    for name, heading in (
        ("predicted_cost", "Predicted and real cost"),
        ("open_loop", "open loop"),
        ("planner", "search"),
    ):
        assert (here / "plain" / "figures" / f"{name}.png").exists()
        assert heading in report
    with pytest.raises(InputError, match=r"state x has shape \(3,\); expected \(2,\)"):
        policy.act(np.zeros(3))
    assert guarded(main, [*words, "--cost", "mine.py:reach", "--out", "own"]) == 0
    with pytest.raises(CheckpointError, match="expected load_policy"):
        load_policy(here / "own")


def test_a_run_is_resumed_with_its_own_task_and_cost_alone(here):
    saved = {"chosen": {"task": "pusher", "task_horizon": 30, "cost": "mine:reach"}}

    def resume(**words):
        return choose(load("lqr_flm"), Options(resume=here, **words), saved)

    assert resume(cost="mine:reach").task().horizon == 30
    for words in ({"cost": "mine:other"}, {"cost": "mine:reach", "task": "peg"}):
        with pytest.raises(CheckpointError, match="as the run was begun with"):
            resume(**words)
    with pytest.raises(CheckpointError, match="none, as the run was begun with"):
        choose(load("pendulum"), Options(resume=here, task="pusher"), {})


@pytest.mark.parametrize("text", ["gymnasium:evil:Foo-v0", "gymnasium:evil:sub:Foo-v0"])
def test_a_module_that_a_saved_task_names_is_not_imported(here, text):
    (here / "evil.py").write_text("open('touched', 'w')")
    saved = {"chosen": {"task": text}}
    with pytest.raises(CheckpointError, match="nothing is imported for a file's word"):
        choose(load("lqr_flm"), Options(resume=here), saved)
    assert not (here / "touched").exists()


def test_an_environment_of_a_users_module_is_registered_by_importing_it(here):
    (here / "envs.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v0', 'gymnasium.envs.classic_control:PendulumEnv', max_episode_steps=30)\n"
    )
    task = chosen("lqr_flm", task="gymnasium:envs:Mine-v0", task_conditions=2).task()
    assert (task.name, task.horizon, task.conditions) == ("gymnasium:Mine-v0", 30, 2)
    sys.modules.pop("envs")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "got the method lqr_flm without a task; expected --task TASK: reacher"),
        ({"task": "pushr"}, "unknown task 'pushr'"),
        (
            {"task": "gymnasium:CartPole-v1"},
            "has discrete actions, .*wrap it in a gymnasium.ActionWrapper",
        ),
        ({"task": "gymnasium:Nothing-v7"}, "expected one that Gymnasium knows"),
        (
            {"task": "pendulum", "task_horizon": 5},
            "got --task-horizon, which it has no setting for",
        ),
        ({"task": "pusher", "task_horizon": 0}, "got --task-horizon 0; expected 1"),
        ({"task": "pusher", "task_conditions": 0}, "got --task-conditions 0; expected 1"),
        ({"task": "pusher", "cost": "mine"}, "expected MODULE:FUNCTION or FILE.py:FUNCTION"),
        ({"task": "pusher", "cost": "nowhere:reach"}, "No module named 'nowhere'"),
        ({"task": "pusher", "cost": "nowhere.py:reach"}, "which is not there"),
        ({"task": "pusher", "cost": "mine:reash"}, "has no reash; did you mean reach"),
    ],
)
def test_what_cannot_be_chosen_is_said_in_one_line(here, words, message):
    with pytest.raises(InputError, match=message):
        chosen("lqr_flm", **words).task()


def test_no_evaluation_episodes_are_none():
    assert chosen("reacher_four", evaluation_episodes=0) == load("reacher_four")


def test_settings_of_a_task_need_a_task():
    with pytest.raises(InputError, match="got --task-horizon without --task"):
        chosen("reacher_four", task_horizon=10)


def test_a_module_here_does_not_hide_a_library(here):
    (here / "pyclbr.py").write_text("raise RuntimeError('hidden')")
    assert load_function("pyclbr:readmodule").__module__ == "pyclbr"


def test_a_module_that_fails_is_named(here):
    (here / "bad.py").write_text("1 / 0")
    with pytest.raises(InputError, match=r"cannot be imported \(ZeroDivisionError"):
        load_function("bad:cost")


@pytest.mark.parametrize(
    ("method", "words", "starts"),
    [("badmm", {}, 8), ("badmm", {"task_conditions": 3}, 3), ("lqr_flm", {}, 1), ("mpc", {}, 1)],
)
def test_a_policy_that_is_to_act_from_any_start_learns_from_several_and_says_so(
    method, words, starts, capsys
):
    chosen = choose(load(method), Options(task="gymnasium:Pendulum-v1", **words))
    assert chosen.task().conditions == starts
    assert ("8 starts" in capsys.readouterr().out) is (starts == 8)
    again = choose(load(method), Options(resume=Path("r")), {"chosen": chosen.chosen})
    assert again.task().conditions == starts  # a resumed run has what it began with
