"""The comparison of priors: one command, one table, one figure; what is there is not done twice."""

import dataclasses

import numpy as np
import pytest

from agents.tasks.mujoco.reacher import ReacherFour
from dynamics import make_prior
from experiments.benchmarking.priors import cost_at, read_rows, table
from experiments.benchmarking.priors_data import assess, evaluated, record
from experiments.configs import reacher_four_local
from gps import lqr_flm
from gps.steps.initial_controllers import zero_controllers
from gps.steps.local_data import LocalData, transitions
from gps.steps.local_models import fit_dynamics
from lqr import InputError


@pytest.fixture
def compared(parent, done, tmp_path):
    """A function that runs the command where the small comparison is, in a fork that has the
    libraries loaded; returns its exit code and what it said.
    """

    def run(*words):
        code = parent.run(done[0], words, command="compare_priors", said=tmp_path, real=True)
        return code, (tmp_path / "out").read_text(), (tmp_path / "err").read_text()

    return run


@pytest.fixture(scope="module")
def done(parent, tmp_path_factory):
    """The folder of a small comparison, and what it printed."""
    folder, said = tmp_path_factory.mktemp("compared"), tmp_path_factory.mktemp("said")
    words = ("point_mass", "--priors", "flat", "gmm", "--iterations", 3, "--out", "c")
    code = parent.run(folder, words, command="compare_priors", said=said, real=True)
    assert code == 0, (said / "err").read_text()
    return folder, words, (said / "out").read_text()


def test_one_command_leaves_both_tables_and_the_figure(done):
    folder, _, printed = done
    rows = read_rows(folder / "c" / "models.csv")
    assert [(row["prior"], row["iteration"]) for row in rows] == [
        (w, i) for w in ("flat", "gmm") for i in (1, 2, 3)
    ]
    learned = read_rows(folder / "c" / "learning.csv")
    assert {(row["prior"], row["seed"]) for row in learned} == {("flat", 0), ("gmm", 0)}
    assert len(learned) == 6
    page = (folder / "c" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "http" not in page
    assert page.index('class="verdict') < page.index("<h2>")
    assert (folder / "c" / "priors.png").read_bytes().startswith(b"\x89PNG")
    shown = printed.replace(str(folder), "runs")
    assert max(map(len, shown.splitlines())) <= 80


def test_a_mixture_predicts_unseen_episodes_better_than_no_prior():
    task, config = ReacherFour(), dataclasses.replace(reacher_four_local.config, iterations=3)
    recorded = list(record(task, lqr_flm, config, 0, held_out=5))
    error = {
        word: np.mean([row["one_step"] for row in assess(word, task, recorded)])
        for word in ("flat", "gmm")
    }
    assert error["gmm"] < 0.7 * error["flat"] < 0.7


def test_what_is_there_is_not_done_again(done, compared):
    folder, words, _ = done
    files = {path: path.read_bytes() for path in (folder / "c").glob("*.csv")}
    code, printed, _ = compared(*words)
    assert code == 0
    assert "recording" not in printed
    assert "learning with" not in printed
    assert {path: path.read_bytes() for path in (folder / "c").glob("*.csv")} == files


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("reacher_four_local", "--priors", "gm", "--out", "d"), 2, "did you mean gmm"),
        (("reacher_fou_local",), 2, "reacher_four_local"),
        (
            ("reacher_four_local", "--priors", "gmm", "--held-out", 0, "--out", "d"),
            2,
            "held-out is 0",
        ),
        (
            ("point_mass", "--priors", "gmm", "--iterations", 3, "--out", "c"),
            3,
            "differs in priors",
        ),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(compared, words, code, said):
    found, _, line = compared(*words)
    assert found == code
    assert said in line
    assert len(line.splitlines()) == 1


def test_the_episodes_a_model_is_judged_by_are_not_those_it_has_seen():
    one = next(record(ReacherFour(), lqr_flm, lqr_flm.Config(), 0, held_out=3))
    assert one.seen.x.shape[:2] == (4, 2)
    assert one.held_out.x.shape[:2] == (4, 3)
    same = np.isclose(one.seen.x[:, :, None], one.held_out.x[:, None]).all((-1, -2))
    assert not same.any()


