"""The first controllers against their definitions, and on things that move."""

import numpy as np
import pytest
from linear_tasks import Point
from scipy.linalg import solve_discrete_are

from agents.rollout import rollout
from agents.tasks.classic.point_mass import STARTS, PointMass
from agents.tasks.mujoco.peg import REST, Peg
from gps import lqr_flm, mdgps
from gps.steps.initial_controllers import initial_controllers
from lqr import InputError


def made(task, word, **settings):
    return initial_controllers(task, lqr_flm.Config(**settings), word)


def test_zero_takes_no_action_and_explores_by_a_share_of_half_the_range():
    controller = made(PointMass(4), "zero", initial_std=0.2)
    assert not controller.K.any()
    assert not controller.k.any()
    np.testing.assert_allclose(controller.cov, np.tile(4 * np.eye(2), (4, 100, 1, 1)))


@pytest.mark.parametrize(("word", "target"), [("hold", STARTS), ("pd", np.zeros((4, 2)))])
def test_hold_and_pd_are_a_spring_and_a_damper_in_shares_of_half_the_range(word, target):
    controller = made(PointMass(4), word, initial_stiffness=0.3, initial_damping=0.2)
    x = np.random.default_rng(0).normal(size=4)
    for c in range(4):
        force = 10 * (0.3 * (target[c] - x[:2]) - 0.2 * x[2:])
        np.testing.assert_allclose(
            controller.K[c, 7] @ x + controller.k[c, 7], force, atol=0.01
        )  # the start jitters
    np.testing.assert_array_equal(controller.cov, made(PointMass(4), "zero").cov)


def test_the_gains_of_lqr_are_those_of_the_riccati_equation_and_bring_a_point_to_its_target():
    task, stiffness, damping = PointMass(4), 3.0, 0.7
    controller = made(
        task, "lqr", initial_stiffness=stiffness, initial_damping=damping, initial_authority=10.0
    )
    h = task.dt
    A, B = (
        np.array([[1, h], [0, 1]]),
        np.array([[h**2 / 2], [h]]),
    )  # of one axis; a force of 1 N accelerates 1 kg
    P = solve_discrete_are(A, B, np.diag([stiffness, damping]), [[1 / 100]])
    gain = -np.linalg.solve(B.T @ P @ B + 1 / 100, B.T @ P @ A)[0]
    np.testing.assert_allclose(
        controller.K[2, 0], np.hstack([gain[0] * np.eye(2), gain[1] * np.eye(2)]), atol=1e-6
    )
    episodes = rollout(task, controller, np.arange(4), 1, np.random.default_rng(0), noise=0.0)
    assert np.linalg.norm(episodes.x[:, -1, :2], axis=-1).max() < 0.01


def test_pd_brings_a_point_to_its_target_and_hold_keeps_it_at_its_start():
    still = {"initial_stiffness": 1.0, "initial_damping": 0.6}
    for word, where in (("pd", np.zeros((4, 2))), ("hold", STARTS)):
        task = PointMass(4)
        episodes = rollout(
            task, made(task, word, **still), np.arange(4), 1, np.random.default_rng(0), noise=0.0
        )
        assert np.abs(episodes.x[:, -1, :2] - where).max() < 0.01


def test_an_arm_that_holds_its_position_hardly_leaves_it_while_it_explores():
    moved = {}
    for word in ("zero", "hold", "lqr"):
        task = Peg()
        episodes = rollout(
            task, made(task, word, initial_std=0.1), np.arange(4), 2, np.random.default_rng(0)
        )
        moved[word] = np.abs(episodes.x[:, -1, :7] - REST).mean()
    assert moved["hold"] < 0.15 * moved["zero"]
    assert moved["lqr"] < 0.2 * moved["zero"]


def test_a_target_of_each_condition_is_taken_as_it_stands():
    task = PointMass(4)
    task.joint_target = np.arange(8.0).reshape(4, 2)
    controller = made(task, "pd", initial_stiffness=0.1)
    np.testing.assert_allclose(controller.k[:, 3], 1.0 * task.joint_target)


def test_mirror_descent_starts_its_policy_as_those_controllers():
    task = PointMass(4)
    config = mdgps.Config(
        iterations=1, samples=4, initial="pd", kl_step=1e-3, min_std=0.01, hidden=(32,)
    )
    (first,) = mdgps.train(task, config, np.random.default_rng(0))
    assert first.scalars["policy_distance"] < 0.5  # without, about 1.1: it stays where it starts


@pytest.mark.parametrize("word", ["hold", "pd", "lqr"])
def test_a_task_that_does_not_say_what_its_actions_drive_is_refused(word):
    with pytest.raises(InputError, match="point, which has no `joints`"):
        made(Point(), word)


def test_pd_without_a_target_and_joints_of_another_number_are_refused():
    with pytest.raises(InputError, match="no `joint_target`; expected hold"):
        made(Peg(), "pd")
    task = PointMass()
    task.joints = (range(3), range(3))
    with pytest.raises(InputError, match=r"expected \(2,\) each"):
        made(task, "hold")
