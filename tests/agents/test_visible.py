"""What can be seen in episodes, against the F distribution and costs whose parts are known."""

import numpy as np
import pytest
from scipy import stats

from agents.rollout import Trajectories
from agents.rollout.visible import action_effect, cost_by_state, cost_spread, cost_variation


def episodes(x, u, cost=None, length=None):
    n, T, _ = u.shape
    return Trajectories(
        x=x,
        u=u,
        o=x,
        cost=np.zeros((n, T + 1)) if cost is None else cost,
        length=np.full(n, T) if length is None else length,
        failed=np.zeros(n, bool),
    )


def walk(rng, effect=0.0, n=5, T=20):
    """Returns episodes of x' = 0.5 x + effect u + noise about a mean that changes with the step."""
    x, u = np.zeros((n, T + 1, 1)), rng.standard_normal((n, T, 1))
    for t in range(T):
        noise = rng.standard_normal((n, 1))
        x[:, t + 1] = 0.5 * x[:, t] + effect * u[:, t] + noise + 3 * np.sin(t)
    return episodes(x, u)


def test_the_effect_of_actions_that_do_nothing_is_distributed_as_f():
    rng = np.random.default_rng(0)
    found = np.array([action_effect(walk(rng), 1) for _ in range(400)])
    for level in (0.5, 0.9):
        share = (found < stats.f.ppf(level, 1, 20 * 4 - 2)).mean()
        assert share == pytest.approx(level, abs=0.06)


def test_the_effect_grows_with_what_the_actions_do_and_knows_no_units():
    rng = np.random.default_rng(0)
    found = walk(rng, effect=2.0)
    seen = action_effect(found, 1)
    assert 100 < seen < 1000  # about effect^2 times the 80 free numbers
    scaled = found._replace(x=1e3 * found.x, u=1e-3 * found.u)
    assert action_effect(scaled, 1) == pytest.approx(seen)


def test_nothing_is_seen_where_nothing_varies_and_nothing_is_told_of_one_episode():
    still = episodes(np.ones((4, 11, 2)), np.random.default_rng(0).standard_normal((4, 10, 1)))
    assert action_effect(still, 2) == 0.0
    assert np.isnan(action_effect(still, 4))
    assert np.isnan(cost_spread(still, 4))


def test_a_cost_of_the_actions_alone_is_flat_whatever_is_added_to_it():
    rng = np.random.default_rng(0)
    found = walk(rng, n=10)
    actions = np.pad(0.1 * found.u[..., 0] ** 2, ((0, 0), (0, 1)))
    assert cost_by_state(found._replace(cost=actions - 7.0)) < 1e-9
    assert cost_by_state(found._replace(cost=np.full_like(actions, 1.0))) == 0.0


def test_the_part_of_a_cost_that_the_states_decide_is_its_share_of_the_variation():
    rng = np.random.default_rng(0)
    found = walk(rng, n=100)
    place = 2.0 * rng.standard_normal(found.cost.shape)  # variance 4, beside that of 3 u: 9
    cost = place + 3.0 * np.pad(found.u[..., 0], ((0, 0), (0, 1)))
    share = cost_by_state(found._replace(cost=cost))
    assert share == pytest.approx(np.sqrt(4 / 13), rel=0.03)
    assert cost_by_state(found._replace(cost=1e-3 * cost + 5.0)) == pytest.approx(share)


def test_spread_and_variation_of_the_cost_are_of_the_steps_taken():
    cost = np.array([[1.0, 2.0, 50.0, 0.0], [3.0, 2.0, 70.0, 0.0]])
    found = episodes(np.zeros((2, 4, 1)), np.zeros((2, 3, 1)), cost, np.array([2, 2]))
    assert cost_spread(found, 1) == pytest.approx(1.0)  # |1 - 2| in the first step, 0 in the second
    assert cost_variation(found) == pytest.approx(4 * np.std([1, 2, 3, 2]))


def test_numbers_near_the_largest_there_are_overflow_nowhere():
    rng = np.random.default_rng(0)
    found = walk(rng, effect=1.0)
    cost = rng.standard_normal(found.cost.shape)
    huge = found._replace(x=1e290 * found.x, u=1e290 * found.u, cost=1e290 * cost)
    with np.errstate(all="raise"):
        assert action_effect(huge, 1) == pytest.approx(action_effect(found, 1))
        known = found._replace(cost=cost)
        assert cost_by_state(huge) == pytest.approx(cost_by_state(known))
        assert cost_variation(huge) == pytest.approx(1e290 * cost_variation(known))


def test_a_cost_that_is_paid_in_the_last_state_alone_is_seen():
    rng, N, T = np.random.default_rng(0), 8, 5
    x, u = rng.normal(size=(N, T + 1, 2)), rng.normal(size=(N, T, 1))
    cost = np.zeros((N, T + 1))
    cost[:, -1] = (x[:, -1] ** 2).sum(-1)
    found = Trajectories(x, u, x, cost, np.full(N, T), np.zeros(N, bool))
    expected = (T + 1) * np.concatenate([np.zeros(N * T), cost[:, -1]]).std()
    assert cost_variation(found) == pytest.approx(expected)
    assert cost_by_state(found) > 0.5
    assert cost_variation(found._replace(cost=0 * cost)) == 0.0
    assert cost_by_state(found._replace(cost=0 * cost)) == 0.0
