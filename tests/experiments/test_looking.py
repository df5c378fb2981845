"""What is done with a finished run: evaluated, compared, watched."""

import base64
import csv
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM

from agents.mpc.steps.policy import MPC
from agents.planners import RandomShooting
from agents.planners.models import SimulatorModel
from agents.policies.linear_gaussian import ControllerPolicy
from agents.policies.mlp import NeuralPolicy
from agents.tasks import make_task
from agents.tasks.classic.point_mass import PointMass
from agents.tasks.mujoco.reacher import Reacher
from dynamics.storage.tree import save_tree
from experiments.engine import episodes, intervals
from experiments.engine.episodes import Episode
from experiments.engine.evaluation import evaluate_policy
from experiments.engine.load_run import Opened, with_goal
from experiments.reports import comparison, comparison_trajectories, figures_trajectories
from experiments.viewer import video
from experiments.viewer.simulation import InTask, simulation_of
from lqr import InputError, LinearGaussianController

ROOT = Path(__file__).resolve().parents[2]
TOY = Path(__file__).with_name("toy.py")
PATIENCE = 600  # s; the machine may be busy
VIEWER = find_spec("mujoco.studio") is not None  # MuJoCo 4 has one
no_viewer = pytest.mark.skipif(not VIEWER, reason="this MuJoCo has no viewer for a browser")


def arm():
    """An untrained policy for the arm."""
    policy = NeuralPolicy.create(
        10, 2, (8,), np.full(2, 0.1), np.random.default_rng(3), -np.ones(2), np.ones(2)
    )
    policy.biases[-1] = np.array([0.1, -0.2])
    return Opened(Path("nowhere"), {}, Reacher(conditions=2), policy)


# evaluate


def test_episodes_in_gymnasium_are_those_of_the_grade():
    run = arm()
    found = episodes.run_episodes(run, 4, "Reacher-v5")
    peer = evaluate_policy("Reacher-v5", run.policy, 4)
    assert np.mean([episode.total for episode in found]) == pytest.approx(peer.mean_return)
    assert np.mean([episode.distance for episode in found]) == pytest.approx(peer.final_distance)
    assert [episode.steps for episode in found] == [50] * 4


def test_controllers_are_evaluated_in_their_own_conditions_in_turn():
    task = PointMass(conditions=3)
    still = LinearGaussianController(
        np.zeros((3, 100, 2, 4)), np.zeros((3, 100, 2)), np.tile(np.eye(2), (3, 100, 1, 1))
    )
    found = episodes.run_episodes(Opened(Path("r"), {}, task, ControllerPolicy(still)), 5, None)
    starts = np.linalg.norm(
        [[-1.0, -0.5], [0.6, -1.0], [-0.8, 0.7]], axis=1
    )  # without a force they stay there
    np.testing.assert_allclose([e.distance for e in found], starts[[0, 1, 2, 0, 1]], atol=2e-3)
    assert found[0].total == pytest.approx(-101 * np.sqrt(0.01 + starts[0] ** 2), rel=2e-3)


@pytest.mark.parametrize(
    ("env_id", "words"),
    [
        ("Pusher-v5", r"observations \(23,\) and actions \(7,\); expected \(10,\) and \(2,\)"),
        ("Nowhere-v0", "expected an"),
    ],
)
def test_an_environment_that_does_not_fit_is_refused(env_id, words):
    with pytest.raises(InputError, match=words):
        episodes.run_episodes(arm(), 1, env_id)


def test_a_module_named_in_an_environments_id_is_not_imported():
    with pytest.raises(InputError, match="would be imported"):
        episodes.run_episodes(arm(), 1, "antigravity:Any-v0")
    assert "antigravity" not in sys.modules


def test_intervals_are_those_of_the_textbook():
    # Student's for 4 values with mean 5 and standard deviation 2: 5 +- 3.182 * 2 / 2
    found = intervals.mean_interval([5 - np.sqrt(6), 5.0, 5.0, 5 + np.sqrt(6)])
    np.testing.assert_allclose(found, [5.0, 5 - 3.1824, 5 + 3.1824], atol=1e-4)
    # Wilson (1927) for 8 of 10: (p + z^2/2n +- z sqrt(p q / n + z^2 / 4n^2)) / (1 + z^2/n)
    np.testing.assert_allclose(
        intervals.rate_interval([True] * 8 + [False] * 2), [0.8, 0.4902, 0.9433], atol=1e-4
    )


