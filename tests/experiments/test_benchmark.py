"""A benchmark runs what its suite says, goes on where it was, and its table is that of the runs."""

import shlex
import tempfile

import numpy as np
import pytest

from experiments import benchmark
from experiments.benchmarking import running
from experiments.benchmarking.page import gather, page, place, reached, rows_of
from experiments.benchmarking.peers import CURVE, DONE, finish_curve
from experiments.benchmarking.suites import SUITES, Entry, Record, Suite
from experiments.engine import tables
from experiments.engine.signals import Stop
from lqr import InputError, StorageError

OURS = Entry(
    "point_mass",
    "lqr_flm",
    ("lqr_flm", "--task", "point_mass", "--iterations", "2", "--evaluation-episodes", "2"),
)
PEER = Entry("point_mass", "SAC", ("SAC", "Nothing-v0"))
SMALL = Suite(
    "A small one.",
    (OURS, PEER),
    (Record("point_mass", "known", (5.0,), (-9.0,), 2.0, "a book"),),
    False,
    (),
)


def finished_peer(folder, seed, returns, distances=None):
    where = place(folder, PEER) / f"seed_{seed}"
    where.mkdir(parents=True)
    curve = tables.Table(where / CURVE)
    for i, value in enumerate(returns):
        far = {"evaluated_distance": distances[i]} if distances else {}
        curve.append(
            {
                "env_steps": 100.0 * (i + 1),
                "evaluated_return": value,
                "evaluated_error": 0.3 + 0.1 * seed,
                "cpu_seconds": 2.0 * i,
            }
            | far
        )
    finish_curve(where, {"algorithm": PEER.command[0], "env_id": PEER.command[1]})


@pytest.mark.slow
def test_a_suite_is_run_and_what_is_finished_is_not_run_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SUITES, "small", SMALL)
    words = ["small", "--seeds", "1", "--jobs", "1", "--only", "lqr_flm", "--out", str(tmp_path)]
    assert benchmark.main(words) == 0
    metrics = place(tmp_path, OURS) / "seed_0" / "metrics.csv"
    before, last = metrics.stat().st_mtime_ns, tables.read(metrics)[-1]
    assert (tmp_path / "point_mass.png").read_bytes().startswith(b"\x89PNG")
    row = (tmp_path / "benchmark.csv").read_text().splitlines()[1].split(",")
    assert row[:3] == ["point_mass", "lqr_flm", "0"]
    assert float(row[4]) == last["evaluated_return"]
    assert float(row[5]) > 0  # CPU seconds
    capsys.readouterr()
    assert benchmark.main(words) == 0
    assert metrics.stat().st_mtime_ns == before
    assert f"**{last['evaluated_return']:.4g}**" in capsys.readouterr().out


def test_the_table_has_mean_deviation_every_seed_and_the_published_rows(tmp_path):
    for seed, returns in enumerate([[-30.0, -8.0, -4.0], [-20.0, -15.0, -8.0]]):
        finished_peer(tmp_path, seed, returns)
    suite = SMALL._replace(levels=(("point_mass", -5.0),))
    curves = gather(tmp_path, SMALL.entries, range(3))
    text = page(suite, curves)
    deviation = np.std([-4.0, -8.0], ddof=1)
    errors = f"{deviation / np.sqrt(2):.2g}, {np.sqrt((0.3**2 + 0.4**2) / 2):.2g}"
    row = f"| SAC | 2 | 300 | **-6** | {deviation:.2g} | {errors} | -4, -8 | 300, never | 4 |"
    assert row in text
    assert "| lqr_flm | none finished |" in text
    assert "| *known* (a book) |  | 5 | -9 | 2 |" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    assert [row["reached"] for row in rows_of(suite, curves)] == ["300.0", "inf"]


