"""Full disks, refused operations, folders that vanish, clocks that jump; `python -m tests.faults
disk` does more.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from disk import full_disks, mount, refused_operations
from harness import PLAIN, Parent, again, assert_same, check, fresh, reference_run


@pytest.fixture(scope="module")
def reference(parent, tmp_path_factory):
    return reference_run(parent, tmp_path_factory.mktemp("reference"))[0]


def wait_for(path, said="", seconds=600):
    """Waits for a file, and for what is said in it."""
    for _ in range(seconds * 100):
        if path.exists() and (not said or said in path.read_text()):
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear, or has no {said!r}")


def error_of(place):
    """Returns the only line on the standard error."""
    (line,) = (place / "err").read_text().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.slow
def test_an_operation_that_the_disk_refuses_ends_with_5_and_the_run_goes_on_once_it_may(
    parent, place
):
    refusals, failed = refused_operations(parent, place, errors=("ENOSPC",), stride=23)
    assert refusals >= failed >= 10


def test_a_disk_that_is_too_small_ends_with_5_and_the_run_goes_on_once_there_is_room(parent, place):
    try:
        assert full_disks(parent, place, [4, 24, 48, 96, 1024]) == 4
    except PermissionError:
        pytest.skip("mounting is not permitted here")


def test_a_full_standard_error_does_not_change_the_exit_code(parent, place, reference):
    fresh(place)
    (place / "err").symlink_to("/dev/full")
    assert parent.run(place, ["toy", "--out", "r", "--fail-at", 2]) == 6
    assert parent.run(place, ["tay"]) == 2


def test_a_read_only_disk_ends_with_5_before_any_work(parent, place):
    try:
        mount(place, "size=1m")
    except PermissionError:
        pytest.skip("mounting is not permitted here")
    try:
        (place / "r").mkdir()
        for name in ("out", "err"):
            (place / name).symlink_to(f"/dev/shm/{place.name}-{name}")
            open(f"/dev/shm/{place.name}-{name}", "w").close()
        mount(place, "remount,ro")
        assert parent.run(place, PLAIN) == 5
        assert "r: Read-only file system" in error_of(place)
        assert os.listdir(place / "r") == []
    finally:
        subprocess.run(["umount", str(place)], check=True)
        for name in ("out", "err"):
            os.unlink(f"/dev/shm/{place.name}-{name}")


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_folder_that_is_taken_away_ends_with_5_and_is_not_made_again(parent, place, how):
    fresh(place)
    parent.start(place, [*PLAIN, "--pause", 600, "--pause-at", 3])
    wait_for(place / "r" / "checkpoints" / "step_2")
    os.rename(place / "r", place / "gone")
    if how == "removed":
        shutil.rmtree(place / "gone")
    if how == "replaced":
        (place / "r").mkdir()
    (place / "hurry").touch()
    assert parent.wait() == 5
    assert "r" in error_of(place)
    assert not list(place.glob("r/checkpoints*"))
    if how == "moved":
        os.rename(place / "gone", place / "r")
        check(place / "r")
        assert parent.run(place, ["--resume", "r"]) == 0


def test_the_newest_checkpoint_is_the_one_of_the_highest_step_whatever_the_clock_said(
    parent, place, reference
):
    fresh(place)
    assert parent.run(place, [*PLAIN, "--fail-at", 4]) == 6
    now = time.time()
    for number, path in enumerate(sorted((place / "r" / "checkpoints").iterdir())):
        os.utime(path, (now - 1e6 * number, now - 1e6 * number))
    assert parent.run(place, ["--resume", "r"]) == 6
    config = json.loads((place / "r" / "config.json").read_text())
    assert config["config"]["fail_at"] == 4
    rows = (place / "r" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3"]


def test_a_clock_that_runs_backwards_changes_nothing(place, monkeypatch):
    from experiments.engine.run_folder import new_folder
    from experiments.engine.tables import Events

    class Backwards:
        now = 2e9

        def __call__(self):
            self.now -= 3600
            return self.now

    monkeypatch.chdir(place)
    monkeypatch.setattr(time, "time", Backwards())
    for _ in range(3):
        events = Events(place, [{"iteration": 1, "cost": 2.0}])
        events.append({"iteration": 2, "cost": 1.0})
        events.close()
    assert len(list(place.glob("events*"))) == 1
    assert len({new_folder(place / "runs" / "toy", "seed0") for _ in range(3)}) == 3


def test_two_runs_in_one_folder_the_second_ends_with_4_and_the_first_with_its_own_bits(
    parent, place, reference
):
    fresh(place)
    with Parent() as other:
        assert other.run(place, ["--list"]) == 0
        parent.start(place, [*PLAIN, "--pause", 600, "--pause-at", 2])
        wait_for(place / "r" / "checkpoints" / "step_1")
        (place / "second").mkdir()
        for words in (["--resume", "../r"], ["toy", "--out", "../r"]):
            assert other.run(place / "second", words) == 4
            assert "in use by process" in error_of(place / "second")
        (place / "hurry").touch()
    assert parent.wait() == 0
    for name in ("metrics.csv", "conditions.csv"):
        assert (place / "r" / name).read_bytes() == (reference / name).read_bytes()


def test_a_run_that_was_killed_before_its_first_word_can_be_started_again(parent, place, reference):
    fresh(place)
    (place / "r").mkdir()
    (place / "r" / "run.lock").write_text("process 1 on elsewhere\n")
    (place / "r" / ".tmp-config.json-77").write_text("{")
    assert parent.run(place, PLAIN) == 0, (place / "err").read_text()
    assert_same(place / "r", reference)


@pytest.mark.parametrize(
    "name", ["run.lock", "metrics.csv", "checkpoints", "config.json", "figures"]
)
def test_a_link_in_a_runs_folder_is_refused_and_what_it_points_to_stays(parent, place, name):
    fresh(place)
    assert parent.run(place, [*PLAIN, "--fail-at", 4]) == 6
    target = place / "thesis"
    if name in ("checkpoints", "figures"):
        target.mkdir()
        (target / "step_1").write_text("years of work")
        shutil.rmtree(place / "r" / name, ignore_errors=True)
    else:
        target.write_bytes((place / "r" / name).read_bytes() + b"years of work")
        (place / "r" / name).unlink()
    (place / "r" / name).symlink_to(target)
    assert parent.run(place, ["--resume", "r"]) == 3
    assert "got a link" in error_of(place) or "cannot be read" in error_of(place)
    content = (target / "step_1").read_bytes() if target.is_dir() else target.read_bytes()
    assert content.endswith(b"years of work")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("folder with spaces, ünïcode and 'quotes'", []),
        ("-rf", []),
        ("a" * 200, []),
    ],
)
def test_odd_names_of_folders_work(parent, place, reference, how, words):
    fresh(place)
    assert parent.run(place, ["toy", "--seed", 3, f"--out={how}"]) == 0, (place / "err").read_text()
    assert_same(place / how, reference)


def test_stop_and_continue_are_harmless(parent, place, reference):
    fresh(place)
    pid = parent.start(place, [*PLAIN, "--pause", 0.05])
    for _ in range(3):
        time.sleep(0.1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
    assert parent.wait() == 0
    assert (place / "r" / "metrics.csv").read_bytes() == (reference / "metrics.csv").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_step_with_its_number_and_it_goes_on(
    parent, place, reference, number
):
    fresh(place)
    pid = parent.start(place, [*PLAIN, "--pause", 600, "--pause-at", 3])
    wait_for(place / "r" / "checkpoints" / "step_2")
    os.kill(pid, number)
    (place / "hurry").touch()
    assert parent.wait() == 128 + number
    assert "go on with:" in (place / "out").read_text()
    assert parent.run(place, again(place, PLAIN)) == 0
    assert (place / "r" / "metrics.csv").read_bytes() == (reference / "metrics.csv").read_bytes()


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_of_any_kind_stops_at_once(parent, place, first):
    fresh(place)
    pid = parent.start(place, [*PLAIN, "--pause", 600])
    wait_for(place / "r" / "config.json")
    time.sleep(0.3)
    os.kill(pid, first)
    wait_for(place / "err", "once more stops at once")
    begun = time.monotonic()
    os.kill(pid, signal.SIGINT)
    assert parent.wait() == 130
    assert time.monotonic() - begun < 300  # and not after the pause


def test_a_signal_that_the_caller_ignores_is_ignored(monkeypatch):
    from experiments.engine.signals import Stop

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.asked == 0
    finally:
        signal.signal(signal.SIGHUP, before)
