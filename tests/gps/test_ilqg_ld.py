"""iLQG with learned dynamics: on a linear world one episode is enough for the optimum; a run resumes
to the same bits.
"""

import dataclasses

import numpy as np
import pytest
from linear_tasks import Fragile, Point

from agents.tasks.classic.pendulum import Pendulum
from dynamics.storage.tree import load_tree, save_tree
from gps import ilqg_ld
from lqr import InputError


def test_on_a_linear_task_the_optimum_is_found_after_an_episode_or_two():
    rows = list(ilqg_ld.train(Point(), ilqg_ld.Config(iterations=2), np.random.default_rng(0)))
    assert rows[-1].arrays["cost"] == pytest.approx(Point().optimum(), rel=0.01)
    assert rows[-1].scalars["planned_cost"] == pytest.approx(Point().optimum().mean(), rel=0.01)
    assert rows[-1].scalars["episodes"] == 6
    assert rows[-1].scalars["env_steps"] == 6 * 15


def test_steps_of_episodes_that_diverge_count_too():
    rows = list(ilqg_ld.train(Fragile(), ilqg_ld.Config(iterations=2), np.random.default_rng(0)))
    assert [row.scalars["diverged"] for row in rows] == [
        2,
        2,
    ]  # one of three episodes, and the noise-free one
    assert [row.scalars["env_steps"] for row in rows] == [4 + 15 + 15, 2 * (4 + 15 + 15)]


def test_the_plan_is_what_the_controllers_do_in_the_model_and_keeps_the_limits():
    task = Point()
    task.action_low, task.action_high = -0.5 * np.ones(2), 0.5 * np.ones(2)
    config = ilqg_ld.Config(iterations=1)
    last = next(ilqg_ld.train(task, config, np.random.default_rng(0)))
    mean, controller = last.arrays["mean"], last.policy.controller
    U = np.einsum("ctij,ctj->cti", controller.K, mean[:, :-1, :4]) + controller.k
    np.testing.assert_allclose(U, mean[:, :-1, 4:], atol=1e-9)
    assert np.abs(U).max() <= 0.5 + 1e-12
    assert np.abs(U).max() > 0.49
    assert np.allclose(controller.cov, (0.05 * 0.5) ** 2 * np.eye(2))


def test_the_pendulum_swings_up_within_four_episodes():
    task = Pendulum()
    rows = list(ilqg_ld.train(task, ilqg_ld.Config(iterations=4), np.random.default_rng(0)))
    assert rows[-1].scalars["balanced"] == 1.0
    assert rows[-1].scalars["distance"] < 0.05  # m


def test_a_run_resumes_to_the_same_bits(tmp_path):
    config = ilqg_ld.Config(iterations=3)
    whole = list(ilqg_ld.train(Point(), config, np.random.default_rng(3)))
    rng = np.random.default_rng(3)
    first = next(ilqg_ld.train(Point(), config, rng))
    save_tree(tmp_path / "state", first.state, {})
    rest = list(ilqg_ld.train(Point(), config, rng, state=load_tree(tmp_path / "state")[0]))
    assert [i.number for i in rest] == [2, 3]
    for a, b in zip(whole[1:], rest, strict=True):
        assert a.scalars == b.scalars
        assert np.array_equal(a.policy.controller.K, b.policy.controller.K)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "gpp"}, "model is 'gpp'; expected one of .*gp"),
        ({"guesses": -1}, "guesses is -1; expected a whole number, 0 or more"),
        ({"samples": 0}, "samples is 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(ilqg_ld.Config(), **settings)


def test_states_on_a_manifold_are_refused():
    task = Point()
    task.manifold = object()
    with pytest.raises(InputError, match="point has states on a manifold"):
        next(ilqg_ld.train(task, ilqg_ld.Config(), np.random.default_rng(0)))
