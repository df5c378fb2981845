"""Mirror descent against constrained LQR in a world where the policy can be any controller; its
step rules by hand.
"""

import numpy as np
import pytest
from linear_tasks import Exact, Point, controllers, linear_task, local_of, sampled

from gps import mdgps
from gps.mdgps import with_cost_of
from gps.steps.linearise import linearise
from gps.steps.local_data import initial_states
from gps.steps.policy_data import PolicyData, with_forecast, with_neighbours
from gps.steps.policy_step import distil
from gps.steps.step_size import trust_region_test
from gps.steps.trajectory_step import trajectory_step
from lqr import TrajectoryDistribution, expected_cost, forward, minimise_cost_within_kl

C, T, DX, DU = 2, 4, 3, 2


def everything(x):
    """Observations with which a linear policy can be any time-varying controller of any
    condition.
    """
    onehot = np.eye(C * T).reshape(C, 1, T, C * T, 1)
    affine = np.concatenate([x, np.ones_like(x[..., :1])], -1)
    return (onehot * affine[..., None, :]).reshape(*x.shape[:3], -1)


def test_with_a_policy_that_can_be_any_controller_it_is_constrained_lqr():
    rng = np.random.default_rng(0)
    dynamics, cost, x0 = linear_task(rng)
    anchor = controllers(rng)
    x, u = sampled(rng, anchor, dynamics, x0, 12)
    local = local_of(anchor, x, u)
    seen = PolicyData(x[:, :, :-1], everything(x[:, :, :-1]), np.ones((C, 12, T)))
    policy = Exact(C * T * (DX + 1), DU)
    expected = anchor
    for _ in range(3):  # the episodes stay; the controllers move on
        step = trajectory_step(local._replace(controller=anchor), dynamics, cost, np.full(C, 2.0))
        distil(policy, step.controller, seen, rng, 1)
        anchor = linearise(
            seen.x, policy.mean(seen.o), policy.cov, seen.used, reach=0, strength=1e-13
        )
        expected = minimise_cost_within_kl(
            dynamics, cost, expected, initial_states(local), np.full(C, 2.0)
        ).controller
        shared = np.linalg.inv(
            np.linalg.inv(expected.cov).mean((0, 1))
        )  # all that a policy with one covariance loses
        expected = expected._replace(cov=np.broadcast_to(shared, expected.cov.shape))
        np.testing.assert_allclose(anchor.K, expected.K, atol=1e-6)
        np.testing.assert_allclose(anchor.k, expected.k, atol=1e-6)
        np.testing.assert_allclose(anchor.cov, expected.cov, atol=1e-8)


def total(controller, dynamics, cost, x0):
    return expected_cost(forward(dynamics, controller, x0), cost).sum(-1)


@pytest.mark.parametrize(("tried", "judged"), [("pi", "pi"), ("pi", "p"), ("p", "pi"), ("p", "p")])
def test_each_step_rule_compares_its_own_costs(tried, judged):
    """epsilon' = epsilon (l_old - l_predicted) / (2 (l_actual - l_predicted)), l of the controllers
    or the policy.
    """
    rng = np.random.default_rng(1)
    dynamics, cost, x0 = linear_task(rng)
    who = [
        {"pi": controllers(rng), "p": controllers(rng)} for _ in range(2)
    ]  # before and after the step
    runs = []
    for now, offset in zip(
        who, (5.0, 4.0), strict=True
    ):  # what the model misses of the costs of episodes
        x, u = sampled(rng, now[tried], dynamics, x0, 6)
        local = local_of(now["pi"], x, u)
        at = initial_states(local)
        local = local._replace(cost=100 + total(now[tried], dynamics, cost, at) + offset)
        runs.append((with_cost_of(now[judged], local, now[tried], dynamics, cost), at))
    (old, at), (new, after) = runs
    step = trajectory_step(old, dynamics, cost, np.full(C, 0.5))
    promised = step.predicted + old.baseline
    l_old, l_new = (
        100 + total(w[judged], dynamics, cost, a) + d
        for w, a, d in zip(who, (at, after), (5, 4), strict=True)
    )
    l_predicted = 105 + total(step.controller, dynamics, cost, at)
    np.testing.assert_allclose(promised, l_old - l_predicted)
    _, accepted, actual, found = trust_region_test(old._replace(predicted=promised), new)
    np.testing.assert_allclose(actual, l_old - l_new)
    growth = abs(l_old - l_predicted) / (
        2 * np.maximum(l_new - l_predicted, 1e-3 * abs(l_old - l_predicted))
    )
    np.testing.assert_allclose(found, np.where(accepted, np.clip(growth, 0.3, 3), 0.3))


