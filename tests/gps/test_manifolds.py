"""Learning on manifolds: a pendulum whose angle wraps where it shall stand, a body that turns by up
to 172 degrees.
"""

import numpy as np
import pytest

from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import rollout, run
from agents.tasks.classic.free_body import POSES, FreeBody
from agents.tasks.classic.wrapping_pendulum import WrappingPendulum
from dynamics import Chart, Manifold, chart_of
from dynamics.storage.tree import load_tree, save_tree
from gps import badmm, lqr_flm
from gps.steps.initial_controllers import zero_controllers
from gps.steps.local_data import by_condition, recentred
from gps.steps.policy_step import GlobalPolicy
from lqr import CheckpointError

SWING = lqr_flm.Config(iterations=20, samples=4, initial_std=0.3, min_std=0.05)
TURN = lqr_flm.Config(iterations=10, samples=4, initial_std=0.1, min_std=0.03)


def undeclared(make):
    task = make()
    task.manifold = None
    return task


def learned(task, config, seed=0):
    return list(lqr_flm.train(task, config, np.random.default_rng(seed)))


@pytest.mark.slow
def test_a_pendulum_swings_up_through_the_wrap_if_its_angle_is_declared():
    results = [
        learned(task, SWING)[-1].scalars
        for task in (WrappingPendulum(), undeclared(WrappingPendulum))
    ]
    assert results[0]["balanced"] == 1.0
    assert results[0]["distance"] < 0.05  # m
    assert results[1]["balanced"] == 0.0
    assert results[0]["cost"] < 0.8 * results[1]["cost"]


@pytest.mark.slow
def test_a_free_body_turns_by_up_to_172_degrees_if_its_orientation_is_declared():
    start = FreeBody().reset(np.arange(3), np.random.default_rng(0))
    angles = np.degrees(np.linalg.norm(POSES.difference(start, POSES.zero)[:, 3:6], axis=1))
    assert (angles > 90).all()
    assert angles.max() > 165
    results = [learned(task, TURN)[-1] for task in (FreeBody(), undeclared(FreeBody))]
    assert results[0].scalars["angle"] < 2.0  # degrees
    assert results[0].scalars["distance"] < 0.05  # m
    assert results[0].scalars["cost"] < 0.3 * results[1].scalars["cost"]


def test_the_sign_of_the_quaternion_makes_no_difference():
    class Flipped(FreeBody):
        """Every other step, the same orientation has the other sign."""

        t = 0

        def states(self):
            x = super().states()
            self.t += 1
            x[:, 3:7] *= (-1) ** self.t
            return x

    config = lqr_flm.Config(iterations=3, samples=3, initial_std=0.1, prior="flat", min_std=0.03)
    plain, flipped = (learned(make(), config)[-1].arrays["cost"] for make in (FreeBody, Flipped))
    np.testing.assert_allclose(flipped, plain, rtol=1e-6)


def test_a_task_of_plain_numbers_learns_the_same_with_and_without_saying_so():
    class Said(WrappingPendulum):
        manifold = Manifold("real", "real")

    config = lqr_flm.Config(iterations=3, samples=4, initial_std=0.3)
    said, unsaid = (
        learned(task, config)[-1].arrays["cost"] for task in (Said(), undeclared(WrappingPendulum))
    )
    np.testing.assert_allclose(said, unsaid, rtol=0.02)  # the fit's ridge is about another mean


@pytest.mark.slow
def test_the_simulator_as_a_prior_knows_the_manifold_too_and_rehearses_on_it():
    config = lqr_flm.Config(
        iterations=1, samples=1, prior="simulator", pretraining=12, kl_step=100.0, max_kl_step=1e3
    )
    first = learned(FreeBody(), config)[0]
    assert first.scalars["episodes"] == 3
    assert first.scalars["angle"] < 5.0
    assert first.scalars["cost"] < 3.0  # 16 to 28 without pretraining


