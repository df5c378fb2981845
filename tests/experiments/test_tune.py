"""A search over settings finds what is better, prunes what is worse, and goes on where it was
stopped.
"""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toy import Config, PointMass

from experiments.engine.registry import Experiment
from experiments.sweeps import space, tuning, tuning_page
from gps import badmm
from lqr import InputError

optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install .[tune]")
ROOT = Path(__file__).resolve().parents[2]


class Bowl:
    """A method whose last cost is (log10 spread)^2 + tries / 100, but for the seed."""

    __name__ = "bowl"

    @staticmethod
    def train(task, config, rng, state=None):
        from types import SimpleNamespace

        for number in range(1, config.iterations + 1):
            Bowl.steps += 1
            cost = np.log10(config.spread) ** 2 + config.tries / 100 + 1.0 / number + Bowl.height
            yield SimpleNamespace(number=number, scalars={"cost": cost})

    steps, height = 0, 0.0


def search(**more):
    config = Config(iterations=4, spread=5.0, tries=40)
    ranges = space.asked(["spread:0.01..100", "tries:1..50"], config)
    experiment = Experiment("bowl", "A bowl.", PointMass, Bowl, config)
    return tuning.Search(experiment, config, ranges, range(10, 12), **more)


def run(folder, trials, **more):
    study, mine = tuning.open_study(folder), search(**more)
    tuning.forget_what_died(study)
    tuning.begin(study, mine)
    tuning.work(study, mine, trials)
    return study


def values(study):
    return [(t.state.name, t.params, t.value) for t in tuning.ended(study)]


def test_the_bottom_of_a_bowl_is_found_and_what_lies_high_is_pruned(tmp_path):
    Bowl.steps = 0
    study = run(tmp_path, 40)
    first, best = tuning.ended(study)[0], study.best_trial
    assert first.params == {"spread": 5.0, "tries": 40}  # the settings as they are come first
    assert abs(np.log10(best.params["spread"])) < 0.2
    assert best.params["tries"] < 20
    states = [t.state.name for t in tuning.ended(study)]
    assert states.count("PRUNED") > 5
    assert Bowl.steps < 0.9 * 40 * 2 * 4  # of all trials to their ends


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = values(run(tmp_path / "a", 14))
    study, mine = tuning.open_study(tmp_path / "b"), search()
    tuning.begin(study, mine)
    tuning.work(study, mine, 1, stopped=iter([False, True, True]).__next__)  # in the first trial
    assert tuning.ended(study) == []
    run(tmp_path / "b", 9)
    study, mine = tuning.open_study(tmp_path / "b"), search()
    study.ask()  # a trial whose process was killed
    tuning.forget_what_died(study)
    tuning.work(study, mine, 14)
    assert values(study) == whole


def test_a_return_is_searched_upward(tmp_path):
    study = run(tmp_path, 20, larger=True)
    assert abs(np.log10(study.best_trial.params["spread"])) > 1


def test_what_breaks_at_once_is_told_with_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="measure is 'height'; expected one of cost"):
        run(tmp_path, 3, measure="height")
    monkeypatch.setattr(Bowl, "height", np.nan)
    with pytest.raises(InputError, match="--evaluate-every"):
        run(tmp_path, 3)


def test_the_usual_sizes_hold_their_values_and_words_are_understood():
    config = badmm.Config()
    ranges = {r.name: r for r in space.usual(config)}
    assert {"kl_step", "initial_std"} <= set(ranges)
    assert not {"iterations", "samples", "hidden"} & set(ranges)
    assert all(r.holds(getattr(config, name)) for name, r in ranges.items())
    words = ["prior:gmm,gp", "samples:2..8", "probe:true,false"]
    prior, samples, probe = space.asked(words, config)
    assert (prior.choices, samples.whole, probe.choices) == (("gmm", "gp"), True, (True, False))


@pytest.mark.parametrize(
    "word", ["kl_stepp:1..2", "kl_step:2..1", "kl_step", "kl_step:1", "samples:1.5..2", "prior:1..2",
             "kl_step:a..b", "probe:1,2"],
)  # fmt: skip
def test_a_range_that_is_none_is_refused(word):
    with pytest.raises(InputError, match=re.escape(word)):
        space.asked([word], badmm.Config())


def test_importance_is_that_of_the_bowl(tmp_path):
    study = run(tmp_path, 40)
    shares = tuning_page.importances(study)
    assert shares["spread"] > 0.8


WORDS = ("lqr_flm", "--task", "point_mass", "--trials", 3, "--iterations", 1, "--samples", 2,
         "--search", "kl_step:1..50", "--judge", 1, "--seeds", 1, "--prior", "flat")  # fmt: skip


def command(folder, *more):
    words = [sys.executable, str(ROOT / "experiments" / "tune.py"), *map(str, WORDS), *more]
    return subprocess.Popen(
        [*words, "--out", "t"],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_command_leaves_settings_that_the_others_take_a_table_and_a_page(tmp_path):
    done = command(tmp_path, "--jobs", "2")
    said, err = done.communicate(timeout=600)
    assert done.returncode == 0, err
    assert "look at" in said
    best = json.loads((tmp_path / "t" / "best.json").read_text())
    assert best["method"] == "gps.lqr_flm"
    assert 1 <= best["config"]["kl_step"] <= 50
    with open(tmp_path / "t" / "tune.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) >= 3
    page = (tmp_path / "t" / "report.html").read_text()
    assert page.count("<img") >= 2
    assert "none of which settings were chosen on" in page


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    process = command(tmp_path, "--trials", "4000")
    study = tmp_path / "t" / "study.log"
    end = time.monotonic() + 300
    while not (study.exists() and study.read_text().count("\n") > 6) and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "--out" in said
