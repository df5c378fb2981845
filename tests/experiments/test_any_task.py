"""The suite any_task: what it runs, what it keeps, what it says of a row, and that a task of it is
the one that a user would bring.
"""

import csv
import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from agents.baselines import sac
from agents.rollout import rollout
from agents.tasks import make_task
from agents.tasks.capabilities import runs_serially
from experiments import benchmark
from experiments.benchmarking.any_task import command, episodes, learning, references, rows, table
from experiments.benchmarking.any_task import peers as any_peers
from experiments.benchmarking.any_task.joint_task import JointTask
from experiments.benchmarking.any_task.local_tasks import CartTask
from experiments.engine.cli import parse
from experiments.engine.episodes import FIRST_SEED
from experiments.engine.evaluation import evaluate_idle, evaluate_policy
from lqr import CheckpointError, InputError

ROWS = {row.name: row for row in rows.ROWS}
TUNED = {
    "HalfCheetah-v5", "Walker2d-v5", "Hopper-v5", "Swimmer-v5", "Pusher-v5", "Reacher-v5", "Pendulum-v1",
}  # fmt: skip


def numbers(mean, error=0.5):
    return {
        "mean_return": mean,
        "standard_error": error,
        "episodes": 20,
        "env_steps": 300.0,
        "cpu_seconds": 2.0,
    }


def found(name="Pendulum-v1", returns=(), random=-10.0, idle=-20.0, best=None, peers=()):
    """Returns a row of the table with these returns by seed."""
    entry = {"what": "a book", "command": "read", "seeds": [7], "returns": [best]}
    return table.Found(
        ROWS[name],
        {seed: numbers(value) for seed, value in enumerate(returns)},
        {"random": numbers(random), "idle": numbers(idle)},
        {seed: numbers(value) for seed, value in enumerate(peers)},
        None if best is None else entry,
    )


def test_no_setting_differs_from_task_to_task(tmp_path):
    """Beside the task and its steps all rows of `auto` have the same words."""
    said = set()
    for row in rows.ROWS:
        if not row.local:
            words = learning.command(row, tmp_path, 300)
            for option in ("--task", "--task-horizon"):
                if option in words:
                    at = words.index(option)
                    del words[at : at + 2]
            said.add(tuple(words))
    assert said == {("auto", "--budget", "300")}


def test_the_half_that_settings_were_chosen_on_is_named():
    assert {row.name for row in rows.ROWS if row.settings == rows.CHOSEN} == TUNED
    assert len({row.name for row in rows.ROWS}) == len(rows.ROWS)
    assert sum(row.group == rows.GYMNASIUM for row in rows.ROWS) == 12
    assert sum(row.kind == "layout" for row in rows.ROWS) == 10


@pytest.mark.parametrize("name", ["Reacher-v5", "arm-1", "fish-swim"])
def test_a_row_of_each_kind_is_understood_by_run_py(tmp_path, name):
    words = learning.command(ROWS[name], tmp_path, 300)
    request = parse(words, lambda path, experiment: (None, 0), lambda path: "")
    assert request.config.budget == 300
    assert request.options.task == episodes.task_word(ROWS[name], tmp_path)


def test_half_way_from_the_better_baseline_to_the_reference_is_learned():
    assert found(best=0.0).least == -5.0  # random actions are the better ones
    assert found(idle=-4.0, best=0.0).least == -2.0
    assert found(best=None).least is None
    assert found(best=-30.0).least is None  # a reference that is worse than random actions
    assert found("layout-0", best=-2.0).least == pytest.approx(-2.3)  # 15 % more cost