def test_the_zero_model_is_the_unit_of_the_errors():
    config = lqr_flm.Config(iterations=2, probe=False, initial="zero")  # as the experiment has it
    recorded = list(record(ReacherFour(), lqr_flm, config, 1, held_out=4))
    row = list(assess("gmm", ReacherFour(), recorded))[-1]
    assert 0 < row["one_step"] < 1
    assert 0 < row["k_step"] < 1
    assert row["episodes"] == 16
    assert 0 < row["coverage_50"] < row["coverage_90"] < row["coverage_99"] <= 1
    with pytest.raises(InputError, match="expected one of"):
        list(assess("nothing", ReacherFour(), recorded))


def test_the_cost_at_a_number_of_episodes_is_the_last_one_within_it():
    rows = [
        {"prior": "a", "seed": s, "episodes": n, "cost": 10 * s + 1 / n}
        for s in (1, 2)
        for n in (50, 96, 104)
    ]
    assert cost_at(rows, "a", 100) == [10 + 1 / 96, 20 + 1 / 96]
    assert cost_at(rows, "b", 100) == []
    keys = (
        "one_step",
        "k_step",
        "log_likelihood",
        "coverage_50",
        "coverage_90",
        "coverage_99",
        "fit_ms",
    )
    lines = table(("a",), [{"prior": "a", **dict.fromkeys(keys, 0.5)}], rows)
    assert "cost@100" in lines[0]
    assert lines[1].endswith(f"{15 + 1 / 96:.2f}")


def test_intervals_hold_as_often_as_they_say_on_a_linear_system():
    rng = np.random.default_rng(0)
    F, T = np.array([[1.0, 0.1, 0.0], [-0.1, 0.9, 0.2]]), 12

    def episodes(count):
        x, u = np.empty((2, count, T + 1, 2)), rng.standard_normal((2, count, T, 1))
        x[:, :, 0] = rng.standard_normal((2, count, 2))
        for t in range(T):
            xu = np.concatenate([x[:, :, t], u[:, :, t]], -1)
            x[:, :, t + 1] = xu @ F.T + 0.05 * rng.standard_normal((2, count, 2))
        blank = zero_controllers(ReacherFour(), 0.1)
        nothing = np.zeros(2)
        ran = {
            "x": x,
            "u": u,
            "o": x,
            "used": np.ones(u.shape[:3]),
            "cost": nothing,
            "multiplier": nothing,
        }
        return LocalData(
            controller=blank,
            **ran,
            predicted=nothing,
            baseline=nothing,
            variation=nothing,
            error=nothing,
        )

    seen, prior = episodes(60), make_prior("flat")
    prior.update(*transitions(seen))
    row = evaluated(fit_dynamics(seen, prior), episodes(400))
    np.testing.assert_allclose(
        [row[f"coverage_{p}"] for p in (50, 90, 99)], (0.5, 0.9, 0.99), atol=0.04
    )
    assert row["one_step"] < 1


def test_what_comes_after_an_episodes_end_is_not_judged():
    one = next(record(ReacherFour(), lqr_flm, lqr_flm.Config(), 2, held_out=3))
    prior = make_prior("gmm")
    prior.update(*transitions(one.seen))
    fit, unseen = fit_dynamics(one.seen, prior), one.held_out
    used = unseen.used.copy()
    used[:, 1, 20:] = used[:, 2] = 0  # one episode ends early, one did not take place
    x = unseen.x.copy()
    x[:, 1, 21:] = x[:, 2] = 100.0
    ended, whole = evaluated(fit, unseen._replace(x=x, used=used)), evaluated(fit, unseen)
    assert ended == evaluated(fit, unseen._replace(used=used))
    assert ended["one_step"] == pytest.approx(whole["one_step"], rel=0.5)
    assert (
        evaluated(fit, unseen._replace(used=used * (np.arange(used.shape[2]) < 4)))["k_step"] < 1
    )  # 4 steps, not 10
