"""A sweep's table is the same however many run at a time, and whoever is killed."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from experiments.engine.guard import guarded
from experiments.engine.run_folder import CHECKPOINTS
from experiments.engine.signals import Stop
from experiments.sweep import main
from experiments.sweeps.ownership import MARK, claim, withdrawn
from experiments.sweeps.process import start
from experiments.sweeps.results import write_table
from experiments.sweeps.seeds import TRIES, sweep

TOY = Path(__file__).resolve().parents[1] / "experiments" / "toy.py"
COMMAND = [sys.executable, str(TOY), "toy", "--iterations", "4"]
SEEDS = range(2, 4)


def quiet(text):
    pass


@pytest.fixture(autouse=True, scope="module")
def no_figures():
    """The runs of the toy draw none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOY_FIGURES", "none")
        yield


@pytest.fixture(scope="module")
def serial(parent, tmp_path_factory):
    """The table of the seeds, one after the other, each forked by the parent."""
    folder, said = tmp_path_factory.mktemp("serial"), tmp_path_factory.mktemp("said")

    def launch(words, log):
        return Scripted([parent.run(folder, words[2:], said=said)], [])

    ended = sweep(COMMAND, SEEDS, folder, 1, Stop(), launch, say=quiet)
    assert [(outcome.code, outcome.deaths) for outcome in ended] == [(0, 0)] * len(SEEDS)
    assert [row["seed"] for row in write_table(folder, SEEDS)] == list(SEEDS)
    return (folder / "sweep.csv").read_bytes()


@pytest.mark.slow
def test_killed_workers_are_replaced_and_the_table_is_that_of_the_serial_sweep(tmp_path, serial):
    killed = set()

    def launch(words, log):
        process = start(
            [*words, *(["--pause", "1.5", "--pause-at", "2"] if "--resume" not in words else [])],
            log,
        )
        if log.name not in killed:  # each seed loses its first worker after its first checkpoint
            killed.add(log.name)
            threading.Thread(
                target=kill_after_a_checkpoint, args=(process, log.with_suffix("") / CHECKPOINTS)
            ).start()
        return process

    ended = sweep(COMMAND, SEEDS, tmp_path, 2, Stop(), launch, say=quiet)
    assert [(outcome.code, outcome.deaths) for outcome in ended] == [(0, 1)] * len(SEEDS)
    write_table(tmp_path, SEEDS)
    assert (tmp_path / "sweep.csv").read_bytes() == serial


def kill_after_a_checkpoint(process, steps):
    while not list(steps.glob("step_*")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()


class Scripted:
    """A process that ends as it was told."""

    def __init__(self, codes, signals):
        self.codes, self.signals = codes, signals

    def poll(self):
        return self.codes.pop(0) if self.codes else None

    def send_signal(self, number):
        self.signals.append(number)
        self.codes.append(-number)


def scripted(lives):
    """A launch by which seed s lives the lives[s], each a list of what poll() says."""
    signals = []

    def launch(words, log):
        log.write_text("error: got nothing\n")
        codes = lives[int(log.stem.removeprefix("seed_"))].pop(0)
        if 0 in codes:
            log.with_suffix("").mkdir()
            (log.with_suffix("") / "result.json").touch()
        return Scripted(codes, signals)

    return launch, signals


def test_a_worker_that_dies_again_and_again_without_a_checkpoint_is_given_up_and_the_others_go_on(
    tmp_path,
):
    launch, _ = scripted({0: [[-9] for _ in range(9)], 1: [[None, 0]]})
    outcomes = sweep(["run"], range(2), tmp_path, 1, Stop(), launch, say=quiet)
    assert outcomes == [(0, -9, TRIES), (1, 0, 0)]


def test_a_failure_that_would_come_again_is_not_tried_again(tmp_path):
    launch, _ = scripted({0: [[None, 6]]})
    said = []
    assert sweep(["run"], [0], tmp_path, 1, Stop(), launch, say=said.append) == [(0, 6, 0)]
    assert said == ["seed 0: ended with 6, error: got nothing"]


def test_a_worker_that_says_it_is_done_and_left_no_result_is_not_done(tmp_path):
    def launch(words, log):
        return Scripted([None, 0], [])

    said = []
    assert sweep(["run"], [0], tmp_path, 1, Stop(), launch, say=said.append) == [(0, 1, 0)]
    assert "left no result" in said[0]


def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path):
    launch, signals = scripted({0: [[], [0]]})
    assert sweep(["run"], [0], tmp_path, 1, Stop(), launch, patience=0.05, say=quiet) == [(0, 0, 1)]
    assert signals == [signal.SIGKILL]


