import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dynamics.storage.tree import load_tree

ROOT = Path(__file__).resolve().parents[2]
SAME = [
    "metrics.csv",
    "conditions.csv",
    "policy/arrays.safetensors",
    "policy/MANIFEST.json",
    "trajectories/MANIFEST.json",
]


def assert_same_run(folder, reference):
    for name in SAME:
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), name


def wait_for(path, said="", seconds=600):
    """Waits for a file, and for what is said in it."""
    for _ in range(seconds * 50):
        if path.exists() and (not said or said in path.read_text()):
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear, or has no {said!r}")


def one_line(process):
    """Returns the only line on the standard error of a failed process."""
    lines = process.stderr.strip().splitlines()
    assert len(lines) == 1, process.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def unfinished(toy, *words):
    """Makes a run that failed in its fourth iteration, in the folder "r"; returns the process."""
    done = toy("toy", "--seed", 3, "--fail-at", 4, "--out", "r", *words)
    assert done.returncode == 6
    return done


def test_a_finished_run_leaves_all_that_was_promised(reference):
    for name in [
        "config.json",
        "metrics.csv",
        "conditions.csv",
        "timing.csv",
        "report.html",
        "result.json",
        "policy",
    ]:
        assert (reference / name).exists(), name
    assert sorted(p.name for p in (reference / "checkpoints").iterdir()) == ["step_5", "step_6"]
    assert {p.stem for p in (reference / "figures").iterdir()} == {
        "learning",
        "improvement",
        "divergence",
        "trajectories",
        "states",
        "model_error",
        "imitation",
        "multipliers",
    }
    config = json.loads((reference / "config.json").read_text())
    assert config["config"]["iterations"] == 6
    assert config["seed"] == 3
    assert {"numpy", "torch", "mujoco"} <= set(config["dependencies"])


def test_nothing_that_is_left_is_a_pickle(reference):
    for path in reference.rglob("*"):
        assert path.suffix not in (".pkl", ".pt", ".pickle", ".npy")
        assert path.is_dir() or not path.read_bytes().startswith(b"\x80")


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(toy, tmp_path, reference):
    toy("toy", "--seed", 3, "--out", "a")
    toy("toy", "--seed", 4, "--out", "b")
    assert_same_run(tmp_path / "a", reference)
    assert (tmp_path / "b" / "metrics.csv").read_bytes() != (reference / "metrics.csv").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on_and_the_resumed_run_has_the_same_bits(
    start, toy, tmp_path, reference, number, code
):
    plain = ["toy", "--seed", 3, "--out", "r", "--pause", 600, "--pause-at", 3]
    process = start(*plain)
    wait_for(tmp_path / "r" / "checkpoints" / "step_2")
    process.send_signal(number)
    (tmp_path / "hurry").touch()
    out, err = process.communicate(timeout=600)
    assert process.returncode == code
    assert f"go on with:  python experiments/run.py toy --resume {tmp_path / 'r'}" in out
    assert "Traceback" not in out + err
    assert not (tmp_path / "r" / "result.json").exists()
    resumed = toy("toy", "--resume", "r")
    assert resumed.returncode == 0, resumed.stderr
    rows = (tmp_path / "r" / "metrics.csv").read_bytes()
    assert rows == (reference / "metrics.csv").read_bytes()
    assert_same_run(tmp_path / "r", reference)


def test_killed_again_and_again_it_still_ends_with_the_same_bits(start, toy, tmp_path, reference):
    draw = np.random.default_rng(0)
    process = start("toy", "--seed", 3, "--out", "r", "--pause", 0.05)
    wait_for(tmp_path / "r" / "checkpoints" / "step_1")
    for _ in range(5):
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.communicate()
        for step in (tmp_path / "r" / "checkpoints").glob("step_*"):
            load_tree(step)  # every published checkpoint is whole
        process = start("--resume", "r")
        time.sleep(0.4)
    assert process.communicate(timeout=600) is not None
    assert toy("--resume", "r").returncode == 0
    assert_same_run(tmp_path / "r", reference)


def test_a_second_signal_stops_at_once_and_loses_one_iteration_at_most(start, tmp_path):
    with open(tmp_path / "err", "w") as err:
        process = start("toy", "--out", "r", "--pause", 600, stderr=err)
    wait_for(tmp_path / "r" / "config.json")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    wait_for(tmp_path / "err", "once more stops at once")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)  # and not after the pause
    assert process.returncode == 130


def test_resuming_a_finished_run_changes_nothing(toy, tmp_path, reference):
    shutil.copytree(reference, tmp_path / "r")
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in tmp_path.rglob("*.*")
        if path.is_file()
    }
    again = toy("toy", "--resume", "r")
    assert again.returncode == 0
    assert "finished already" in again.stdout
    for path, (content, when) in before.items():
        if path.name != "run.lock":
            assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, when)


