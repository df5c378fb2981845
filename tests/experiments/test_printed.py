"""Every command and every line of Python that a run prints is carried out, for each kind of run."""

import html
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agents import load_policy
from experiments import evaluate, run, watch
from experiments.engine.episodes import FIRST_SEED
from experiments.engine.guard import guarded
from experiments.engine.run_folder import RunFolder
from experiments.reports import figures, finalise, run_report
from experiments.viewer import video

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = """
import gymnasium, numpy as np
class Tiny(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-9, 9, (2, 2), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1, 1), np.float32)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, (2, 2)).astype(np.float32)
        return self.x, {}
    def step(self, u):
        assert u.shape == (1, 1) and self.action_space.contains(u)
        self.x = np.clip(0.9 * self.x + 0.2 * u, -9, 9).astype(np.float32)
        return self.x, 3.0 - float((self.x**2).sum()), False, False, {}
def stacked():
    return gymnasium.wrappers.FrameStackObservation(Tiny(), 3)
gymnasium.register("Tiny-v0", Tiny, max_episode_steps=6)
gymnasium.register("Stacked-v0", stacked, max_episode_steps=6)
"""
COST = "def reach(x, u):\n    return (x**2).sum(-1) + 0.1 * (u**2).sum(-1)\n"
TASK = ["--task", "mountain_car", "--task-horizon", "6", "--iterations", "2"]
OWN = ["--cost", "my costs.py:reach"]
TINY = ["--task", "gymnasium:tiny:Tiny-v0", "--task-conditions", "2", "--iterations", "2"]
NET = ["--hidden", "4", "--policy-steps", "3"]
PLAN = ["--planner-samples", "6", "--planner-elites", "3", "--horizon", "3", "--fit-steps", "3"]
KINDS = {
    "local": ["lqr_flm", *TASK, "--antithetic", "--samples", "2", *OWN],
    "local, environment": ["lqr_flm", *TINY, "--samples", "2"],
    "policy": ["badmm", *TASK, *NET, *OWN],
    "policy, environment": ["badmm", *TINY, *NET, "--seed", "3"],
    "planner": ["mpc", *TASK, *PLAN, "--no-reject-outliers"],
    "planner, cost": ["pets", *TASK, *PLAN, *OWN, "--planner-best", "False"],
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a cost and an environment of one's own."""
    folder = tmp_path_factory.mktemp("my runs")
    (folder / "my costs.py").write_text(COST)
    (folder / "tiny.py").write_text(ENVIRONMENT)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def made(request, here):
    """A finished run of each kind: its folder's name in `here`, and what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setattr(figures, "draw", lambda *_: None)
        patch.setattr(video, "make_apart", lambda *_: None)
        for name in ("evaluate_policy", "evaluate_random", "evaluate_idle"):  # of 999 steps each
            patch.setattr(finalise, name, partial(getattr(finalise, name), episodes=2))
        name = f"the {request.param} run"
        assert guarded(run.main, [*KINDS[request.param], "--out", name]) == 0
        yield here / name


@pytest.fixture
def about(made):
    return json.loads((made / "config.json").read_text())


def carried_out(command, *more):
    """Carries out a printed command, as a shell takes it apart."""
    program, script, *words = shlex.split(command)
    assert program == "python"
    mains = {module.__name__: module.main for module in (run, evaluate, watch)}
    main = mains[script.removesuffix(".py").replace("/", ".")]
    assert guarded(main, [*words, *more]) == 0


@pytest.mark.filterwarnings("ignore")
def test_the_reports_made_by_makes_the_same_run(made):
    report = (made / "report.html").read_text()
    command = html.unescape(re.search("Made by <code>(.*?)</code>", report)[1])
    carried_out(command, "--out", f"{made.name} again")
    for name in ("metrics.csv", "conditions.csv"):
        assert (made.with_name(f"{made.name} again") / name).read_bytes() == (
            made / name
        ).read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_what_a_stopped_run_says_goes_on_with_it_to_the_same_bits(made, monkeypatch, capsys):
    save, name = RunFolder.save, f"{made.name} stopped"

    def stop(folder, number, *rest):
        save(folder, number, *rest)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", stop)
        words = KINDS[made.name.removeprefix("the ").removesuffix(" run")]
        assert guarded(run.main, [*words, "--out", name]) == 130
    assert not (made.with_name(name) / "result.json").exists()
    carried_out(re.search("go on with:  (.*)", capsys.readouterr().out)[1])
    for file in ("metrics.csv", "conditions.csv", "policy/MANIFEST.json"):
        assert (made.with_name(name) / file).read_bytes() == (made / file).read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_what_the_end_of_a_run_says_may_be_done_next_can_be(made, about, capsys):
    found = dict(finalise.commands(made.name, about))
    carried_out(found["evaluate"], "--episodes", "2")
    assert "return" in capsys.readouterr().out
    carried_out(found["watch"])
    assert "no viewer" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
def test_the_reports_lines_of_python_give_an_action(made, about):
    report = (made / "report.html").read_text()
    lines = html.unescape(re.search("<pre><code>(.*?)</code></pre>", report, re.S)[1])
    size = 4 if "gymnasium" in about["chosen"]["task"] else 2
    space = {"observation": np.full(size, 0.1), "x": np.full(size, 0.1)}
    exec(lines, space)
    shape = (1, 1) if "tiny:Tiny" in about["chosen"]["task"] else (1,)
    assert np.shape(space["action"]) == shape
    again, _ = space["policy"].predict(np.full(size, 0.1))
    space["policy"].reset()
    assert np.isfinite(again).all()
    assert run_report.loading(made, about)[1] in lines


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("word", ["mlp", "recurrent"])
def test_a_policy_of_stacked_frames_and_matrices_acts_on_what_its_environment_shows(
    here, word, monkeypatch, capsys
):
    monkeypatch.chdir(here)
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    words = [w.replace("Tiny-v0", "Stacked-v0") for w in TINY[:-1]]
    assert guarded(run.main, ["badmm", *words, "1", *NET, "--policy", word, "--out", word]) == 0
    named = ["--task", "gymnasium:tiny:Stacked-v0"]
    assert guarded(evaluate.main, [word, *named, "--episodes", "3"]) == 0
    assert "3 in Stacked-v0" in capsys.readouterr().out
    policy, env = load_policy(word), gymnasium.make("Stacked-v0")
    seen, _ = env.reset(seed=FIRST_SEED)
    total = 0.0
    for _ in range(6):
        assert seen.shape == (3, 2, 2)
        action = policy.act(seen)
        assert env.action_space.contains(action)
        seen, paid, _, _, _ = env.step(action)
        total += paid
    told = (here / word / "evaluate.csv").read_text().splitlines()[1].split(",")
    assert float(told[2]) == pytest.approx(total)
    flat = load_policy(word)
    again = [np.ravel(p.predict(o)[0]) for p, o in ((policy, seen), (flat, seen.ravel()))]
    np.testing.assert_array_equal(*again)


def test_a_run_says_once_that_it_compiles_and_nothing_where_that_was_done_before(tmp_path):
    code = """
import numpy as np
from experiments.engine.progress import Display
from lqr.batching import all_finite
display = Display("title", 3)
all_finite(np.zeros(3))
display.close()
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.count("compiling once")
        for _ in range(2)
    ]
    assert told == [1, 0]
