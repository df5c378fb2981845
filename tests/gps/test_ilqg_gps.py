"""Plans that teach a policy: on a linear world it is as good as the optimum after two trajectories; a run
resumes exactly.
"""

import dataclasses
from functools import partial

import numpy as np
import pytest
from linear_tasks import ObservedPoint, Point, TrueWorld

from agents.tasks import make_task
from agents.tasks.mujoco.reacher import Reacher
from dynamics.storage.tree import load_tree, save_tree
from experiments.engine.evaluation import mean_return
from gps import ilqg_gps
from gps.steps.planned_trajectories import plan
from lqr import InputError

SMALL = ilqg_gps.Config(
    iterations=3, episodes=2, plan_starts=12, noisy_copies=2, policy_steps=800, hidden=(32,)
)


def test_on_a_linear_task_the_policy_is_near_the_optimum_after_two_episodes():
    rows = list(ilqg_gps.train(ObservedPoint(), SMALL, np.random.default_rng(0)))
    optimum = ObservedPoint().optimum()
    assert rows[0].scalars["env_steps"] == 2 * 15
    assert rows[0].scalars["planned_cost"] == pytest.approx(
        optimum.mean(), rel=0.3
    )  # starts are drawn
    assert (rows[-1].arrays["cost"] < 1.1 * optimum).all()
    assert (rows[-1].arrays["cost"] > 0.999 * optimum).all()


def test_a_lesson_is_what_the_plans_do_in_their_states_and_after_noise_around_them():
    task, rng = ObservedPoint(), np.random.default_rng(0)
    config = dataclasses.replace(SMALL, noisy_copies=2000, noisy_copies_std=0.05, plan_tail=5)
    x0 = task.reset(np.arange(3), rng)
    plans = plan(task, TrueWorld(), x0, np.zeros((3, 1, 15, 2)), 15, 0.05)
    o, u = (
        a.reshape(10, 3, 2001, -1)
        for a in ilqg_gps.imitation_targets(task, TrueWorld(), plans, plans.X[0], config, rng)
    )
    np.testing.assert_allclose(o[:, :, 0], plans.X[:, :10].swapaxes(0, 1), atol=1e-9)
    np.testing.assert_allclose(u[:, :, 0], plans.U[:, :10].swapaxes(0, 1), atol=1e-9)
    asked = np.einsum("ctij,tcsj->tcsi", plans.controller.K[:, :10], o)
    asked += plans.controller.k[:, :10].swapaxes(0, 1)[:, :, None]
    np.testing.assert_allclose(u, np.clip(asked, -3, 3), atol=1e-12)
    free = np.abs(plans.U[:, 0]) < 2  # far from the limits
    assert free.any()
    assert o[1, :, 1:, 2:].std(1)[free] == pytest.approx(
        0.2 * 0.05 * 3, rel=0.1
    )  # a velocity after one noisy force


class Runaway(TrueWorld):
    """From a speed of 2 on, which no plan has, it gets twenty times as fast in every step."""

    def step(self, x, u):
        after = super().step(x, u)
        return after * np.where(np.abs(x[..., 2:]).max(-1, keepdims=True) > 2, 20.0, 1.0)


def test_a_noisy_copy_that_runs_off_does_not_teach_where_it_goes():
    task, config = (
        ObservedPoint(),
        dataclasses.replace(SMALL, noisy_copies=200, noisy_copies_std=0.8),
    )
    x0 = task.reset(np.arange(3), np.random.default_rng(0))
    plans = plan(task, TrueWorld(), x0, np.zeros((3, 1, 15, 2)), 15, 0.05)
    assert np.abs(plans.X[..., 2:]).max() < 2
    every = 15 * 3 * 201
    calm, wild = (
        ilqg_gps.imitation_targets(task, world, plans, plans.X[0], config, np.random.default_rng(1))
        for world in (TrueWorld(), Runaway())
    )
    assert len(calm[0]) == every
    assert 0.5 * every < len(wild[0]) < every
    assert np.abs(wild[0]).max() < 40  # ten times the range that was planned
    assert [len(o) == len(u) for o, u in (calm, wild)] == [True, True]


def test_episodes_that_dither_take_the_limits_with_the_mean_that_is_asked_for():
    task = make_task("mbbl_cartpole")

    class Half:
        def mean(self, o):
            return np.full((len(o), 1), 0.5)

    config = dataclasses.replace(SMALL, dither=True, min_std=1e-6, episodes=100)
    trajectories = ilqg_gps.exploration_episodes(task, Half(), config, np.random.default_rng(0))
    assert set(np.unique(trajectories.u)) == {-1.0, 1.0}
    assert trajectories.u.mean() == pytest.approx(0.5, abs=4 / np.sqrt(trajectories.u.size))