def test_a_failure_of_numbers_ends_with_6_and_keeps_what_was_saved(toy, tmp_path):
    assert "planned failure" in one_line(unfinished(toy))
    assert sorted(p.name for p in (tmp_path / "r" / "checkpoints").iterdir()) == [
        "step_2",
        "step_3",
    ]


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before_with_a_warning(toy, tmp_path):
    unfinished(toy)
    arrays = tmp_path / "r" / "checkpoints" / "step_3" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-5])
    process = toy("toy", "--resume", "r")
    assert process.returncode == 6  # it fails at the fourth iteration again
    assert "warning: " in process.stderr
    assert "step_3" in process.stderr
    rows = (tmp_path / "r" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["iteration", "1", "2", "3"]


def test_where_all_checkpoints_are_damaged_it_ends_with_3(toy, tmp_path):
    unfinished(toy)
    for arrays in (tmp_path / "r").glob("checkpoints/*/arrays.safetensors"):
        arrays.write_bytes(b"")
    process = toy("toy", "--resume", "r")
    assert process.returncode == 3


def test_a_run_killed_before_its_first_checkpoint_starts_again(toy, tmp_path, reference):
    shutil.copytree(reference, tmp_path / "r")
    for name in ("checkpoints", "policy", "trajectories"):
        shutil.rmtree(tmp_path / "r" / name)
    (tmp_path / "r" / "result.json").unlink()
    assert toy("toy", "--resume", "r").returncode == 0
    assert_same_run(tmp_path / "r", reference)


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--tries", 9], "tries"), (["--seed", 8], "seed"), (["--out", "x"], "out")],
)
def test_resuming_with_other_settings_is_refused_with_their_names(toy, tmp_path, words, named):
    unfinished(toy)
    process = toy("toy", "--resume", "r", *words)
    assert process.returncode == 3
    assert f"for {named};" in one_line(process)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("version", "0.0.1", "version '0.0.1'"),
        ("experiment", "other", "experiment 'other'"),
        ("method", "gps.other", "method 'gps.other'"),
        ("config", {"iterations": 6}, "tries"),
        ("config", {"iterations": "six"}, "iterations"),
        ("seed", "os.system", "seed"),
    ],
)
def test_a_run_of_something_else_is_refused_with_what_differs(toy, tmp_path, key, value, named):
    unfinished(toy)
    path = tmp_path / "r" / "config.json"
    config = json.loads(path.read_text())
    full = {**config["config"], **value} if named == "iterations" else value
    path.write_text(json.dumps({**config, key: full}))
    process = toy("toy", "--resume", "r")
    assert process.returncode == 3
    assert named in one_line(process)


def test_a_checkpoint_of_another_run_is_refused(toy, tmp_path):
    unfinished(toy)
    toy("toy", "--seed", 9, "--fail-at", 4, "--out", "other")
    shutil.rmtree(tmp_path / "r" / "checkpoints")
    shutil.copytree(tmp_path / "other" / "checkpoints", tmp_path / "r" / "checkpoints")
    process = toy("toy", "--resume", "r")
    assert process.returncode == 3
    assert "seed" in one_line(process)


def test_a_folder_with_something_in_it_is_left_alone(toy, tmp_path, reference):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    process = toy("toy", "--out", "full")
    assert process.returncode == 3
    assert "thesis.txt" in one_line(process)
    assert os.listdir(tmp_path / "full") == ["thesis.txt"]
    process = toy("toy", "--out", reference)
    assert process.returncode == 3
    assert "--resume" in one_line(process)


def test_a_second_process_in_the_same_folder_ends_with_4(start, toy, tmp_path):
    process = start("toy", "--out", "r", "--pause", 600)
    wait_for(tmp_path / "r" / "config.json")
    second = toy("toy", "--resume", "r")
    assert second.returncode == 4
    assert str(process.pid) in one_line(second)


def test_a_file_in_the_way_ends_with_5(toy, tmp_path):
    (tmp_path / "file").write_text("")
    process = toy("toy", "--out", "file/r")
    assert process.returncode == 5
    assert "file/r" in one_line(process)


def test_a_full_disk_ends_with_5_and_the_run_goes_on_once_there_is_room(toy, tmp_path, reference):
    shutil.copytree(reference, tmp_path / "r")
    shutil.rmtree(tmp_path / "r" / "checkpoints" / "step_6")
    (tmp_path / "r" / "result.json").unlink()

    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    process = toy("toy", "--resume", "r", preexec_fn=small)
    assert process.returncode == 5, process.stderr
    assert "cannot write" in one_line(process)
    assert "/r/" in one_line(process)
    load_tree(tmp_path / "r" / "checkpoints" / "step_5")
    assert toy("toy", "--resume", "r").returncode == 0
    assert_same_run(tmp_path / "r", reference)