def test_where_a_distance_is_measured_the_table_and_the_rows_have_it(tmp_path):
    for seed, left in enumerate([[0.3, 0.1], [0.3, 0.25]]):
        finished_peer(tmp_path, seed, [-30.0, -8.0], left)
    curves = gather(tmp_path, SMALL.entries, range(3))
    text = page(SMALL, curves)
    assert "each | distance, each (m) | CPU s |" in text
    assert "| -8, -8 | 0.175: 0.100, 0.250 | 2 |" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    assert [row["distance"] for row in rows_of(SMALL, curves)] == ["0.1", "0.25"]


def test_a_level_is_reached_from_above_where_less_is_better():
    curve = np.array([[10.0, 5.0, 0.0], [20.0, 3.0, 0.0], [30.0, 4.0, 0.0]])
    assert reached(curve, 3.5, lower=True) == 20
    assert reached(curve, 4.5, lower=False) == 10
    up = np.stack([np.arange(6.0), [0.0, 2.0, 0.0, 2.0, 2.0, 2.0]], 1)  # steps, measure
    assert [reached(up, 1.0, lower=False, held=n) for n in (1, 2, 3, 4)] == [1, 3, 3, np.inf]
    assert np.isinf(reached(curve, 2.0, lower=True))


def test_a_peer_that_is_not_finished_is_not_in_the_table(tmp_path):
    finished_peer(tmp_path, 0, [-1.0])
    (place(tmp_path, PEER) / "seed_0" / DONE).unlink()
    assert gather(tmp_path, (PEER,), range(1)) == {PEER: {}}


@pytest.mark.parametrize("name", SUITES)
def test_every_contestant_of_a_suite_is_understood(name):
    from experiments.engine.cli import parse
    from experiments.engine.overrides import choose

    suite = SUITES[name]
    folders = {place(benchmark.Path("x"), entry) for entry in suite.entries}
    assert len(folders) == len(suite.entries)
    for entry in suite.entries:
        if not entry.peer:
            request = parse(
                list(entry.command), lambda path, experiment: (None, 0), lambda path: ""
            )
            choose(request.experiment, request.options)
    assert {record.task for record in suite.records} <= {entry.task for entry in suite.entries}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "unknown suite 'nothing'; expected one of"),
        (["mbbl", "--seeds", "0"], "got --seeds 0"),
        (["mbbl", "--only", "xyz"], "got --only xyz; expected words in"),
    ],
)
def test_what_cannot_be_run_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        benchmark.main(words)


def test_a_peer_learns_and_repeats_and_leaves_nothing_else(tmp_path, monkeypatch):
    pytest.importorskip("stable_baselines3")
    from experiments import peers

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    for name in ("a", "b"):
        assert (
            peers.main(
                [
                    "SAC",
                    "Reacher-v5",
                    "--steps",
                    "120",
                    "--seed",
                    "3",
                    "--out",
                    str(tmp_path / name),
                ]
            )
            == 0
        )
    a, b = (tables.read(tmp_path / name / CURVE) for name in ("a", "b"))
    assert [row["evaluated_return"] for row in a] == [row["evaluated_return"] for row in b]
    assert a[-1]["env_steps"] == 120
    assert not list((tmp_path / "temporary").glob("SB3*"))


def test_a_table_is_printed_whatever_the_disk_says_and_its_folder_is_made(tmp_path, capsys):
    words = ["reacher_four", "--table", "--out", str(tmp_path / "new")]
    assert benchmark.main(words) == 0
    assert "| badmm | none finished |" in capsys.readouterr().out
    assert (tmp_path / "new" / "benchmark.md").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        benchmark.main([*words[:-1], str(tmp_path / "file")])
    assert "| badmm | none finished |" in capsys.readouterr().out


def test_what_a_stopped_benchmark_says_can_be_pasted_into_a_shell(tmp_path, monkeypatch, capsys):
    class Stopped(Stop):
        def __enter__(self):
            self.asked = 15
            return self

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "Stop", Stopped)
    name = "it's my bench; $HOME\nhere"
    words = ["reacher_four", "--seeds", "1", "--jobs", "1"]
    assert benchmark.main([*words, "--out", name]) == 143
    said = capsys.readouterr().out.partition("same words and ")[2]
    assert shlex.split(said) == ["--out", str(tmp_path / name)]