def test_noise_of_later_rounds_is_smoothed_where_that_is_asked_for():
    class Zero:
        def mean(self, o):
            return np.zeros((len(o), 2))

    def alike(policy, **settings):
        config = dataclasses.replace(SMALL, episodes=300, initial_std=0.1, min_std=0.1, **settings)
        u = ilqg_gps.exploration_episodes(
            ObservedPoint(), policy, config, np.random.default_rng(0)
        ).u
        return (u[:, 1:] * u[:, :-1]).mean() / (u**2).mean()

    assert alike(Zero(), smoothing=2.0) == pytest.approx(0.0, abs=0.05)
    assert alike(Zero(), episode_smoothing=2.0) > 0.8
    assert alike(None, episode_smoothing=2.0) == pytest.approx(0.0, abs=0.05)


def test_plans_that_are_tried_go_from_their_own_starts_where_their_feedback_leads():
    task, rng, where = ObservedPoint(), np.random.default_rng(0), np.array([2, 0, 1])
    config = dataclasses.replace(
        SMALL, plan_starts=3, executed_plans=3, executed_feedback=1.0, executed_std=0.0
    )
    U = rng.uniform(-3, 3, size=(3, 2, 15, 2))
    plans = plan(task, TrueWorld(), task.reset(where, rng), U, 15, 0.05)
    order = np.random.default_rng(1).choice(3, 3, replace=False)

    def executed(**settings):
        return ilqg_gps.execute(
            task, plans, where, dataclasses.replace(config, **settings), np.random.default_rng(1)
        )

    exact, noisy, loose = (
        executed(),
        executed(executed_std=0.1),
        executed(executed_std=0.1, executed_feedback=0.0),
    )
    np.testing.assert_allclose(
        exact.x[:, 0], plans.X[order, 0], atol=0.01
    )  # a start is never quite the same
    np.testing.assert_allclose(
        exact.x[:, -1], plans.X[order, -1], atol=0.01
    )  # the world is the model
    K, k, _ = (a[order] for a in plans.controller)
    np.testing.assert_allclose(
        exact.u, np.einsum("ctij,ctj->cti", K, exact.x[:, :-1]) + k, atol=1e-9
    )
    strayed = noisy.u - (np.einsum("ctij,ctj->cti", K, noisy.x[:, :-1]) + k)
    inside = (np.abs(noisy.u) < task.action_high) & (np.abs(loose.u) < task.action_high)
    assert np.abs(strayed).max() > 0.05
    np.testing.assert_allclose(
        (loose.u - plans.U[order])[inside], strayed[inside], atol=1e-9
    )  # without feedback


def test_what_plans_showed_is_learned_from_and_counted():
    config = dataclasses.replace(SMALL, iterations=2, executed_plans=5)
    first, second = ilqg_gps.train(ObservedPoint(), config, np.random.default_rng(0))
    assert (first.scalars["episodes"], first.scalars["env_steps"]) == (7, 7 * 15)
    assert (second.scalars["episodes"], second.scalars["env_steps"]) == (14, 14 * 15)
    assert len(first.state["buffer"]["x"]) == 7 * 15


def test_the_model_is_as_large_as_the_settings_say():
    x = np.random.default_rng(0).normal(size=(60, 4))
    u = np.random.default_rng(1).normal(size=(60, 2))
    for word, members in (("ensemble", 3), ("nn", 1)):
        config = dataclasses.replace(
            SMALL, model=word, members=3, model_hidden=(7, 5), fit_steps=20
        )
        model = ilqg_gps.make_model(config)
        assert model.steps == 20
        model.fit(x, u, x + 0.1 * np.concatenate([u, u], 1), np.random.default_rng(0))
        assert [tuple(model.params[f"W{i}"].shape[:1]) for i in range(3)] == [(members,)] * 3
        assert [model.params[f"b{i}"].shape[-1] for i in range(2)] == [7, 5]


def test_the_cart_pole_of_the_benchmark_stands_after_a_thousand_steps():
    config = ilqg_gps.Config(
        iterations=1, episodes=5, initial_std=0.1, dither=True, plan_starts=12, noisy_copies_std=0.5
    )
    config = dataclasses.replace(config, plan_length=60, plan_tail=20)
    last = next(ilqg_gps.train(make_task("mbbl_cartpole"), config, np.random.default_rng(0)))
    assert last.scalars["env_steps"] == 1005
    assert (
        mean_return(make_task("mbbl_cartpole"), last.policy, 10) > 195
    )  # 201 at most; random actions get 38