@pytest.mark.parametrize("sink", ["/dev/full", "closed"])
def test_output_that_nobody_can_read_costs_the_text_and_not_the_run(start, tmp_path, sink):
    if sink == "closed":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(sink, os.O_WRONLY)
    process = start("toy", "--out", "r", "--iterations", 2, stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=600)
    full = "error: cannot write the standard output ([Errno 28] No space left on device); all else"
    told = {"closed": (0, ""), "/dev/full": (5, f"{full} is done\n")}  # a reader may have enough
    assert (process.returncode, err) == told[sink]
    assert (tmp_path / "r" / "result.json").exists()


def test_the_plain_output_has_a_line_per_iteration_and_fits_80_columns(toy, tmp_path):
    out = toy("toy", "--seed", 3, "--out", "r").stdout
    assert max(map(len, out.replace(str(tmp_path), "runs").splitlines())) <= 80
    assert [line.split()[0] for line in out.splitlines()[2:8]] == [f"{i}/6" for i in range(1, 7)]
    assert "\x1b" not in out
    assert "report.html" in out


def test_the_usual_folder_is_named_by_experiment_time_and_seed(toy, tmp_path):
    toy("toy", "--seed", 5, "--iterations", 1)
    (folder,) = (tmp_path / "runs" / "toy").iterdir()
    assert folder.name.endswith("-seed5")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["tay"], "toy"),
        (["toy", "--iteration", 3], "--iterations"),
        (["toy", "--spred=3"], "--spread"),
        (["toy", "--iterations", "many"], "many"),
        (["toy", "--iterations", 0], "iterations is 0"),
        (["toy", "--spread", "nan"], "--spread is nan"),
        (["toy", "--seed", -1], "seed is -1"),
        (["toy", "left", "over"], "left"),
        (["--seed", 1], "expected an experiment"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line_and_makes_no_folder(
    toy, tmp_path, words, named
):
    process = toy(*words)
    assert process.returncode == 2
    assert named in one_line(process)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("words", [["--resume", "nowhere"], ["toy", "--resume", "nowhere"]])
def test_resuming_what_is_not_there_is_refused(toy, tmp_path, words):
    process = toy(*words)
    assert process.returncode == 3
    assert "nowhere" in one_line(process)


def processor_seconds(run):
    """Returns what a child process took of the processor, and what `run` returned."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, found


def test_the_experiments_of_this_repository_are_listed_in_seven_times_what_numba_takes_to_load(toy):
    """Two seconds of a core; on a busy machine each of them does less."""
    code = [sys.executable, "-c", "import numba, scipy.linalg"]
    unit = min(processor_seconds(lambda: subprocess.run(code, check=True))[0] for _ in range(2))
    tried = [  # the first may have to compile
        processor_seconds(lambda: toy("--list", script=ROOT / "experiments" / "run.py"))
        for _ in range(2)
    ]
    assert min(seconds for seconds, _ in tried) < 7 * unit
    process = tried[-1][1]
    assert process.returncode == 0
    assert "badmm" not in process.stdout  # no settings, and no methods
    assert len(process.stdout.splitlines()) < 120
    assert process.stderr == ""


def test_help_of_an_experiment_says_unit_and_default_of_each_setting(toy):
    process = toy("toy", "--help")
    assert process.returncode == 0
    assert "standard deviation of a candidate's gains (default:" in " ".join(process.stdout.split())


def test_tensorboard_reads_each_step_once(toy, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    unfinished(toy)
    toy("toy", "--resume", "r")
    events = EventAccumulator(str(tmp_path / "r")).Reload()
    assert [event.value for event in events.Scalars("iteration")] == [1, 2, 3]
    with open(tmp_path / "r" / "metrics.csv", newline="") as file:
        steps = [int(float(row["env_steps"])) for row in csv.DictReader(file)]
    assert [event.step for event in events.Scalars("cost")] == steps
    assert steps[2] == 3 * steps[0] > 3


def test_a_package_of_the_same_name_elsewhere_does_not_win(toy, tmp_path):
    (tmp_path / "lqr").mkdir()
    (tmp_path / "lqr" / "__init__.py").write_text("raise SystemExit('a stranger')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = toy("--list", script=ROOT / "experiments" / "run.py", env=environment)
    assert process.returncode == 0, process.stderr


def test_a_saved_policy_can_be_used_from_the_run_and_from_its_own_folder(
    reference, monkeypatch, tmp_path
):
    import importlib.util

    spec = importlib.util.spec_from_file_location("toy", Path(__file__).with_name("toy.py"))
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "toy", module)
    spec.loader.exec_module(module)
    from agents import POLICIES
    from agents import saving as saved

    monkeypatch.setitem(POLICIES, "toy", "toy:Linear")
    observation = np.array([1.0, 0.0, 0.0, 0.0])
    actions = [
        saved.load_policy(folder).act(observation) for folder in (reference, reference / "policy")
    ]
    shutil.copytree(reference / "checkpoints", tmp_path / "checkpoints")
    actions.append(saved.load_policy(tmp_path).act(observation))
    assert np.array_equal(actions[0], actions[1])
    assert np.array_equal(actions[0], actions[2])