def test_the_mean_of_episodes_half_a_turn_from_the_reference_is_among_them():
    rng, task = np.random.default_rng(1), WrappingPendulum()
    episodes = run(task, lambda x, o, t: np.zeros((len(x), 1)), np.zeros(6, int), rng)
    episodes.x[..., 0] = np.where(rng.uniform(size=episodes.x.shape[:2]) < 0.5, 3.13, -3.13)
    chart = Chart(task.manifold, np.zeros((1, 41, 2)))
    controller = zero_controllers(task, 0.1)
    local = recentred(by_condition(episodes, controller, np.ones(1), chart))
    assert np.abs(np.abs(local.chart.origin[..., 0]) - np.pi).max() < 0.02
    assert np.abs(local.x[..., 0]).max() < 0.03
    np.testing.assert_allclose(
        np.cos(local.chart.from_tangent(local.x)[0, ..., 0]), np.cos(episodes.x[..., 0])
    )


def test_a_resumed_run_is_bit_identical(tmp_path):
    config = lqr_flm.Config(iterations=3, samples=2)
    rng = np.random.default_rng(2)
    whole = []
    generators = []
    for it in lqr_flm.train(FreeBody(), config, rng):
        whole.append(it)
        generators.append(rng.bit_generator.state)
    save_tree(tmp_path / "state", whole[0].state)
    again = np.random.default_rng(0)
    again.bit_generator.state = generators[0]
    rest = list(lqr_flm.train(FreeBody(), config, again, state=load_tree(tmp_path / "state")[0]))
    assert [it.scalars for it in rest] == [it.scalars for it in whole[1:]]
    with pytest.raises(CheckpointError):
        next(
            lqr_flm.train(
                undeclared(FreeBody), config, again, state=load_tree(tmp_path / "state")[0]
            )
        )


def test_saved_controllers_take_states_as_the_task_gives_them(tmp_path):
    last = learned(FreeBody(), lqr_flm.Config(iterations=2, samples=2))[-1]
    save_tree(tmp_path / "policy", last.policy.state())
    policy = ControllerPolicy.from_state(load_tree(tmp_path / "policy")[0])
    task = FreeBody()
    every = np.arange(3)
    mine = run(task, lambda x, o, t: policy.sample(x, t, None), every, np.random.default_rng(3))
    other = rollout(
        task,
        last.policy.controller,
        every,
        1,
        np.random.default_rng(3),
        noise=0.0,
        chart=last.policy.chart,
    )
    np.testing.assert_allclose(mine.x, other.x, atol=1e-12)
    one = np.stack([policy.act(mine.x[c, 7], 7, c) for c in every])
    np.testing.assert_allclose(
        np.clip(one, task.action_low, task.action_high), mine.u[:, 7], atol=1e-12
    )
    state = last.policy.state()
    for broken in (
        {"parts": "real", "origin": state["chart"]["origin"]},
        {**state["chart"], "parts": "euler"},
    ):
        with pytest.raises(CheckpointError, match="another version"):
            ControllerPolicy.from_state({**state, "chart": broken})


def test_old_episodes_are_replayed_in_the_coordinates_of_the_controllers_that_teach():
    rng, task, every = np.random.default_rng(4), FreeBody(), np.arange(3)
    config = badmm.Config(iterations=1, samples=2)
    student, chart, raw = GlobalPolicy(task, config, 0.1, rng), chart_of(task), []
    for _ in range(2):
        episodes = rollout(task, zero_controllers(task, 0.2), every, 2, rng, chart=chart)
        raw.append(episodes.x.reshape(3, 2, 41, 13)[:, :, :-1])
        new = recentred(by_condition(episodes, zero_controllers(task, 0.2), np.ones(3), chart))
        chart = new.chart
        seen = student.add(new, chart)
    expected = POSES.difference(np.concatenate(raw, 1), chart.origin[:, None, :-1])
    np.testing.assert_allclose(seen.x, expected, atol=1e-9)


@pytest.mark.slow
def test_the_dual_update_learns_on_a_manifold_too():
    config = badmm.Config(
        iterations=6, samples=3, initial_std=0.1, min_std=0.03, policy_steps=100, hidden=(16,)
    )
    results = [it.scalars for it in badmm.train(FreeBody(), config, np.random.default_rng(4))]
    assert results[-1]["cost"] < 0.5 * results[0]["cost"]
    assert results[-1]["policy_cost"] < 0.7 * results[0]["policy_cost"]
