"""MB-MF: the policy moves into the libraries and back, every step is counted, runs resume, and each
phase learns.
"""

import random
import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip(
    "stable_baselines3", reason='the extra is not installed: pip install -e ".[peers]"'
)
pytest.importorskip("sb3_contrib", reason='the extra is not installed: pip install -e ".[peers]"')

from agents.learners import sb3 as model_free
from agents.mpc import mbmf
from agents.planners import RandomShooting
from agents.policies.mlp import NeuralPolicy
from agents.rollout import Trajectories
from agents.tasks import make_task
from agents.tasks.base.ode_task import MapTask
from agents.training import Training
from dynamics.storage.tree import load_tree, save_tree
from lqr import CheckpointError, InputError, NumericalError, Quadratic, SimulationError


class Cart(MapTask):
    """x = [place, speed] of a pushed point, a linear world; what is seen is in other units."""

    name, dt, horizon = "cart", 0.2, 15
    dx, du, do = 2, 1, 2
    action_low, action_high = np.array([-3.0]), np.array([5.0])
    cost = Quadratic(np.diag([2.0, 0.2, 0.1]))

    def starts(self, conditions, rng):
        return np.array([1.0, 0.0]) + 0.05 * rng.standard_normal((len(conditions), 2))

    def advance(self, s, u):
        return np.stack([s[..., 0] + self.dt * s[..., 1], s[..., 1] + self.dt * u[..., 0]], -1)

    def states(self, s):
        return s.copy()

    def see(self, s):
        return 10.0 * s + 3.0

    def metrics(self, x, u):
        return {"distance": np.abs(x[:, -1, 0])}


SMALL = mbmf.Config(
    iterations=6,
    planning=2,
    imitation=2,
    samples=2,
    planner=RandomShooting(50),
    horizon=5,
    hidden=(8,),
    fit_steps=50,
)
SMALL = replace(SMALL, policy_steps=100, tune_steps=60, policy_episodes=2, policy_hidden=(16, 8))


def policy(rng, du=2):
    made = NeuralPolicy.create(
        3, du, (16, 8), np.r_[0.3, 2.0][:du], rng, [-1.0, -7.0][:du], [3.0, 5.0][:du]
    )
    made.weights[-1] = rng.normal(size=made.weights[-1].shape)
    made.biases = [rng.normal(size=b.shape) for b in made.biases]
    made.centre, made.scale = rng.normal(size=3), rng.uniform(0.5, 2, size=3)
    return made


class Two(Cart):
    do, du = 3, 2
    action_low, action_high = np.array([-1.0, -7.0]), np.array([3.0, 5.0])


# into the libraries, and back


@pytest.mark.parametrize("word", model_free.LIBRARIES)
def test_the_librarys_policy_does_what_ours_does_and_comes_back_as_it_was(word):
    import torch

    rng = np.random.default_rng(0)
    ours = policy(rng)
    model = model_free.learner(word, Two(), ours, 1.0, 0.9, 128)
    o = rng.normal(size=(20, 3))
    seen = torch.as_tensor((o - ours.centre) / ours.scale, dtype=torch.float32)
    theirs = model.policy.get_distribution(seen).distribution
    middle, half = np.array([1.0, -1.0]), np.array([2.0, 6.0])
    np.testing.assert_allclose(
        middle + half * theirs.mean.detach().numpy(), ours.mean(o), atol=2e-5
    )
    np.testing.assert_allclose(
        half * theirs.stddev.detach().numpy(), np.tile([0.3, 2.0], (20, 1)), rtol=1e-5
    )
    back = model_free.out_of(model, ours)
    np.testing.assert_allclose(back.mean(o), ours.mean(o), atol=2e-5)
    np.testing.assert_allclose(back.act(o), ours.act(o), atol=2e-5)
    np.testing.assert_allclose(back.cov, np.diag([0.09, 4.0]), rtol=1e-5)
    model_free.into(model, back)
    np.testing.assert_allclose(model_free.out_of(model, ours).mean(o), back.mean(o), atol=1e-6)


def test_costs_to_go_are_discounted_sums():
    cost = np.random.default_rng(0).normal(size=(2, 6))
    none = np.zeros((2, 6, 1))
    episodes = Trajectories(none, none[:, :5], none, cost, np.full(2, 5), np.zeros(2, bool))
    found = model_free.costs_to_go(episodes, 0.9)
    last = 0.9 / (1 - 0.9) * cost[:, :5].mean()  # it goes on for ever at the mean cost
    for t in range(5):
        here = sum(0.9 ** (s - t) * cost[:, s] for s in range(t, 6)) + 0.9 ** (5 - t) * last
        np.testing.assert_allclose(found[:, t], here)