def test_a_stop_is_passed_on_and_starts_no_more(tmp_path):
    stop = Stop()
    launch, signals = scripted({0: [[]], 1: [[0]]})
    threading.Timer(0.1, lambda: setattr(stop, "asked", signal.SIGINT)).start()
    assert sweep(["run"], range(2), tmp_path, 1, stop, launch, say=quiet) == [(0, -15, 0)]
    assert signals == [signal.SIGTERM]


def test_the_command_runs_shows_and_goes_on_where_it_was_and_leaves_nobody_when_it_is_killed(
    parent, place, tmp_path, serial
):
    words = [
        "toy",
        "--seeds",
        "2",
        "--first",
        "2",
        "--jobs",
        "2",
        "--out",
        "s",
        "--iterations",
        "4",
    ]
    assert parent.run(tmp_path, words, command="sweep", said=place) == 0, (
        place / "err"
    ).read_text()
    assert "standard deviation" in (place / "out").read_text()
    assert (tmp_path / "s" / "sweep.csv").read_bytes() == serial
    os.remove(tmp_path / "s" / "sweep.csv")
    assert parent.run(tmp_path, words, command="sweep", said=place) == 0, (
        place / "err"
    ).read_text()
    assert (tmp_path / "s" / "sweep.csv").read_bytes() == serial


def test_a_sweep_of_which_no_run_began_leaves_nothing(tmp_path, monkeypatch):
    def refused(words, log):
        log.write_text("error: unknown task\n")
        return Scripted([2], [])

    monkeypatch.setattr("experiments.sweeps.process.start", refused)
    out = tmp_path / "s"
    out.mkdir()
    assert guarded(main, ["point_mass", "--seeds", "2", "--out", str(out)]) == 2
    assert not out.exists()


def test_what_began_or_is_somebody_elses_stays(tmp_path):
    claim(tmp_path / "s", {"experiment": "toy"})
    (tmp_path / "s" / "seed_3").mkdir()
    assert not withdrawn(tmp_path / "s", range(2, 4))
    assert {path.name for path in (tmp_path / "s").iterdir()} == {MARK, "seed_3"}
    (tmp_path / "s" / "seed_3").rename(tmp_path / "s" / "mine")
    assert withdrawn(tmp_path / "s", range(2, 4))
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"mine"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["tay"], "toy"),
        (["toy", "--seeds", "0"], "--seeds is 0"),
        (["toy", "--seed", "3"], "--seeds"),
        (["toy", "--patience", "nan"], "--patience is nan"),
        (["toy", "--patience", "0"], "--patience is 0"),
        (["toy", "--first", "99999999999"], "seeds up to 100000000003"),
        (["toy", "--iteration", "3"], "--iterations"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line_and_makes_no_folder(
    parent, place, tmp_path, words, named
):
    assert parent.run(tmp_path, words, command="sweep", said=place) == 2
    (line,) = (place / "err").read_text().splitlines()
    assert named in line
    assert os.listdir(tmp_path) == []


def test_a_system_without_linuxs_own_call_starts_a_process_too(tmp_path, monkeypatch):
    from experiments.sweeps import process

    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: object())
    code = "print('it ran')"
    log = tmp_path / "log"
    assert process.start([sys.executable, "-c", code], log).wait() == 0
    assert "it ran" in log.read_text()