def test_the_page_and_the_rows_have_every_seed_and_invent_nothing(tmp_path):
    some = [
        found("Reacher-v5", [-4.0, -7.0], best=0.0, peers=[-3.0]),
        found("Pendulum-v1", [-25.0]),
        found("Swimmer-v5"),
    ]
    text = table.page(some)
    assert "**Gymnasium, unmodified**: 0 learned of 1 with a reference, 1 below no action" in text
    mean = (
        "**-5.5** | 2.1 | 0.5 | -4, -7 | -10 | -20 | -3 (1 seeds) | 0 | no (1 of 2) | yes (2 of 2)"
    )
    assert f"| Reacher-v5 | chosen on | auto | 2 | 300 | {mean} | 2 |" in text
    assert "| **-25** | unknown | 0.5 | -25 | -10 | -20 | - | - | - | no (0 of 1) | 2 |" in text
    assert "| Swimmer-v5 | chosen on | auto | none finished |" in text
    assert "- Reacher-v5: a book, seeds 7; `read`" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    command.leave(some, tmp_path)
    with open(tmp_path / "benchmark.csv") as file:
        lines = list(csv.DictReader(file))
    assert [(line["task"], line["seed"], line["learned"]) for line in lines] == [
        ("Reacher-v5", "0", "1"),
        ("Reacher-v5", "1", "0"),
        ("Pendulum-v1", "0", ""),
    ]
    assert [line["sac"] for line in lines] == ["-3.0", "", ""]


def test_a_cart_costs_and_moves_the_same_in_any_unit():
    one, other = CartTask(1.0), CartTask(1e3)
    X, U = np.random.default_rng(0).normal(size=(21, 2)), np.zeros((20, 1)) + 3.0
    np.testing.assert_allclose(one.cost(X, U), other.cost(X / 1e3, U / 1e3), rtol=1e-12)
    np.testing.assert_allclose(
        one.simulator(X[:20], U, None), 1e3 * other.simulator(X[:20] / 1e3, U / 1e3, None)
    )


def test_ilqr_finds_the_optimum_of_the_cart_whose_cost_is_quadratic():
    """Against the optimum by dense least squares; no limit of the force is met."""
    A, B = np.array([[1.0, 0.1], [0.0, 0.95]]), np.array([0.0, 0.1])
    total = []
    for x0 in ([1.0, 0.0], [-0.5, 0.0]):
        rows_, target = [0.1 * np.eye(20) / np.sqrt(2)], [np.zeros(20)]  # 0.01 / 2 u^2
        free, forced = np.array(x0), np.zeros((2, 20))
        weight = np.diag([1.0, np.sqrt(0.1)])  # weights of the squares
        first = np.sum((weight @ free) ** 2)
        for t in range(20):
            free, forced = A @ free, A @ forced
            forced[:, t] += B
            rows_.append(weight @ forced)
            target.append(-weight @ free)
        M, y = np.concatenate(rows_), np.concatenate(target)
        u = np.linalg.lstsq(M, y)[0]
        assert np.abs(u).max() < 20
        total.append(first + np.sum((M @ u - y) ** 2))
    got = references.by_ilqr(CartTask(1e3), starts=2, iterations=20)
    np.testing.assert_allclose(got, -np.array(total), rtol=1e-6)


def test_a_torque_of_the_joint_comes_a_step_late_and_its_angle_in_ticks():
    """Against the joint without noise, from rest at the lowest point, where gravity does nothing."""
    task = JointTask()
    x0 = task.reset(np.array([1]), np.random.default_rng(0))
    ticks = x0[0, 0] / (2 * np.pi / 1000)
    assert ticks == pytest.approx(round(ticks), abs=1e-9)
    rest, full = np.zeros((1, 3)), np.full((1, 1), 8.0)
    first = task.simulator(rest, full, None)
    np.testing.assert_allclose(first, [[0.0, 0.0, 8.0]])  # asked for, not applied
    second = task.simulator(first, full, None)
    np.testing.assert_allclose(second, [[0.05 * 0.4, 0.4, 8.0]])  # 8 rad/s^2 for 0.05 s
    assert runs_serially(task)


def test_the_way_through_the_maze_is_longer_than_the_one_through_its_wall():
    """Forces straight at the goal leave the ball at the wall; forces around it bring it there."""
    task = make_task(episodes.task_word(ROWS["maze"], None))
    goal = np.array([-0.5, -0.3])

    def left(way):
        x, distance = task.reset(np.zeros(1, int), np.random.default_rng(0)), np.inf
        for _ in range(task.horizon):
            place = goal + x[0, 4:6]
            to = next((p for p in way if np.abs(p - place).max() > 0.1), goal)
            way = way[[np.array_equal(p, to) for p in way].index(True) :]
            x = task.step(np.clip(4 * (to - place) - 2 * x[0, 2:4], -1, 1)[None])
            distance = min(distance, float(np.linalg.norm(x[0, 4:6])))
        return distance

    assert left([goal]) > 0.4
    assert left([np.array([0.6, 0.3]), np.array([0.6, -0.3]), goal]) < 0.1