def test_shaped_costs_to_go_are_sums_of_the_shaped_costs_of_steps():
    rng = np.random.default_rng(0)
    cost, stays, none = rng.normal(size=(2, 6)), rng.normal(size=(2, 6)), np.zeros((2, 6, 1))
    # the second episode ends by itself after 3 steps, and its last state is paid for
    cost[1, 4:] = 0.0
    episodes = Trajectories(none, none[:, :5], none, cost, np.array([5, 3]), np.zeros(2, bool))
    step = cost[:, :5] + 0.9 * stays[:, 1:] - stays[:, :5]
    step[1, 2] += 0.9 * cost[1, 3] - 0.9 * stays[1, 3]
    found = model_free.costs_to_go(episodes, 0.9, stays)
    for i, n in enumerate((5, 3)):
        for t in range(n):
            assert found[i, t] == pytest.approx(
                sum(0.9 ** (s - t) * step[i, s] for s in range(t, n))
            )


def test_the_critic_begins_with_the_costs_to_go_that_were_seen():
    import torch

    rng = np.random.default_rng(0)
    ours, o = policy(rng, 1), rng.normal(size=(600, 3))
    task, togo = Two(), 40.0 + 7.0 * np.sin(o[:, 0])
    task.du, task.action_low, task.action_high = 1, np.array([-1.0]), np.array([3.0])
    state = model_free.begin("ppo", task, ours, o, togo, 0.9, rng)
    model = model_free.learner("ppo", task, ours, state["per_reward"], 0.9, 128)
    model_free.load(model, state)
    value = model.policy.predict_values(
        torch.as_tensor((o - ours.centre) / ours.scale, dtype=torch.float32)
    )
    endless = state["offset"] / (1 - 0.9)
    left = togo - endless + state["per_reward"] * value.detach().numpy()[:, 0]
    assert left.std() < 0.2 * togo.std()
    assert abs(left.mean()) < 1.0


def test_the_global_generators_are_left_as_they_were():
    import torch

    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random(), float(torch.rand(1))  # noqa: NPY002
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    rows = list(mbmf.train(Cart(), SMALL, np.random.default_rng(0)))
    assert len(rows) == 6
    assert (random.random(), np.random.random(), float(torch.rand(1))) == expected  # noqa: NPY002


def test_a_library_that_is_missing_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(model_free.LIBRARIES, "ppo", "no_such_library:PPO")
    with pytest.raises(
        InputError, match=r"no_such_library is not installed; expected .* pip install .*peers"
    ):
        next(mbmf.train(Cart(), replace(SMALL, library="ppo"), np.random.default_rng(0)))


def test_too_few_rounds_and_too_short_ones_are_refused():
    for change, words in (
        ({"iterations": 3}, "2 of planning and 2 of imitation"),
        ({"tune_steps": 9}, "episode's 15"),
    ):
        with pytest.raises(InputError, match=words):
            next(mbmf.train(Cart(), replace(SMALL, **change), np.random.default_rng(0)))
    task = Cart()
    task.horizon = 1  # of one step alone no library knows an advantage
    with pytest.raises(
        InputError, match="tune_steps is 1; expected at least an episode's 1, and 2"
    ):
        next(mbmf.train(task, replace(SMALL, tune_steps=1), np.random.default_rng(0)))


# the whole


@pytest.mark.parametrize("word", model_free.LIBRARIES)
def test_a_run_resumes_to_the_same_bits_in_every_phase(word, tmp_path):
    config, rng = replace(SMALL, library=word), np.random.default_rng(3)
    whole, drawn = [], {}
    for row in mbmf.train(Cart(), config, rng):
        save_tree(tmp_path / f"{row.number}", row.state, {})
        whole.append(row)
        drawn[row.number] = rng.bit_generator.state
    assert [row.number for row in whole] == [1, 2, 3, 4, 5, 6]
    assert [row.scalars["phase"] for row in whole] == [0, 0, 1, 1, 2, 2]
    assert len({tuple(row.scalars) for row in whole}) == 1
    for stop in (1, 2, 3, 5):
        rng.bit_generator.state = drawn[stop]
        rest = list(mbmf.train(Cart(), config, rng, state=load_tree(tmp_path / f"{stop}")[0]))
        assert [row.scalars for row in rest] == [row.scalars for row in whole[stop:]]
        o = np.random.default_rng(0).normal(size=(5, 2))
        np.testing.assert_array_equal(rest[-1].policy.mean(o), whole[-1].policy.mean(o))


