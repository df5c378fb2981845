"""Plans teach, a library goes on: what is counted, resumed and refused; its own episodes improve a
policy.
"""

import dataclasses

import numpy as np
import pytest
from linear_tasks import Fragile, ObservedPoint

from dynamics.storage.tree import load_tree, save_tree
from gps import ilqg_mf
from lqr import CheckpointError, InputError, Quadratic

pytest.importorskip("sb3_contrib")

SMALL = ilqg_mf.Config(
    iterations=4,
    teaching=2,
    episodes=2,
    plan_starts=6,
    policy_steps=100,
    hidden=(16,),
    tune_steps=60,
    tune_std=0.1,
)


def test_rounds_of_teaching_come_first_and_all_steps_count():
    rows = list(ilqg_mf.train(ObservedPoint(), SMALL, np.random.default_rng(0)))
    assert [row.scalars["phase"] for row in rows] == [0, 0, 1, 1]
    assert [row.scalars["env_steps"] for row in rows] == [
        30,
        60,
        180,
        240,
    ]  # two episodes of 15; the critic's 60; 60 each
    assert [row.scalars["episodes"] for row in rows] == [2, 4, 12, 16]
    assert len({tuple(sorted(row.scalars)) for row in rows}) == 1
    assert [row.number for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("shaping", [False, True])
def test_a_run_resumes_to_the_same_bits_in_both_phases(tmp_path, shaping):
    config = dataclasses.replace(SMALL, shaping=shaping)
    whole = list(ilqg_mf.train(ObservedPoint(), config, np.random.default_rng(3)))
    for stop in (1, 2, 3):
        rng = np.random.default_rng(3)
        run = ilqg_mf.train(ObservedPoint(), config, rng)
        last = [next(run) for _ in range(stop)][-1]
        save_tree(tmp_path / f"state{stop}", last.state, {})
        rest = list(
            ilqg_mf.train(
                ObservedPoint(), config, rng, state=load_tree(tmp_path / f"state{stop}")[0]
            )
        )
        assert [row.scalars for row in rest] == [row.scalars for row in whole[stop:]]
        assert np.array_equal(rest[-1].policy.weights[0], whole[-1].policy.weights[0])


def test_fine_tuning_improves_a_policy_that_learned_little():
    config = dataclasses.replace(
        SMALL, iterations=16, teaching=1, plan_iterations=1, policy_steps=20, tune_steps=600
    )
    config = dataclasses.replace(config, tune_std=0.3)
    rows = list(ilqg_mf.train(ObservedPoint(), config, np.random.default_rng(0)))
    assert rows[-1].scalars["cost"] < 0.8 * rows[0].scalars["cost"]


def test_shaping_changes_what_is_learned_from_the_same_episodes_and_not_what_they_cost():
    plain, shaped = (
        list(
            ilqg_mf.train(
                ObservedPoint(), dataclasses.replace(SMALL, shaping=on), np.random.default_rng(0)
            )
        )
        for on in (False, True)
    )
    assert plain[2].scalars["sampled_cost"] == pytest.approx(
        shaped[2].scalars["sampled_cost"], rel=1e-9
    )
    assert not np.allclose(plain[2].policy.weights[0], shaped[2].policy.weights[0], rtol=1e-6)


def test_fine_tuning_learns_from_the_cost_that_the_task_names_for_it_and_all_is_judged_by_the_other():
    own = list(ilqg_mf.train(ObservedPoint(), SMALL, np.random.default_rng(0)))
    task = ObservedPoint()
    task.tuning_cost = Quadratic(np.zeros((6, 6)), const=100.0)
    other = list(ilqg_mf.train(task, SMALL, np.random.default_rng(0)))
    for a, b in zip(own[:2], other[:2], strict=True):
        assert a.scalars == b.scalars
    assert other[2].scalars["sampled_cost"] == pytest.approx(100.0 * (task.horizon + 1), rel=1e-6)
    assert other[2].scalars["cost"] < 50.0 * task.horizon


def test_steps_of_episodes_that_diverge_count_too():
    config = dataclasses.replace(SMALL, episodes=12, executed_plans=4)
    rows = list(ilqg_mf.train(Fragile(), config, np.random.default_rng(0)))
    lost = [row.scalars["diverged"] for row in rows]
    assert all(
        n > 1 for n in lost[:2]
    )  # an episode, or a plan that was tried, and the noise-free one
    first = (lost[0] - 1) * 4 + (16 - (lost[0] - 1)) * 15
    assert rows[0].scalars["env_steps"] == first
    assert rows[1].scalars["env_steps"] == first + (lost[1] - 1) * 4 + (16 - (lost[1] - 1)) * 15
    assert lost[2] > 1  # of fine-tuning, and the noise-free one
    critics = rows[2].scalars["env_steps"] - rows[1].scalars["env_steps"] - config.tune_steps
    assert critics in [4 * n + 15 * (4 - n) for n in range(4)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"teaching": 5}, "teaching is 5; expected at most iterations, 4"),
        ({"library": "sac"}, "library is 'sac'; expected one of"),
        ({"discount": 2.0}, "discount is 2.0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(SMALL, **settings)


def test_rounds_shorter_than_an_episode_and_other_states_are_refused():
    with pytest.raises(InputError, match="tune_steps is 5; expected at least an episode's 15"):
        next(
            ilqg_mf.train(
                ObservedPoint(), dataclasses.replace(SMALL, tune_steps=5), np.random.default_rng(0)
            )
        )
    task = ObservedPoint()
    task.action_low = np.array([-3.0, -np.inf])
    with pytest.raises(InputError, match="seen point has actions without limits"):
        next(ilqg_mf.train(task, SMALL, np.random.default_rng(0)))
    with pytest.raises(CheckpointError, match="state"):
        next(ilqg_mf.train(ObservedPoint(), SMALL, np.random.default_rng(0), state={"number": 3}))