def test_a_recorded_reference_says_how_it_is_found_again_wherever_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(references, "by_ilqr", lambda task: [-3.0, -5.0])
    file = tmp_path / "known.json"
    words = ["any_task", "--record", "--tasks", "cart-1000-l", "--seeds", "1", "--first", "4"]
    assert benchmark.main([*words, "--references", str(file), "--out", str(tmp_path / "a")]) == 0
    entry = references.read(file)["cart-1000-lqr_flm"]
    assert references.value(entry) == -4.0
    said = "--record --tasks cart-1000-lqr_flm --seeds 1 --first 4 --reference-steps 100000"
    assert entry["command"] == f"python experiments/benchmark.py any_task {said}"


def test_the_arm_with_small_controls_is_the_same_arm(tmp_path):
    big, small = (episodes.fresh_task(ROWS[name], tmp_path) for name in ("arm-100", "arm-1"))
    np.testing.assert_array_equal(small.action_high, np.ones(7))
    u = 0.1 * np.ones((1, 7))
    for task, act in ((big, u * big.action_high), (small, u)):
        task.reset(np.zeros(1, int), np.random.default_rng(0))
        for _ in range(3):
            x = task.step(act)
        task.last = x
    np.testing.assert_allclose(big.last, small.last, atol=1e-12)


def test_episodes_are_those_of_unmodified_gymnasium():
    row = ROWS["Reacher-v5"]
    task = episodes.fresh_task(row, None)
    found_ = episodes.evaluate(task, episodes.Acting(task, None))
    known = evaluate_idle("Reacher-v5", episodes.EPISODES)
    np.testing.assert_allclose(found_["returns"], known.returns)
    assert task.horizon == 50
    assert task._pattern.layout_seed == FIRST_SEED


def test_a_layout_is_learned_here_and_kept(tmp_path):
    learning.learn_here(
        ROWS["layout-3"], 0, tmp_path / "seed_0", iterations=2, initial_iterations=1
    )
    kept = json.loads((tmp_path / "seed_0" / learning.EVALUATED).read_text())
    assert kept["env_steps"] >= 2 * 2 * 4 * 50
    task = episodes.fresh_task(ROWS["layout-3"], tmp_path)
    idle = rollout(
        task, episodes.Acting(task, None), np.arange(4), 1, np.random.default_rng(0), noise=0.0
    )
    assert kept["mean_return"] > -idle.cost.sum(-1).mean()
    assert not np.allclose(task.targets, episodes.fresh_task(ROWS["layout-4"], tmp_path).targets)


@pytest.mark.slow
def test_a_small_suite_runs_and_what_is_finished_is_not_run_again(tmp_path, capsys):
    words = ["any_task", "--tasks", "Reacher-v5", "--budget", "150", "--seeds", "1", "--jobs", "1"]
    words += ["--out", str(tmp_path / "all"), "--references", str(tmp_path / "known.json")]
    assert benchmark.main(words) == 0
    kept = tmp_path / "all" / "Reacher-v5" / "seed_0" / learning.EVALUATED
    ours = json.loads(kept.read_text())
    said = capsys.readouterr().out
    assert f"**{ours['mean_return']:.4g}**" in said
    before = kept.stat().st_mtime_ns
    assert benchmark.main([*words]) == 0
    assert kept.stat().st_mtime_ns == before
    with pytest.raises(CheckpointError, match="got budget 400 where it has 150"):
        benchmark.main([*words, "--budget", "400"])