def test_every_step_in_the_world_is_counted():
    rows = list(mbmf.train(Cart(), SMALL, np.random.default_rng(0)))
    episode = 2 * 15  # of two samples
    assert [row.scalars["env_steps"] for row in rows] == [episode, 60, 90, 120, 180, 240]
    assert [row.scalars["episodes"] for row in rows] == [2, 4, 6, 8, 12, 16]
    assert (
        len(rows[3].state["taught"]["u"]) == 60
    )  # the episodes of the MPC, and those of the policy once
    inside = sum(min(5, 15 - t) for t in range(15)) / 15
    assert rows[3].scalars["model_calls"] == pytest.approx(
        50 * inside
    )  # the expert is asked in each state


def test_all_episodes_are_counted_however_short_they_are():
    task, rng = Cart(), np.random.default_rng(0)
    task.horizon = 1
    ours = NeuralPolicy.create(2, 1, (8,), np.ones(1), rng, task.action_low, task.action_high)
    state = model_free.begin(
        "trpo", task, ours, rng.normal(size=(50, 2)), rng.normal(size=50), 0.9, rng
    )
    assert len(model_free.update("trpo", task, ours, state, 0.9, 150, 1e-3, rng)[2]) == 150


class Breaking(Cart):
    """Ends in no number at once where it starts on the left: condition 1."""

    def starts(self, conditions, rng):
        return super().starts(conditions, rng) * np.where(conditions == 1, -1.0, 1.0)[:, None]

    def advance(self, s, u):
        return np.where(s[..., :1] < 0, np.nan, super().advance(s, u))


def test_episodes_that_diverge_are_none_of_the_cheap_ones():
    task, rng = Breaking(2), np.random.default_rng(0)
    rests = NeuralPolicy.create(2, 1, (8,), np.ones(1), rng, task.action_low, task.action_high)
    rests.weights[-1] = np.zeros((1, 8))
    state = {
        "number": 3,
        "best": np.inf,
        "episodes": 4,
        "steps": 60,
        "evaluation_episodes": 0,
        "evaluation_steps": 0,
    }
    training = Training(task, 9, state)
    training.add(3, 45)
    told = dict.fromkeys(("model_calls", "policy_loss", "phase"), 0.0)
    costs = np.array([30.0, np.nan, 20.0])
    row = mbmf.report(training, SMALL, {"evaluation": {}}, rests, costs, told)
    names = ("cost", "best_cost", "diverged", "episodes")
    assert [row.scalars[name] for name in names] == [
        25.0,
        20.0,
        1.0 + SMALL.policy_episodes,
        7.0,
    ]
    assert row.scalars["policy_cost"] == pytest.approx(
        16.0, rel=0.3
    )  # 16 states at a cost of 1; 1 by those that broke
    assert row.scalars["distance"] > 0.5
    assert np.isnan(row.arrays["policy_cost"]).tolist() == [False, True]


def test_episodes_of_fine_tuning_that_diverge_have_no_cost_and_if_all_do_that_is_said():
    task, rng = Breaking(2), np.random.default_rng(0)
    rests = NeuralPolicy.create(
        2, 1, (8,), np.full(1, 0.01), rng, task.action_low, task.action_high
    )
    state = model_free.begin(
        "trpo", task, rests, rng.normal(size=(50, 2)), rng.normal(size=50), 0.9, rng
    )
    costs = model_free.update("trpo", task, rests, state, 0.9, 90, 1e-3, rng)[2]
    sound = costs[np.isfinite(costs)]
    assert 0 < len(sound) < len(costs)
    assert (sound < 30).all()
    task.advance = lambda s, u: np.full_like(s, np.nan)
    with pytest.raises(SimulationError, match="all 90 episodes of fine-tuning diverged in cart"):
        model_free.update("trpo", task, rests, state, 0.9, 90, 1e-3, rng)


@pytest.mark.parametrize(("word", "rate"), [("ppo", 100.0), ("trpo", 1e30)])
def test_weights_that_are_no_numbers_are_told_with_the_rate_that_led_there(word, rate):
    task, rng = Cart(), np.random.default_rng(0)
    ours = NeuralPolicy.create(2, 1, (8,), np.ones(1), rng, task.action_low, task.action_high)
    state = model_free.begin(
        word, task, ours, rng.normal(size=(50, 2)), rng.normal(size=50), 0.9, rng
    )
    with pytest.raises(
        NumericalError, match=rf"fine-tuning by {word} with tune_rate {re.escape(str(rate))}"
    ):
        model_free.update(word, task, ours, state, 0.9, 60, rate, rng)


