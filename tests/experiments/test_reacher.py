"""The real thing, small: the reacher experiments through experiments/run.py."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from harness import Forked

from agents import load_policy

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "experiments" / "run.py"
SMALL = ["reacher_four", "--iterations", "4", "--samples", "2", "--seed", "1"]
SMALL += ["--policy-steps", "100"]


@pytest.fixture(autouse=True, scope="module")
def no_moving_picture():
    """The runs make none, which would take longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUJOCO_GL", "disable")
        yield


@pytest.fixture(scope="module")
def finished(parent, tmp_path_factory):
    """The folder of a small run of reacher_four that was not interrupted."""
    folder = tmp_path_factory.mktemp("reacher")
    assert parent.run(folder, [*SMALL, "--out", "r"], real=True) == 0, (folder / "err").read_text()
    return folder / "r"


def test_a_run_that_was_interrupted_and_killed_ends_with_the_same_bits(parent, finished, tmp_path):
    """The first part is a process of its own, the others are forked by one that has imported
    all.
    """
    process = subprocess.Popen(
        [sys.executable, RUN, *SMALL, "--out", "r"], cwd=tmp_path, stdout=subprocess.PIPE
    )
    while not (tmp_path / "r" / "checkpoints" / "step_1").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=600)
    assert process.returncode == 130
    resume = ["reacher_four", "--resume", "r"]
    process = Forked(parent, tmp_path, resume)
    last = max(int(p.name[5:]) for p in (tmp_path / "r" / "checkpoints").iterdir())
    while (
        not (tmp_path / "r" / "checkpoints" / f"step_{last + 1}").exists()
        and process.poll() is None
    ):
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert parent.run(tmp_path, resume, real=True) == 0, (tmp_path / "err").read_text()
    for name in (
        "metrics.csv",
        "conditions.csv",
        "policy/arrays.safetensors",
        "trajectories/arrays.safetensors",
    ):
        assert (tmp_path / "r" / name).read_bytes() == (finished / name).read_bytes(), name


def test_the_saved_policy_acts_in_gymnasium(finished):
    policy = load_policy(finished)
    env = gymnasium.make("Reacher-v5")
    observation, _ = env.reset(seed=0)
    action = policy.act(observation)
    again, state = policy.predict(observation)
    assert env.action_space.contains(np.float32(action))
    assert np.allclose(action, again, rtol=1e-6)
    assert state is None
    several, _ = policy.predict(np.stack([observation, observation]))
    assert several.shape == (2, 2)
    env.step(action)


def test_a_saved_policy_is_the_same_after_it_is_loaded(finished):
    observations = np.random.default_rng(0).standard_normal((5, 10))
    first, second = load_policy(finished), load_policy(finished / "policy")
    assert np.array_equal(first.sample(observations, 0, None), second.sample(observations, 0, None))


def test_another_task_cannot_take_over_a_run(parent, finished, tmp_path):
    assert parent.run(tmp_path, ["reacher", "--resume", finished], real=True) == 3
    assert "experiment 'reacher_four'" in (tmp_path / "err").read_text()


def test_a_prior_that_is_not_there_is_refused_with_those_that_are(
    parent, tmp_path, tmp_path_factory
):
    said = tmp_path_factory.mktemp("said")
    assert parent.run(tmp_path, ["reacher", "--prior", "gm"], said=said, real=True) == 2
    line = (said / "err").read_text()
    assert "gmm" in line
    assert len(line.splitlines()) == 1
    assert os.listdir(tmp_path) == []