def test_neighbours_of_a_linear_observation_are_what_would_be_observed_there():
    rng = np.random.default_rng(2)
    x, A = rng.normal(size=(C, 6, T, DX)), rng.normal(size=(5, DX))
    seen = PolicyData(x, x @ A.T + 1.0, np.ones((C, 6, T)))
    near = with_neighbours(seen, 3, 2.0, rng)
    assert near.x.shape == (C, 24, T, DX)
    assert near.used.shape == (C, 24, T)
    np.testing.assert_allclose(near.o, near.x @ A.T + 1.0, atol=1e-4)
    assert np.array_equal(near.x[:, :6], x)
    steps = near.x[:, 6:] - np.tile(x, (1, 3, 1, 1))
    assert steps.std() == pytest.approx(2 * (x - x.mean(1, keepdims=True)).std(), rel=0.1)
    assert with_neighbours(seen, 0, 2.0, rng).x.shape == x.shape


def test_episodes_that_did_not_take_place_have_no_say_in_where_the_neighbours_lie():
    rng = np.random.default_rng(3)
    x, used = rng.normal(size=(C, 6, T, DX)), np.ones((C, 6, T))
    used[:, 4:] = 0
    x[:, 4:] = 1e6
    near = with_neighbours(PolicyData(x, x.copy(), used), 4, 1.0, rng)
    rows = near.used > 0
    assert np.abs(near.x[rows]).max() < 10
    assert np.abs(near.o[rows]).max() < 10


def test_forecast_states_follow_the_marginals_and_are_observed_as_they_would_be():
    rng = np.random.default_rng(4)
    x, A = rng.normal(size=(C, 6, T, DX)), rng.normal(size=(5, DX))
    used = np.ones((C, 6, T))
    used[1, -2:, 2:] = 0  # the latest episodes of one condition ended
    root = rng.normal(size=(C, T + 1, DX + DU, DX + DU))
    ahead = TrajectoryDistribution(
        3 + rng.normal(size=(C, T + 1, DX + DU)), root @ np.swapaxes(root, -1, -2)
    )
    seen = PolicyData(np.where(used[..., None] > 0, x, 1e3), x @ A.T + 1.0, used)
    near = with_forecast(seen, ahead, 2, 20_000, 2.0, rng)
    assert np.array_equal(near.x[:, :6], seen.x)
    assert np.array_equal(near.used[:, 6:].all(1), used[:, -2:].any(1))
    assert np.array_equal(near.x[:, 6], ahead.mean[:, :-1, :DX])
    rows = near.used[:, 6:] > 0
    np.testing.assert_allclose(near.o[:, 6:][rows], (near.x[:, 6:] @ A.T + 1.0)[rows], atol=1e-2)
    for c, t in ((0, 0), (1, 1), (0, T - 1)):
        drawn = near.x[c, 7:, t]
        cov = 4 * ahead.cov[c, t, :DX, :DX]
        np.testing.assert_allclose(
            drawn.mean(0), ahead.mean[c, t, :DX], atol=0.05 * np.sqrt(np.trace(cov))
        )
        np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.05 * np.trace(cov))
    assert with_forecast(seen, ahead, 2, 0, 2.0, rng).x.shape == x.shape


@pytest.mark.slow
@pytest.mark.parametrize(("sampling", "step_rule"), [("on", "global"), ("off", "classic")])
def test_the_policy_reaches_the_optimum_of_a_pushed_point(sampling, step_rule):
    config = mdgps.Config(
        iterations=6,
        samples=5,
        initial_std=0.2,
        min_std=0.02,
        hidden=(32,),
        sampling=sampling,
        step_rule=step_rule,
    )
    last, best = list(mdgps.train(Point(), config, np.random.default_rng(0)))[-1], Point().optimum()
    assert last.arrays["policy_cost"] == pytest.approx(best, rel=0.1)