def test_what_the_model_predicted_of_the_imitation_is_kept_for_the_figures():
    rows = list(mbmf.train(Cart(), SMALL, np.random.default_rng(0)))
    for row in rows[2:]:
        assert row.arrays["open_loop"].shape == (2, 5)
        assert row.arrays["predicted_cost_drawn"].shape[::2] == (
            11,
            6,
        )  # starts 0 to 10 of 15 steps, horizon 5
        assert row.arrays["plan_trace"].shape == (15, 1, 2)
    error = rows[3].arrays["open_loop"]
    assert rows[3].scalars["open_loop_error"] == pytest.approx(error[0, -1] / error[1, -1])
    assert 0 < rows[3].scalars["open_loop_error"] < 0.5
    assert rows[5].scalars["open_loop_error"] == 0.0  # of rounds in which nobody plans
    np.testing.assert_array_equal(rows[5].arrays["open_loop"], error)


class Lost(Cart):
    """No number is left of condition 1 after a few steps, from a place where no sequence has a
    finite cost either.
    """

    def starts(self, conditions, rng):
        return super().starts(conditions, rng) * np.where(conditions == 1, -1.0, 1.0)[:, None]

    def advance(self, s, u):
        return super().advance(s, u) * np.where(s[..., :1] < 0, 1e40, 1.0)


def test_the_expert_is_not_asked_about_episodes_that_diverged():
    config, rng = replace(SMALL, model="simulator"), np.random.default_rng(0)
    tasks = Cart(2), Lost(2)
    config = replace(config, planner=RandomShooting(samples=20))
    experts = [mbmf.mpc(task, config, {}) for task in tasks]
    counts = {
        "number": 1,
        "episodes": 2,
        "steps": 30,
        "evaluation_episodes": 0,
        "evaluation_steps": 0,
    }
    state = mbmf.begin(tasks[0], config, {**counts, "best": 1.0}, rng)
    first = mbmf.imitate(Training(tasks[0], 9, state), config, experts[0], rng)
    with np.errstate(over="ignore", invalid="ignore"):
        second = mbmf.imitate(Training(tasks[1], 9, first.state), config, experts[1], rng)
    assert second.scalars["diverged"] >= 2 + 2  # episodes, and judged ones
    assert len(first.state["taught"]["o"]) == 4 * 15
    assert len(second.state["taught"]["o"]) in (5 * 15, 6 * 15)


@pytest.mark.slow
def test_the_policy_is_as_good_as_its_teacher_and_fine_tuning_makes_it_better():
    """A teacher that tries ten sequences is a poor one; the optimum is that of the Riccati
    recursion.
    """
    A = np.array([[1, 0.2], [0, 1]])
    B = np.array([[0.0], [0.2]])
    Q = np.diag([2.0, 0.2])
    R = np.array([[0.1]])
    V = Q
    for _ in range(15):
        K = np.linalg.solve(R + B.T @ V @ B, B.T @ V @ A)
        V = Q + A.T @ V @ (A - B @ K)
    best = 0.5 * (V[0, 0] + 0.0025 * np.trace(V))  # expected over the starts
    config = mbmf.Config(
        iterations=8,
        planning=2,
        imitation=3,
        samples=6,
        planner=RandomShooting(10),
        horizon=8,
        hidden=(16,),
    )
    config = replace(
        config,
        policy_steps=600,
        tune_steps=1500,
        policy_episodes=10,
        discount=0.95,
        library="ppo",
    )
    rows = [row.scalars for row in mbmf.train(Cart(), config, np.random.default_rng(0))]
    teacher, taught, tuned = rows[1]["cost"], rows[4]["policy_cost"], rows[-1]["policy_cost"]
    assert taught < 1.1 * teacher
    assert tuned < 0.97 * taught
    assert tuned < 1.06 * best


@pytest.mark.parametrize("name", ["pendulum"])
def test_it_runs_in_the_true_simulator_and_needs_no_model_then(name):
    config = replace(SMALL, model="simulator", tune_steps=100)
    rows = list(mbmf.train(make_task(name), config, np.random.default_rng(0)))
    assert len(rows) == 6
    assert rows[0].scalars["model_calls"] > 0


def test_of_the_state_of_each_phase_no_part_may_be_missing_or_of_another_kind():
    rows = list(mbmf.train(Cart(), SMALL, np.random.default_rng(0)))
    for row in (rows[2], rows[5]):  # of imitation, of fine-tuning
        parts = [(name,) for name in row.state] + [
            ("taught", name) for name in row.state.get("taught", ())
        ]
        for *above, last in parts:
            for change in ("missing", "7", None, np.zeros(2)):
                state = {
                    name: dict(part) if isinstance(part, dict) else part
                    for name, part in row.state.items()
                }
                inner = state[above[0]] if above else state
                inner[last] = change
                if isinstance(change, str) and change == "missing":
                    del inner[last]
                with pytest.raises(CheckpointError):
                    next(
                        mbmf.train(
                            Cart(),
                            replace(SMALL, iterations=7),
                            np.random.default_rng(0),
                            state=state,
                        )
                    )