@pytest.mark.slow
def test_any_target_is_reached_after_ten_episodes():
    config = ilqg_gps.Config(iterations=2, episodes=5, plan_starts=20)
    *_, last = ilqg_gps.train(Reacher(conditions=200), config, np.random.default_rng(0))
    assert last.scalars["env_steps"] == 500
    assert mean_return(Reacher(), last.policy, 20) > -7  # random actions get -42, none -11


LOCAL = {"plan_length": 20, "plan_tail": 5, "extra_starts": 3}
TRIED = {
    "executed_plans": 2,
    "model": "ensemble",
    "members": 2,
    "fit_steps": 50,
    "episode_smoothing": 2.0,
}


@pytest.mark.parametrize(
    ("task", "more"), [(partial(make_task, "mbbl_mountain_car"), LOCAL), (ObservedPoint, TRIED)]
)
def test_a_run_resumes_to_the_same_bits(tmp_path, task, more):
    config = dataclasses.replace(SMALL, plan_starts=3, replay=2, policy_steps=50, **more)
    whole = list(ilqg_gps.train(task(), config, np.random.default_rng(3)))
    rng = np.random.default_rng(3)
    first = next(ilqg_gps.train(task(), config, rng))
    save_tree(tmp_path / "state", first.state, {})
    rest = list(ilqg_gps.train(task(), config, rng, state=load_tree(tmp_path / "state")[0]))
    assert [i.number for i in rest] == [2, 3]
    for a, b in zip(whole[1:], rest, strict=True):
        assert a.scalars == b.scalars
        assert np.array_equal(a.policy.weights[0], b.policy.weights[0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "gpp"}, "model is 'gpp'; expected one of .*gp"),
        ({"guesses": 0}, "guesses is 0; expected a whole number, 1 or more"),
        ({"extra_starts": -1}, "extra_starts is -1"),
        ({"members": 0}, "members is 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(ilqg_gps.Config(), **settings)


@pytest.mark.parametrize(("length", "unused"), [(10, 10), (16, 0)])
def test_plans_that_teach_nothing_or_outlast_the_episode_are_refused(length, unused):
    config = ilqg_gps.Config(plan_length=length, plan_tail=unused)
    with pytest.raises(InputError, match=f"got plans of {length} steps with plan_tail {unused}"):
        next(ilqg_gps.train(ObservedPoint(), config, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"executed_plans": 13}, "executed_plans 13 of 12"), ({"plan_length": 9}, "of 9 steps")],
)
def test_only_whole_plans_can_be_tried(settings, words):
    config = dataclasses.replace(SMALL, **{"executed_plans": 2, **settings})
    with pytest.raises(InputError, match=f"{words}.*; expected at most all of them"):
        next(ilqg_gps.train(ObservedPoint(), config, np.random.default_rng(0)))


def test_episodes_cannot_dither_between_limits_that_are_not_there():
    task = ObservedPoint()
    task.action_high = np.array([3.0, np.inf])
    with pytest.raises(
        InputError, match="seen point has actions without limits; expected dither False"
    ):
        next(
            ilqg_gps.train(task, dataclasses.replace(SMALL, dither=True), np.random.default_rng(0))
        )


def test_plans_begin_at_starts_and_at_states_of_episodes_and_the_latest_rounds_teach():
    task = make_task("mbbl_mountain_car")
    config = dataclasses.replace(
        SMALL, plan_length=5, plan_tail=1, extra_starts=4, plan_starts=3, replay=2, policy_steps=5
    )
    state = list(ilqg_gps.train(task, config, np.random.default_rng(0)))[-1].state
    first, second = (
        one["o"].reshape(4, 7, 3, -1) for one in state["targets"].values()
    )  # steps, starts, copies
    for o in (first, second):
        np.testing.assert_array_equal(o[0, :3, 0], task.observation_of(state["starts"]))
        seen = task.observation_of(state["buffer"]["x"])
        assert (o[0, 3:, 0][:, None] == seen).all(-1).any(1).all()
    assert (first[0, 3:] != second[0, 3:]).any()


def test_a_task_that_does_not_say_what_is_seen_is_refused():
    with pytest.raises(InputError, match="point has states on a manifold or no `observation_of`"):
        next(ilqg_gps.train(Point(), ilqg_gps.Config(), np.random.default_rng(0)))
