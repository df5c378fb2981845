"""A run from Python leaves what the command line leaves; settings come out of a file; a run is made
longer, or begins where another one stood.
"""

import csv
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from toy import Config, PointMass, train

from agents import load_policy
from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.tasks.base.ode_task import MapTask
from experiments.engine.load_run import open_run
from experiments.run import run
from gps import lqr_flm
from lqr import Action, CheckpointError, InputError, WeightedNorm

SMALL = lqr_flm.Config(iterations=3, samples=3, prior="flat")


class Cart(MapTask):
    """x = [place, speed], pushed by u."""

    name, horizon, dt, dx, du, do = "cart", 6, 0.3, 2, 1, 2
    cost = WeightedNorm([1.0, 0.1]) + Action([0.1])
    action_low, action_high = np.array([-1.0]), np.array([1.0])

    def starts(self, conditions, rng):
        return np.stack([1.0 - conditions, 0.01 * rng.standard_normal(len(conditions))], -1)

    def advance(self, s, u):
        return np.stack([s[..., 0] + 0.3 * s[..., 1], s[..., 1] + 0.3 * u[..., 0]], -1)

    def states(self, s):
        return s.copy()

    see = states

    def metrics(self, x, u):
        return {}


def table(path):
    with open(path / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_it_learns_what_train_learns_and_leaves_a_report_and_a_policy(tmp_path):
    heard = []
    done = run(Cart(1), "lqr_flm", SMALL, out=tmp_path / "r", on_iteration=heard.append)
    rows = list(lqr_flm.train(Cart(1), SMALL, np.random.default_rng(0)))
    assert [float(row["cost"]) for row in table(done.path)] == [r.scalars["cost"] for r in rows]
    assert [i.number for i in heard] == [1, 2, 3]
    assert done.result["iterations"] == 3
    assert "from Python" in (done.path / "report.html").read_text()
    x = np.array([0.5, 0.1])
    for policy in (done.policy, load_policy(done.path)):
        np.testing.assert_array_equal(policy.act(x, 2, 0), rows[-1].policy.act(x, 2, 0))
    with pytest.raises(CheckpointError, match="load_policy"):
        open_run(done.path)


def test_what_a_callback_raises_loses_nothing_and_the_run_goes_on_to_the_same_bits(tmp_path):
    def fail(iteration):
        if iteration.number == 2:
            raise RuntimeError("the notebook was closed")

    with pytest.raises(RuntimeError, match="closed"):
        run(Cart(1), lqr_flm, SMALL, out=tmp_path / "r", on_iteration=fail)
    run(Cart(1), lqr_flm, SMALL, out=tmp_path / "r", resume=True)
    run(Cart(1), lqr_flm, SMALL, out=tmp_path / "whole", resume=True)  # there is none: a new one
    assert table(tmp_path / "r") == table(tmp_path / "whole")


def test_another_run_is_not_taken_for_the_one_that_is_asked_for(tmp_path):
    done = run(Cart(1), lqr_flm, SMALL, out=tmp_path / "r")
    before = {p: p.read_bytes() for p in done.path.rglob("*") if p.is_file()}
    other = replace(SMALL, kl_step=3.0)
    for words, said in (
        ({"config": other}, "kl_step"),
        ({"config": replace(other, iterations=9)}, "kl_step"),
        ({"config": SMALL, "seed": 4}, "seed"),
        ({"method": "pilqr"}, "pilqr"),
        ({"config": SMALL, "task": PointMass()}, "python"),
    ):
        given = {"task": Cart(1), "method": "lqr_flm", "out": done.path, "resume": True} | words
        with pytest.raises(CheckpointError, match=said):
            run(given.pop("task"), given.pop("method"), **given)
    after = {p: p.read_bytes() for p in done.path.rglob("*") if p.is_file()}
    assert {p: b for p, b in after.items() if p.name != "run.lock"} == {
        p: b for p, b in before.items() if p.name != "run.lock"
    }
    longer = run(Cart(1), lqr_flm, replace(SMALL, iterations=4), out=done.path, resume=True)
    assert longer.result["iterations"] == 4


def test_a_callback_ends_a_run_which_then_has_its_report(tmp_path):
    done = run(Cart(1), lqr_flm, SMALL, out=tmp_path / "r", on_iteration=lambda i: i.number == 2)
    assert done.result["iterations"] == 2
    assert (done.path / "figures" / "learning.png").exists()


def test_a_module_of_the_users_own_is_a_method(tmp_path):
    own = SimpleNamespace(__name__="mine.search", __doc__="Mine.", Config=Config, train=train)
    sys.modules["mine.search"] = own
    task = PointMass()
    with pytest.raises(InputError, match="Config"):
        run(task, own, SMALL, out=tmp_path / "no")
    with pytest.raises(InputError, match="expected a word, or a module"):
        run(task, 3, out=tmp_path / "no")
    with pytest.raises(InputError, match="method is 'badm'"):
        run(task, "badm", out=tmp_path / "no")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("made", ["by gymnasium", "by its class"])
def test_an_environment_that_is_there_is_the_one_of_its_id(made):
    env = gymnasium.make("Pendulum-v1")
    env = env if made == "by gymnasium" else env.unwrapped
    if made == "by its class":
        env.spec = None
    seen = []
    for task in (GymnasiumTask(env, horizon=5), GymnasiumTask("Pendulum-v1", horizon=5)):
        task.reset(np.zeros(2, int), np.random.default_rng(0))
        for _ in range(5):
            task.step(np.array([[0.3], [-0.7]]))
        seen.append(task.observe())
    np.testing.assert_array_equal(*seen)


def test_a_finished_run_is_made_longer_to_the_bits_of_a_long_one(forked, tmp_path):
    assert forked("run", "toy", "--iterations", 3, "--out", "r").returncode == 0
    again = forked("run", "--resume", "r", "--iterations", 5)
    assert again.returncode == 0, again.stderr
    assert forked("run", "toy", "--iterations", 5, "--out", "long").returncode == 0
    assert table(tmp_path / "r") == table(tmp_path / "long")
    about = json.loads((tmp_path / "r" / "config.json").read_text())
    assert (about["config"]["iterations"], about["lengthened_from"]) == (5, [3])
    assert "begun with 3 iterations" in (tmp_path / "r" / "report.html").read_text()
    assert "finished already" in forked("run", "--resume", "r").stdout
    fewer = forked("run", "--resume", "r", "--iterations", 4)
    assert fewer.returncode == 3
    assert "iterations" in fewer.stderr


def test_a_run_begins_where_another_one_stood_with_settings_of_its_own(forked, tmp_path):
    assert forked("run", "toy", "--iterations", 3, "--out", "r").returncode == 0
    few = forked("run", "toy", "--init", "r", "--iterations", 3, "--out", "no")
    assert few.returncode == 3
    assert "--iterations 6" in few.stderr
    words = ("--init", "r", "--iterations", 5, "--spread", 0.1, "--seed", 7, "--out", "warm")
    done = forked("run", "toy", *words)
    assert done.returncode == 0, done.stderr
    first, last = table(tmp_path / "warm"), table(tmp_path / "r")
    assert [int(row["iteration"]) for row in first] == [4, 5]
    assert float(first[0]["cost"]) < 1.1 * float(last[-1]["cost"])  # it was taken along
    assert 1.1 * float(last[-1]["cost"]) < float(last[0]["cost"])
    assert "another run stood" in (tmp_path / "warm" / "report.html").read_text()


def test_settings_go_into_a_file_and_come_out_of_it(forked, tmp_path):
    saved = forked("run", "toy", "--spread", 0.25, "--sizes", 5, 6, "--save-config", "s.json")
    assert saved.returncode == 0, saved.stderr
    assert not (tmp_path / "runs").exists()
    assert forked("run", "toy", "--config", "s.json", "--tries", 3, "--out", "r").returncode == 0
    got = json.loads((tmp_path / "r" / "config.json").read_text())["config"]
    assert (got["spread"], got["sizes"], got["tries"]) == (0.25, [5, 6], 3)
    assert forked("run", "toy", "--config", "r/config.json", "--out", "r2").returncode == 0
    assert table(tmp_path / "r") == table(tmp_path / "r2")
    (tmp_path / "y.yaml").write_text("spread: 0.25\nsizes: [5, 6]\ntries: 3\n")
    pytest.importorskip("yaml")
    assert forked("run", "toy", "--config", "y.yaml", "--out", "r3").returncode == 0
    assert table(tmp_path / "r") == table(tmp_path / "r3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"spreat": 1}', "did you mean spread"),
        ('{"method": "gps.badmm", "config": {}}', "got settings of gps.badmm"),
        ("[1]", "object"),
        ("{", "no valid JSON"),
        ('{"iterations": 0}', "expected 1 or more"),
    ],
)
def test_a_file_of_settings_that_does_not_fit_is_refused_in_one_line(forked, tmp_path, text, said):
    (tmp_path / "s.json").write_text(text)
    done = forked("run", "toy", "--config", "s.json", "--out", "r")
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
