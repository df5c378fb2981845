"""Mixtures of neighbouring conditions teach what lies between them."""

import numpy as np
import pytest

from agents.tasks import make_task
from gps import badmm
from gps.steps.between import Pairs, Taught, mixed, pairs_of_neighbours, with_mixtures
from gps.steps.policy_data import PolicyData
from lqr import InputError, LinearGaussianController

T = 8


def tracker(goal):
    """Returns the optimal k (T, 1) towards a goal of x' = x + u under the cost (x - goal)^2 + u^2 of
    all steps and the last state, and the gain -K (T, 1, 1): by Riccati's recursion for the state
    x - goal, V' = 1 + V / (1 + V), whose gain is V / (1 + V).
    """
    V, gains = 1.0, []
    for _ in range(T):
        gains.append(V / (1 + V))
        V = 1 + V / (1 + V)
    K = -np.array(gains[::-1])[:, None, None]
    return -K[:, 0] * goal, K


def test_a_mixture_of_optimal_controllers_is_optimal_for_the_goal_between():
    found = [tracker(goal) for goal in (1.0, 3.0)]
    k, K = (np.stack(part) for part in zip(*found, strict=True))
    teacher = LinearGaussianController(K, k, np.ones((2, T, 1, 1)))
    x = np.random.default_rng(0).normal(size=(2, 3, T, 1))
    data = PolicyData(x, 2 * x, np.ones((2, 3, T)))
    taught = Taught(teacher, data, np.ones((2, T)), np.zeros((2, T, 1)))
    found = with_mixtures(taught, 5, object(), np.random.default_rng(1))
    share = (found.data.x[2:7] - x[0]) / (x[1] - x[0])  # of condition 1, in those of condition 0
    a = share[:, 0, 0, 0]
    np.testing.assert_allclose(share, np.broadcast_to(a[:, None, None, None], share.shape))
    assert ((a >= 0) & (a < 1)).all()
    for i in range(5):
        k, K = tracker(1.0 + 2.0 * a[i])
        np.testing.assert_allclose(found.teacher.k[2 + i], k)
        np.testing.assert_allclose(found.teacher.K[2 + i], K)
    np.testing.assert_allclose(found.data.o, 2 * found.data.x)  # no one says what is seen


def test_conditions_are_mixed_with_their_nearest_ones_alone():
    place = np.array([0.0, 1.0, 2.0, 50.0, 51.0, 52.0])
    x = np.broadcast_to(place[:, None, None], (6, T, 2))
    pairs = pairs_of_neighbours(x, 40, 2, np.random.default_rng(0))
    assert len(pairs.first) == 240
    assert (pairs.first // 3 == pairs.second // 3).all()
    assert (pairs.first != pairs.second).all()
    alone = pairs_of_neighbours(x[:1], 4, 2, np.random.default_rng(0))
    assert len(alone.first) == 0


def test_a_step_takes_place_where_it_does_in_both():
    used = np.ones((2, 1, T))
    used[1, 0, 5:] = 0
    x = np.zeros((2, 1, T, 1))
    teacher = LinearGaussianController(
        np.zeros((2, T, 1, 1)), np.zeros((2, T, 1)), np.ones((2, T, 1, 1))
    )
    taught = Taught(teacher, PolicyData(x, x, used), np.ones((2, T)), np.zeros((2, T, 1)))
    found = with_mixtures(taught, 1, object(), np.random.default_rng(0))
    np.testing.assert_array_equal(found.data.used[2:], used[[1, 1]])


def test_nothing_is_mixed_without_pairs():
    a = np.arange(6.0).reshape(2, 3)
    none = Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    np.testing.assert_array_equal(mixed(a, none), a)


def test_states_on_a_manifold_are_not_mixed():
    config = badmm.Config(between=1)
    with pytest.raises(InputError, match="lie on a manifold; expected --between 0"):
        next(badmm.train(make_task("free_body"), config, np.random.default_rng(0)))