def test_success_is_what_the_task_tells_else_a_small_distance():
    ends = [Episode(0, 0.0, 1, d, s) for d, s in ((0.01, False), (0.2, True))]
    assert intervals.successes(ends, within=0.05) == [False, True]
    assert intervals.successes([e._replace(success=None) for e in ends], within=0.05) == [
        True,
        False,
    ]
    assert intervals.successes([Episode(0, 0.0, 1, None, None)], within=0.05) is None


def test_an_episode_that_repeats_another_counts_once_and_one_that_only_ends_alike_does_not():
    found = [Episode(0, 1.0, 5, None, None, digest) for digest in "abab"]
    assert [episode.digest for episode in intervals.distinct(found)] == ["a", "b"]
    assert len(intervals.distinct([Episode(0, 1.0, 5, None, None)] * 3)) == 3  # unknown


def test_evaluate_refuses_in_one_line(forked, tmp_path):
    for words, code in (
        ([tmp_path], 3),
        ([tmp_path, "--episodes", "0"], 2),
        ([], 2),
        ([tmp_path, "--nope"], 2),
    ):
        done = forked("evaluate", *words)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
        assert done.stderr.startswith("error: ")


def test_evaluate_writes_a_row_per_episode(parent, tmp_path, tmp_path_factory):
    """As a person runs it, on an experiment of the repository."""
    run, said = "point_mass --iterations 2 --out r", tmp_path_factory.mktemp("said")
    assert parent.run(tmp_path, run.split(), said=said, real=True) == 0
    command = [
        sys.executable,
        ROOT / "experiments" / "evaluate.py",
        tmp_path / "r",
        "--episodes",
        "3",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert widest(done.stdout, tmp_path) <= 80
    assert "\x1b" not in done.stdout
    with open(tmp_path / "r" / "evaluate.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["episode"] for row in rows] == ["0", "1", "2"]
    assert f"{np.mean([float(row['return']) for row in rows]):.4g}" in done.stdout


# compare


def widest(text, folder):
    """Returns the length of the longest line, were the folder of the test called runs."""
    return max(map(len, text.replace(str(folder), "runs").splitlines()))


def a_run(seed=0, cost=(4.0, 2.0), name="x", **config):
    rows = [
        {"iteration": i + 1.0, "episodes": 10.0 * (i + 1), "cost": c} for i, c in enumerate(cost)
    ]
    about = {
        "experiment": name,
        "method": "m",
        "actor": "controllers",
        "chosen": {},
        "config": {"prior": "gmm", "step": 1.0, **config},
        "seed": seed,
    }
    about |= {"version": "1", "fingerprint": {"numpy": "2"}, "text": ""}
    return comparison.Run(Path(f"{name}{seed}"), about, rows, rows[-1], finished=True)


def test_runs_that_differ_in_the_seed_alone_are_one_group():
    groups = comparison.grouped([a_run(0), a_run(0, prior="gp"), a_run(1), a_run(1, prior="gp")])
    assert [group.name for group in groups] == ["x, prior gmm", "x, prior gp"]
    assert [len(group.runs) for group in groups] == [2, 2]
    assert comparison.differences(groups) == [("prior", "gmm", "gp")]


def test_a_curve_is_as_long_as_the_longest_run():
    (group,) = comparison.grouped([a_run(0, (4.0, 2.0, 1.0)), a_run(1, (6.0,))])
    trajectories, values = group.curve("cost")
    assert trajectories.tolist() == [10.0, 20.0, 30.0]
    np.testing.assert_array_equal(values, [[4.0, 2.0, 1.0], [6.0, np.nan, np.nan]])


def test_mean_and_spread_by_hand():
    assert comparison.spread([1.0, 2.0, 3.0]) == "2 ± 1 (1 to 3)"
    assert comparison.spread([1.5]) == "1.5"
    assert comparison.spread([30000.0, 30000.0]) == "30000 (all)"


def test_the_verdict_knows_chance_from_a_difference():
    far = comparison.grouped([a_run(s, (9.0, c)) for s, c in enumerate((2.0, 2.1, 1.9))] + [
        a_run(s, (9.0, c), prior="gp") for s, c in enumerate((1.0, 1.1, 0.9))])  # fmt: skip
    assert comparison.verdict(far).startswith(
        "x, prior gp ends best: controllers' cost 1 against 2 of x, prior gmm; over 3"
    )
    assert "is more than chance" in comparison.verdict(far)
    near = comparison.grouped([a_run(s, (9.0, c)) for s, c in enumerate((2.0, 1.0))] + [
        a_run(s, (9.0, c), prior="gp") for s, c in enumerate((2.1, 0.8))])  # fmt: skip
    assert "is not more than chance" in comparison.verdict(near)
    one = comparison.grouped([a_run(), a_run(cost=(4.0, 1.0), prior="gp")])
    assert "of one seed" in comparison.verdict(one)
    assert "Beware" in comparison.verdict(comparison.grouped([a_run(), a_run(name="y")]))


def test_a_return_is_better_when_it_is_higher():
    low, high = a_run(prior="gp"), a_run()
    groups = comparison.grouped(
        [r._replace(final={**r.final, "mean_return": m}) for r, m in ((low, -9.0), (high, -4.0))]
    )
    assert comparison.verdict(groups).startswith(
        "x, prior gmm ends best: return in Gymnasium -4 against -9"
    )


def test_compare_lays_runs_and_sweeps_over_each_other(forked, reference, tmp_path):
    (tmp_path / "sweep").mkdir()
    shutil.copytree(reference, tmp_path / "sweep" / "seed_3")
    twice = tmp_path / "sweep" / ".." / "sweep" / "seed_3"
    done = forked(
        "compare", reference, tmp_path / "sweep", twice, reference, "--out", tmp_path / "c.html"
    )
    assert done.returncode == 0, done.stderr
    assert widest(done.stdout, tmp_path) <= 80
    text = (tmp_path / "c.html").read_text()
    assert "seeds" in text
    assert "<td>3</td>" in text
    assert "seed 3 is there already" in done.stdout  # a copy of a run is no other seed
    assert (
        text.count("data:image/png;base64,") == 3
    )  # curves, the models' error, and the trajectories of each
    assert "http" not in text

    class Links(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag != "script"
            assert all(
                value.startswith("data:image/")
                for key, value in attributes
                if key in ("src", "href")
            )

    Links().feed(text)


def test_compare_refuses_in_one_line(forked, tmp_path):
    done = forked("compare", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "got no config.json" in done.stderr


# watch


def test_a_world_without_noise_is_gymnasiums_episode():
    run = arm()
    simulation = simulation_of(run)
    import gymnasium

    env = gymnasium.make("Reacher-v5")
    observation, _ = env.reset(seed=3_000_000)
    for _ in range(50):
        assert not simulation.over
        simulation.step()
        observation, *_ = env.step(run.policy.act(observation))
    assert simulation.over
    np.testing.assert_allclose(simulation.data.qpos, env.unwrapped.data.qpos)
    simulation.next_target()
    assert not simulation.over
    assert not np.allclose(simulation.data.qpos[2:], env.unwrapped.data.qpos[2:])  # another target


def test_a_push_and_noise_take_the_arm_elsewhere():
    ends = []
    for push, noise in ((False, 0.0), (True, 0.0), (False, 0.5)):
        simulation = simulation_of(arm())
        simulation.noise = noise
        if push:
            simulation.push()
        for _ in range(20):
            simulation.step()
        ends.append(simulation.data.qpos[:2].copy())
    assert np.abs(ends[1] - ends[0]).max() > 0.1
    assert np.abs(ends[2] - ends[0]).max() > 0.01


def test_controllers_play_in_their_conditions_in_turn():
    K, k = np.zeros((2, 50, 2, 6)), np.zeros((2, 50, 2))
    policy = ControllerPolicy(LinearGaussianController(K, k, np.tile(np.eye(2), (2, 50, 1, 1))))
    simulation = simulation_of(arm()._replace(policy=policy))
    assert isinstance(simulation, InTask)
    targets = []
    for _ in range(3):
        simulation.step()
        targets.append(simulation.data.qpos[2:4].copy())
        simulation.next_target()
    np.testing.assert_allclose(targets[2], targets[0])
    np.testing.assert_allclose(targets[:2], simulation.run.task.targets)


def planner():
    """Random shooting in the simulator, for the inverted pendulum."""
    task = make_task("inverted_pendulum")
    limits = {"low": task.action_low, "high": task.action_high}
    policy = MPC(
        SimulatorModel(task), RandomShooting(4), task.cost, 3, steps=task.horizon, **limits
    )
    return Opened(Path("r"), {}, task, policy)


def test_a_planner_is_evaluated_watched_and_filmed_in_its_task():
    run = planner()
    found = episodes.run_episodes(run, 2, None)
    assert len(found) == 2
    assert all(np.isfinite(episode.total) for episode in found)
    simulation = simulation_of(run)
    assert isinstance(simulation, InTask)
    for _ in range(3):
        simulation.step()
    assert run.policy.acts >= 3
    scenes = video._scenes(run.task, run.policy, None)
    times = [next(scenes)[1].time for _ in range(3)]
    np.testing.assert_allclose(np.diff(times), run.task.dt)
    with pytest.raises(InputError, match="sees the state of inverted_pendulum"):
        episodes.run_episodes(run, 1, "InvertedPendulum-v5")


def test_a_planner_goes_after_another_cost_and_a_policy_that_learned_one_does_not(tmp_path):
    (tmp_path / "resting.py").write_text("def at_rest(x, u):\n    return 3.0 + 0 * x[:, 0]\n")
    words, run = f"{tmp_path / 'resting.py'}:at_rest", planner()
    (found,) = episodes.run_episodes(with_goal(run, words), 1, None)
    assert found.total == pytest.approx(-3.0 * (found.steps + 1))  # of each state, the last too
    assert run.policy.cost is run.task.cost
    with pytest.raises(InputError, match="expected the run of a planner"):
        with_goal(arm(), words)


def test_what_a_planner_costs_is_called_the_planners_and_nobodys_beside_others():
    run = a_run()
    run = run._replace(about={**run.about, "actor": "planner"})
    assert comparison.verdict(comparison.grouped([run])) == "1 runs of x: planner's cost 2."
    both = comparison.verdict(comparison.grouped([run, a_run()._replace(path=Path("y"))]))
    assert "x: cost 2" in both


@no_viewer
def test_the_viewer_serves_its_page_and_heeds_the_buttons():
    command = [
        sys.executable,
        Path(__file__).with_name("viewing.py"),
        ROOT,
    ]  # its threads outlive it, so apart
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@no_viewer
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
def test_the_buttons_answer_to_clicks_in_a_browser():
    command = [sys.executable, Path(__file__).with_name("viewing.py"), ROOT, "chromium"]
    for _ in range(2):  # a browser that draws without a graphics card may be late once
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_watch_asks_before_it_opens_a_port(parent, tmp_path, tmp_path_factory):
    said = tmp_path_factory.mktemp("said")
    run = ["reacher_four_local", "--iterations", "1", "--out", "r"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUJOCO_GL", "disable")  # a moving picture is not looked at
        assert parent.run(tmp_path, run, said=said, real=True) == 0
    assert parent.run(tmp_path, ["r"], command="watch", said=said, real=True) == 2
    assert "open to the network" in (said / "err").read_text()
    assert "--yes" in (said / "err").read_text()
    command = [sys.executable, ROOT / "experiments" / "watch.py", tmp_path / "r"]
    done = subprocess.run(
        [*command, "--yes", "--seconds", "1"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    if not VIEWER:
        assert "no viewer: No module named 'mujoco.studio'" in " ".join(done.stdout.split())
        return
    assert "without authentication" in done.stdout
    assert "http://localhost:" in done.stdout
    assert "closed after" in done.stdout


def test_watch_falls_back_to_what_there_is(forked, reference):
    done = forked("watch", reference)
    assert done.returncode == 0
    assert "no viewer: point is no MuJoCo model" in done.stdout
    assert str(reference / "report.html") in done.stdout


# the end of a run


def test_the_table_at_the_end_fits_80_columns_without_colours_and_says_where_everything_is(
    toy, tmp_path
):
    done = toy("toy", "--out", "r")
    assert widest(done.stdout, tmp_path) <= 80
    assert "\x1b" not in done.stdout
    for words in (
        f"{tmp_path / 'r'}/report.html",
        f"experiments/evaluate.py {tmp_path / 'r'}",
        f"experiments/watch.py {tmp_path / 'r'}",
        f"load_policy('{tmp_path / 'r'}')",
    ):
        assert words in done.stdout


def test_the_table_has_colours_on_a_terminal(tmp_path):
    import pty

    mine, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    environment["TOY_FIGURES"] = "none"
    environment.pop("NO_COLOR", None)
    command = [sys.executable, TOY, "toy", "--out", tmp_path / "r"]
    subprocess.run(command, stdout=theirs, stderr=theirs, env=environment, timeout=PATIENCE)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(mine, 65536)
        except OSError:
            break
        if not part:
            break
        said += part
    assert b"\x1b[1m" in said


def test_a_comparison_shows_the_models_error_and_a_video_of_each_group(tmp_path):
    groups = {}
    for word, size in (("gmm", 0.1), ("gp", 0.01)):
        run = a_run(prior=word)._replace(path=tmp_path / word)
        run.path.mkdir()
        (run.path / "policy.gif").write_bytes(b"GIF89a" + word.encode())
        error = np.array(
            [[0.5 * size, size, 0.0], [1.5 * size, size, 0.0], [size, 9.0, 0.0]]
        )  # 0: no change to share
        save_tree(run.path / "trajectories", {"model_error": error}, finite=False)
        np.testing.assert_allclose(comparison_trajectories._error(run.path), [size, size, np.nan])
        groups[word] = [run]
    (tmp_path / "gp" / "figures").mkdir()
    for name in ("states", "trajectories"):  # the latter shows the ellipses
        (tmp_path / "gp" / "figures" / f"{name}.png").write_bytes(name.encode())
    found = comparison_trajectories.parts(groups)
    assert base64.b64encode(b"trajectories").decode() in found[1]
    assert [part[: part.index("</h2>")].removeprefix("<h2>") for part in found] == [
        "Error of the local models along the trajectory",
        "gp, seed 0, trajectories",
        "gmm, seed 0",
        "gp, seed 0",
    ]
    assert comparison_trajectories.parts({"x": [a_run()]}) == []  # a folder without either


def test_a_comparison_has_the_trajectories_of_every_run_or_says_where_they_lie(
    tmp_path, monkeypatch
):
    runs = [a_run(seed)._replace(path=tmp_path / str(seed)) for seed in range(3)]
    for seed, run in enumerate(runs):
        (run.path / "figures").mkdir(parents=True)
        (run.path / "figures" / "states.png").write_bytes(bytes([seed]) * 100)
    first, others = comparison_trajectories.parts({"x": runs})
    assert "x, seed 0, trajectories" in first
    assert others.startswith("<details>")
    assert others.count("<figure>") == 2
    for seed, part in enumerate((first, others, others)):
        assert base64.b64encode(bytes([seed]) * 100).decode() in part
    monkeypatch.setattr(comparison_trajectories, "MOST", 250)
    others = comparison_trajectories.parts({"x": runs})[1]
    assert others.count("<figure>") == 1
    assert str(runs[2].path / "figures" / "states.png") in others


# report


@pytest.mark.parametrize(("std", "scale"), [(0.05, 1), (0.001, 20), (1e-9, 100)])
def test_ellipses_too_small_to_see_are_enlarged_by_a_round_number(std, scale):
    mean = np.linspace([0.0, 0.0, 9.0], [1.0, 1.0, 9.0], 5)[
        None
    ]  # 0.04 of it are 20 radii of 0.002
    cov = np.broadcast_to(np.diag([std**2, std**2, 1.0]), (1, 5, 3, 3))
    assert figures_trajectories._enlarged({"mean": mean, "cov": cov}, 0, 1) == scale
    assert figures_trajectories._enlarged({"mean": mean}, 0, 1) == 1
