"""A task seen through a filter, with pictures as goals: with a filter that tells the truth it is the
task itself.
"""

import numpy as np
import pytest

from agents.rollout import rollout
from agents.tasks import PointMass
from agents.tasks.mujoco.reacher import FOUR_TARGETS, tip_of
from agents.tasks.wrappers.partial import angles_at
from agents.tasks.wrappers.pictured import START, Pictured, goal_cost
from dynamics.vision.filters import FILTERS, Moving, Reduced, Still
from dynamics.vision.judgement import Readout
from gps import badmm, lqr_flm
from lqr import InputError

STARTS = 4


class Shown(PointMass):
    """A point mass whose picture is 4 bytes x 4 that spell its place, to a 16000th of a metre."""

    name = "shown"

    def pictures(self):
        return spelled(self.x[:, :2])

    def goal_pictures(self):
        return spelled(np.zeros((self.conditions, 2)) + 0.25)


def spelled(places):
    whole = np.rint((places + 2.0) * 16000).astype(int)
    pictures = np.zeros((len(places), 4, 4, 3), np.uint8)
    for i in range(2):
        pictures[:, i, 0, 0], pictures[:, i, 0, 1] = whole[:, i] >> 8, whole[:, i] & 255
    return pictures


class Reading:
    d = 2

    def __call__(self, pictures):
        p = pictures.astype(int)
        return (p[..., :2, 0, 0] * 256 + p[..., :2, 0, 1]) / 16000 - 2.0


def test_codes_are_differences_to_the_goal_scaled_to_the_usual_distance():
    task = Pictured(Shown(STARTS), Still(Reading()), keep=False)
    x = task.reset(np.arange(STARTS), np.random.default_rng(0))
    plain = Shown(STARTS).reset(np.arange(STARTS), np.random.default_rng(0))
    gap = plain[:, :2] - 0.25
    scale = START / np.linalg.norm(gap, axis=1).mean()
    np.testing.assert_allclose(x, scale * gap, atol=1e-4)
    cost = task.cost(x[:, None].repeat(2, 1), np.ones((STARTS, 1, 2)))
    expected = np.sqrt((scale * gap) ** 2 @ np.ones(2) + 1e-5) + 0.1 * 2
    np.testing.assert_allclose(cost[:, 0], expected, atol=1e-3)


def test_a_moving_filter_tells_speeds_and_metrics_are_those_of_true_states():
    task = Pictured(Shown(STARTS), Moving(Reading(), rate=1 / Shown.dt), keep=False)
    u = np.random.default_rng(1).uniform(-1, 1, (Shown.horizon, STARTS, 2))

    class Given:
        def sample(self, o, t, rng):
            return u[t]

    seen = rollout(task, Given(), np.arange(STARTS), 1, np.random.default_rng(0))
    true = rollout(Shown(STARTS), Given(), np.arange(STARTS), 1, np.random.default_rng(0))
    change = np.diff(true.x[..., :2], axis=1) / Shown.dt
    np.testing.assert_allclose(seen.x[:, 1:, 2:] / task.unit[0], change, atol=1e-2)
    told = task.metrics(seen.x[1:3], seen.u[1:3])
    for name, value in Shown(STARTS).metrics(true.x[1:3], true.u[1:3]).items():
        np.testing.assert_array_equal(told[name], value)
    np.testing.assert_allclose(told["true_cost"], true.cost[1:3].sum(-1))
    assert np.isnan(task.metrics(seen.x + 1.0, seen.u)["true_cost"]).all()


def test_local_controllers_reach_the_goal_of_a_picture_and_so_does_a_policy_of_codes():
    config = lqr_flm.Config(iterations=8, samples=4, initial_std=0.3, kl_step=100.0, initial="zero")
    task = Pictured(Shown(STARTS), Moving(Reading(), rate=1 / Shown.dt), effort=0.001, keep=False)
    steps = list(lqr_flm.train(task, config, np.random.default_rng(0)))
    assert steps[-1].scalars["cost"] < 0.4 * steps[0].scalars["cost"]
    assert all(step.scalars["kl"] <= 1.01 * step.scalars["epsilon"] for step in steps)
    small = badmm.Config(iterations=1, samples=2, policy_steps=5, initial="zero", probe=False)
    assert next(badmm.train(task, small, np.random.default_rng(0))).policy.do == task.dx


@pytest.mark.parametrize("word", FILTERS)
def test_a_filter_starts_with_its_code_and_follows_alike(word):
    made, rng = FILTERS[word](Reading()), np.random.default_rng(0)
    first, then = (spelled(rng.uniform(-1, 1, (3, 2))) for _ in range(2))
    x = made.start(first)
    assert x.shape == (3, made.d)
    np.testing.assert_array_equal(x[:, :2], Reading()(first))
    after = made.follow(x, np.zeros((3, 2)), then)
    np.testing.assert_array_equal(after[:, :2], Reading()(then))


def test_a_reduced_encoder_is_a_linear_map_of_the_codes():
    made = Reduced(Reading(), Readout(np.array([[1.0], [-2.0]]), np.array([3.0])))
    pictures = spelled(np.array([[0.5, 0.25], [-1.0, 0.0]]))
    np.testing.assert_allclose(made(pictures)[:, 0], [3.0, 2.0], atol=1e-3)


def test_the_arm_at_a_target_has_its_tip_there_and_is_bent_as_little_as_can_be():
    near = np.array([[0.05, -0.05], [-0.05, 0.05], [3.0, 0.4], [0.0, -0.2]])
    angles = angles_at(FOUR_TARGETS, near)
    np.testing.assert_allclose(tip_of(angles), FOUR_TARGETS, atol=1e-12)
    turn = np.arctan2(FOUR_TARGETS[:, 1], FOUR_TARGETS[:, 0])  # the other way is its mirror image
    tilt = (angles[:, 0] - turn + np.pi) % (2 * np.pi) - np.pi
    other = np.stack([turn - tilt, -angles[:, 1]], 1)
    np.testing.assert_allclose(tip_of(other), FOUR_TARGETS, atol=1e-12)
    other[:, 0] = near[:, 0] + (other[:, 0] - near[:, 0] + np.pi) % (2 * np.pi) - np.pi
    far = np.linalg.norm(other - near, axis=1)
    assert (np.linalg.norm(angles - near, axis=1) <= far).all()
    assert (np.abs(angles[:, 0] - near[:, 0]) <= np.pi).all()


def test_what_shows_no_goal_or_codes_that_tell_nothing_are_refused():
    with pytest.raises(InputError, match="goal_pictures"):
        Pictured(PointMass(), Still(Reading()))

    class Blind(Reading):
        def __call__(self, pictures):
            return np.zeros((len(pictures), 2))

    with pytest.raises(InputError, match="do not tell starts from goals"):
        Pictured(Shown(STARTS), Still(Blind()))
    with pytest.raises(InputError, match="expected norm, log or exp"):
        goal_cost("square", np.ones(2), 0.1)