def test_a_row_whose_library_is_missing_says_so_and_the_suite_goes_on(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(rows, "find_spec", lambda name: None)
    monkeypatch.setattr(command, "baselines", lambda row, folder: {})
    monkeypatch.setattr(command, "learn", lambda *_: 0)
    words = ["any_task", "--tasks", "Lunar", "Swimmer", "--out", str(tmp_path), "--seeds", "1"]
    assert benchmark.main(words) == 0
    said = capsys.readouterr().out
    assert 'needs Box2D: pip install "gymnasium[box2d]" |' in said
    assert "Swimmer-v5, auto" in said


def test_what_went_wrong_with_a_row_is_in_the_table_and_the_suite_goes_on(
    tmp_path, monkeypatch, capsys
):
    def broken(row, folder):
        if row.name == "Swimmer-v5":
            raise InputError("got | nothing; expected something")

    monkeypatch.setattr(command, "baselines", broken)
    monkeypatch.setattr(command, "learn", lambda *_: 0)
    words = ["any_task", "--tasks", "Swimmer", "Walker2d", "--out", str(tmp_path), "--seeds", "1"]
    assert benchmark.main(words) == 1
    said = capsys.readouterr().out
    assert "| Swimmer-v5 | chosen on | auto | failed: got / nothing; expected something |" in said
    assert "| Walker2d-v5 | chosen on | auto | none finished |" in said
    monkeypatch.setattr(command, "baselines", lambda row, folder: {})
    assert benchmark.main(words) == 0
    assert "failed" not in capsys.readouterr().out


def test_sac_is_run_on_a_row_and_kept(tmp_path):
    pytest.importorskip("stable_baselines3")
    place = tmp_path / "row" / "seed_3"
    assert any_peers.run("SAC", "any_task:Reacher-v5", 110, 3, place) == 0
    assert json.loads((place / learning.EVALUATED).read_text())["episodes"] == 20


def test_a_reference_is_what_our_sac_came_to_early_and_at_last(tmp_path, monkeypatch):
    """Against the same training by hand, whose policies are evaluated by Gymnasium's own loop."""
    small = replace(learning.SAC, iteration_steps=100, warm_up=60, batch=16, hidden=(8,))
    monkeypatch.setattr(learning, "SAC", small)
    monkeypatch.setattr(command, "ROWS", [row._replace(most=None) for row in rows.ROWS])
    file = tmp_path / "known.json"
    words = f"--record --tasks Pendulum-v1 --seeds 1 --first 3 --references {file}".split()
    words += ["--reference-steps", "400", "--budget", "200", "--out", str(tmp_path / "out")]
    assert benchmark.main(["any_task", *words]) == 0
    entry = references.read(file)["Pendulum-v1"]
    task = make_task("gymnasium:Pendulum-v1", horizon=200).with_starts(2)
    run = sac.train(task, replace(small, iterations=4), np.random.default_rng(3))
    by_hand = [evaluate_policy("Pendulum-v1", one.policy, 20).mean_return for one in run]
    np.testing.assert_allclose([*entry["early_returns"], *entry["returns"]], by_hand[:2], rtol=1e-5)
    assert entry["seeds"] == [3]
    (got,) = command.gather([ROWS["Pendulum-v1"]], [3], tmp_path, references.read(file))
    assert got.peers[3]["mean_return"] == entry["early_returns"][0]  # SAC at the same steps
    assert "--first 3" in entry["command"]


def test_nothing_is_paid_beyond_the_most_that_a_rows_rewards_allow(tmp_path):
    """Against the rewards of Gymnasium at the best states there are."""
    best = {"Pendulum-v1": (0.0, 200), "InvertedPendulum-v5": (1.0, 200)}
    for name, (paid, steps) in best.items():
        assert ROWS[name].most == paid * steps
        env = gymnasium.make(name)
        env.reset(seed=0)
        rewards = [env.step(np.zeros(env.action_space.shape))[1] for _ in range(4)]
        assert max(rewards) <= paid
    assert benchmark.main(["any_task", "--record", "--tasks", "Pendulum-v1", "--references",
                           str(tmp_path / "r.json"), "--out", str(tmp_path / "out")]) == 0  # fmt: skip
    assert references.read(tmp_path / "r.json")["Pendulum-v1"]["returns"] == [0.0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tasks", "xyz"], "got --tasks xyz; expected words in Pendulum-v1"),
        (["--seeds", "0"], "got --seeds 0"),
        (["--budget", "0"], "--budget 0"),
    ],
)
def test_what_cannot_be_run_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        benchmark.main(["any_task", *words])


def test_recorded_references_name_rows_and_say_how_they_were_found():
    for name, entry in references.read().items():
        assert name in ROWS
        assert entry["command"].startswith("python experiments/benchmark.py any_task")
        assert len(entry["seeds"]) == len(entry["returns"]) > 0
