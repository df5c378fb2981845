"""What a robot did before a crash is not lost, and is given back to nobody else."""

import signal
import subprocess
import sys
from pathlib import Path

import crash
import numpy as np
import pytest
from carts import Cart

from agents.rollout import run
from dynamics.storage.tree import load_tree
from gps import lqr_flm
from lqr import CheckpointError, SimulationError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    code, sent = crash.start(folder)
    assert code == 0
    return folder, sent


def same(one, other):
    """Asserts that two runs left the same tables and the same state."""
    for name in ("metrics.csv", "conditions.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    a, b = (load_tree(r / "checkpoints" / "step_3")[0] for r in (one, other))
    assert repr(a) == repr(b)


def test_a_run_that_is_killed_in_mid_iteration_goes_on_to_the_same_bits(tmp_path, whole):
    reference, sent = whole
    kills = sent // 3 + 45  # the third episode of the second iteration
    script = [sys.executable, str(Path(crash.__file__)), str(tmp_path / "run"), str(kills)]
    killed = subprocess.run(script, capture_output=True, text=True, timeout=600)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    kept = sorted(p.name for p in (tmp_path / "run" / "journal" / "iteration_2").iterdir())
    assert kept == ["episode_0", "episode_1"]
    code, again = crash.start(tmp_path / "run", resume=True)
    assert code == 0
    assert again == sent - (sent // 3 + 40)  # the episodes of the journal were not done once more
    same(tmp_path / "run", reference)
    assert not list((tmp_path / "run" / "journal").glob("iteration_*"))


def test_stop_and_save_keeps_the_episodes_and_tells_how_to_go_on(tmp_path, whole, capsys):
    reference, sent = whole
    code, _ = crash.start(tmp_path / "run", kills=sent // 3 + 45, kind=signal.SIGTERM)
    assert code == 130
    said = capsys.readouterr().out
    assert "2 episodes of this iteration are kept" in said
    assert f"--resume {tmp_path / 'run'}" in said
    assert crash.start(tmp_path / "run", resume=True)[0] == 0
    same(tmp_path / "run", reference)


def test_a_method_goes_on_where_the_journal_ends_and_all_of_it_answers_for_the_robot(tmp_path):
    config = lqr_flm.Config(iterations=2, samples=2)

    def learn(driver, folder):
        task = driver.task(journal=folder)
        return list(lqr_flm.train(task, config, np.random.default_rng(0)))

    whole = Cart()
    reference = learn(whole, None)

    def die(driver):
        raise SystemExit

    at = whole.count // 2 + 5
    dying = Cart({at: die})
    with pytest.raises(SimulationError, match="ended the program"):
        learn(dying, tmp_path)
    assert not dying.moving
    resumed = Cart()
    found = learn(resumed, tmp_path)
    assert resumed.count == whole.count - 20 * ((at - 1) // 20)
    assert [i.scalars for i in found] == [i.scalars for i in reference]
    idle = Cart()
    assert [i.scalars for i in learn(idle, tmp_path)] == [i.scalars for i in reference]
    assert idle.count == 0  # all of it is in the journal, as nobody said that it was saved


def episodes(task, force=1.0, conditions=(0, 1)):
    act = lambda x, o, t: np.full((1, 1), force)  # noqa: E731
    return run(task, act, np.array(conditions), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"force": np.nextafter(1.0, 2.0)}, "episode 1 was asked for the action"),
        ({"conditions": (0, 0)}, "episode 1 was asked for condition 0, where it was 1"),
    ],
)
def test_a_journal_of_other_actions_or_conditions_is_refused_by_name(other, told, tmp_path):
    episodes(Cart().task(journal=tmp_path))
    driver = Cart()
    with pytest.raises(CheckpointError, match=told) as refused:
        episodes(driver.task(journal=tmp_path), **other)
    assert str(tmp_path / "iteration_1") in str(refused.value)
    assert driver.count == 0


def test_a_journal_that_was_not_used_up_is_refused(tmp_path):
    episodes(Cart().task(journal=tmp_path))
    task = Cart().task(journal=tmp_path)
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    task.step(np.ones((1, 1)))
    with pytest.raises(CheckpointError, match="an end at step 1 of 20"):
        task.reset(np.zeros(1, int), np.random.default_rng(0))


def test_a_damaged_journal_is_refused_by_name(tmp_path):
    episodes(Cart().task(journal=tmp_path))
    arrays = tmp_path / "iteration_1" / "episode_0" / "arrays.safetensors"
    content = bytearray(arrays.read_bytes())
    content[-1] ^= 1
    arrays.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"arrays\.safetensors"):
        episodes(Cart().task(journal=tmp_path))


def test_episodes_leave_the_journal_when_the_next_iteration_begins(tmp_path):
    driver, other = Cart(), tmp_path / "notes"
    other.mkdir()
    task = driver.task(journal=tmp_path)
    episodes(task)
    task.begin_iteration(2)
    assert [p.name for p in tmp_path.iterdir()] == ["notes"]
    episodes(task, force=2.0)
    assert driver.count == 80
    again = Cart()
    task = again.task(journal=tmp_path)
    task.begin_iteration(2)
    found = episodes(task, force=2.0)
    assert again.count == 0
    np.testing.assert_array_equal(found.u, 2.0)


def test_starts_that_are_only_looked_at_are_kept_and_an_episode_in_its_middle_is_not(tmp_path):
    driver = Cart()
    task = driver.task(journal=tmp_path)
    x = task.reset(np.arange(2), np.random.default_rng(0))
    episodes(task)
    task.reset(np.ones(1, int), np.random.default_rng(0))
    task.step(np.ones((1, 1)))
    task.abort()
    again = Cart()
    task = again.task(journal=tmp_path)
    np.testing.assert_array_equal(task.reset(np.arange(2), np.random.default_rng(0)), x)
    episodes(task)
    assert again.episodes == []
    task.reset(np.ones(1, int), np.random.default_rng(0))
    assert len(again.episodes) == 1


def test_an_episode_that_is_repeated_leaves_the_journal(tmp_path):
    driver, answers = Cart(), ["go", "repeat", "go", "go"]
    task = driver.task(journal=tmp_path, put_back=lambda c: driver.place(c) or answers.pop(0))
    episodes(task)
    assert len(list((tmp_path / "iteration_1").iterdir())) == 2
    again = Cart()
    episodes(again.task(journal=tmp_path))
    assert again.count == 0


def test_what_was_late_is_kept_with_the_episode(tmp_path):
    def stall(driver):
        driver.clock.now += 1.0

    driver = Cart({5: stall})
    task = driver.task(journal=tmp_path)
    found = episodes(task)
    again = Cart().task(journal=tmp_path)
    episodes(again)
    for a, b in zip(
        task.metrics(found.x, found.u).values(),
        again.metrics(found.x, found.u).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert task.metrics(found.x, found.u)["missed_deadlines"][0] == 1
