"""Path integrals against their formula and its limits; PILQR where the model explains all of the
cost, and nothing.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from linear_tasks import controllers, linear_task, local_of, sampled

from agents.tasks.classic.disc import Disc
from gps import lqr_flm, pi2, pigps, pilqr, pilqr_gps
from gps.steps.local_policies import LocalFit
from gps.steps.path_integral import (
    cost_to_go,
    deviations,
    divergence,
    explained,
    moved,
    temperature,
    weights,
)
from gps.steps.trajectory_step import trajectory_step
from lqr import QuadraticCost

C, N, T, DX, DU = 2, 6, 4, 3, 2


def costs(seed=0):
    return np.random.default_rng(seed).normal(size=(C, N, T)), np.ones((C, N, T))


def test_the_cost_to_go_is_that_of_the_step_and_all_later_ones():
    cost = np.random.default_rng(0).normal(size=(C, N, T + 1))
    S = cost_to_go(cost)
    assert S.shape == (C, N, T)
    assert S[1, 2, 1] == pytest.approx(cost[1, 2, 1:].sum())


def test_the_weights_are_the_formulas():
    S, used = costs()
    eta = np.random.default_rng(1).uniform(0.5, 2, size=(C, T))
    P = weights(1e6 + S, eta, used)
    for c in range(C):
        for t in range(T):
            e = np.exp(-S[c, :, t] / eta[c, t])
            np.testing.assert_allclose(P[c, :, t], e / e.sum(), rtol=1e-6)


def test_a_vanishing_temperature_takes_the_episode_of_lowest_cost_and_a_boundless_one_weighs_them_evenly():
    S, used = costs()
    cold, hot = weights(S, np.full((C, T), 1e-9), used), weights(S, np.full((C, T), 1e9), used)
    assert np.array_equal(cold, S.min(1, keepdims=True) == S)
    np.testing.assert_allclose(hot, 1 / N, atol=1e-8)
    np.testing.assert_allclose(divergence(cold, used), np.log(N))
    np.testing.assert_allclose(divergence(hot, used), 0, atol=1e-8)


def test_the_temperature_spends_the_bound_and_no_more():
    S, used = costs()
    for epsilon in (0.1, 1.0):
        eta = temperature(100 * S, np.full(C, epsilon), used)
        np.testing.assert_allclose(
            divergence(weights(100 * S, eta, used), used), epsilon, rtol=1e-6
        )
    beyond = temperature(S, np.full(C, 2 * np.log(N)), used)  # a bound that cannot be reached
    np.testing.assert_allclose(divergence(weights(S, beyond, used), used), np.log(N), atol=1e-3)


def test_equal_costs_are_weighed_evenly_whatever_the_bound():
    used = np.ones((C, N, T))
    P = weights(
        np.full((C, N, T), 3.0), temperature(np.full((C, N, T), 3.0), np.full(C, 0.5), used), used
    )
    np.testing.assert_allclose(P, 1 / N)


def test_episodes_that_did_not_take_place_weigh_nothing():
    S, used = costs()
    used[:, 4:, 1:] = 0
    S[:, 4:, 1:] = -1e9
    P = weights(S, temperature(S, np.full(C, 0.3), used), used)
    assert (P[used == 0] == 0).all()
    np.testing.assert_allclose(P.sum(1), 1)
    np.testing.assert_allclose(divergence(P, used), 0.3, rtol=1e-6)


def test_the_controller_moves_by_the_weighted_deviation_less_the_plain_one():
    rng = np.random.default_rng(2)
    old, (dynamics, _, x0) = controllers(rng), linear_task(rng)
    x, u = sampled(rng, old, dynamics, x0, N)
    delta, used = deviations(old, x, u), np.ones((C, N, T))
    np.testing.assert_allclose(delta[1, 2, 3], u[1, 2, 3] - old.K[1, 3] @ x[1, 2, 3] - old.k[1, 3])
    assert moved(old, delta, np.full((C, N, T), 1 / N), used).k == pytest.approx(old.k)
    best = np.zeros((C, N, T))
    best[:, 3] = 1
    np.testing.assert_allclose(moved(old, delta, best, used).k, old.k + delta[:, 3] - delta.mean(1))


def world(seed=3):
    """A linear world without noise in its dynamics, episodes of it, and what is known of it:
    everything.
    """
    rng = np.random.default_rng(seed)
    dynamics, cost, x0 = linear_task(rng)
    dynamics = dynamics._replace(cov=1e-24 * dynamics.cov)
    old = controllers(rng)
    x, u = sampled(rng, old, dynamics, x0, N)
    xu = np.concatenate([x, np.pad(u, ((0, 0), (0, 0), (0, 1), (0, 0)))], -1)
    paid = 0.5 * np.einsum("cnti,ctij,cntj->cnt", xu, cost.C, xu) + np.einsum(
        "cnti,cti->cnt", xu, cost.c
    )
    local = local_of(old, x, u)
    fit = SimpleNamespace(dynamics=dynamics._replace(cov=1e-9 * np.tile(np.eye(DX), (C, T, 1, 1))))
    return LocalFit(local, None, None, None, fit, cost, *np.ones((2, C))), paid + cost.const[
        :, None
    ]


def test_what_the_model_forecasts_of_a_linear_task_is_what_was_paid():
    known, paid = world()
    local = known.data
    delta = deviations(local.controller, local.x, local.u)
    np.testing.assert_allclose(
        explained(local.controller, delta, local.x[:, :, 0], known.dynamics, known.cost),
        paid,
        rtol=1e-6,
        atol=1e-6,
    )


def test_pilqr_is_lqr_where_the_model_explains_the_whole_cost():
    known, paid = world()
    step = trajectory_step(known.data, known.dynamics, known.cost, known.epsilon)
    corrected = pilqr.residual_update(known, step, paid, 1e-6)
    np.testing.assert_allclose(corrected.controller.k, step.controller.k, atol=2e-3)
    assert np.array_equal(corrected.controller.K, step.controller.K)
    assert np.array_equal(corrected.controller.cov, step.controller.cov)
    exact = explained(
        known.data.controller,
        deviations(known.data.controller, known.data.x, known.data.u),
        known.data.x[:, :, 0],
        known.dynamics,
        known.cost,
    )
    np.testing.assert_allclose(
        pilqr.residual_update(known, step, exact, 2.0).controller.k, step.controller.k, atol=1e-12
    )


def test_pilqr_is_pi2_where_the_model_explains_nothing():
    known, paid = world()
    blind = known._replace(cost=QuadraticCost(*(np.zeros_like(a) for a in known.cost)))
    step = trajectory_step(known.data, blind.dynamics, blind.cost, known.epsilon)
    np.testing.assert_allclose(step.controller.k, known.data.controller.k, atol=1e-6)
    np.testing.assert_allclose(step.controller.K, known.data.controller.K, atol=1e-6)
    task = SimpleNamespace(cost=lambda x, u: paid)
    alone = pi2.path_integral_step(known, SimpleNamespace(task=task), np.full(C, 2.0))
    together = pilqr.residual_update(blind, step, paid, 2.0)
    np.testing.assert_allclose(together.controller.k, alone.controller.k, atol=1e-6)


@pytest.mark.parametrize("method", [pi2, pilqr])
def test_path_integrals_find_the_disc_that_has_no_slope(method):
    last = list(method.train(Disc(), method.Config(), np.random.default_rng(0)))[-1]
    assert last.scalars["inside"] > 0.9
    assert last.scalars["cost"] < -3.0


@pytest.mark.slow
@pytest.mark.parametrize("method", [pigps, pilqr_gps])
def test_a_policy_learns_of_the_disc_from_path_integrals(method):
    last = list(
        method.train(
            Disc(), method.Config(iterations=12, policy_steps=200), np.random.default_rng(0)
        )
    )[-1]
    assert last.scalars["policy_inside"] > 0.9
    assert last.scalars["policy_cost"] < -2.5  # 1.1 where LQR alone ends


@pytest.mark.parametrize("improve", [pi2.path_integral_step, pilqr.pilqr_step])
def test_the_c_step_of_a_policy_starts_from_the_controllers_it_is_given(improve):
    """Where all episodes cost the same, and the model sees no slope, the anchor stays."""
    known, _ = world()
    flat = SimpleNamespace(cost=lambda x, u: np.ones((*x.shape[:-1],)))
    blind = known._replace(cost=QuadraticCost(*(np.zeros_like(a) for a in known.cost)))
    bound = np.full(C, 1.0) if improve is pi2.path_integral_step else 1.0
    step = improve(blind, SimpleNamespace(task=flat), bound)
    for new, old in zip(step.controller, known.data.controller, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)


def test_lqr_alone_misses_the_disc():
    config = lqr_flm.Config(iterations=10, samples=20, initial_std=0.2, min_std=0.2)
    last = list(lqr_flm.train(Disc(), config, np.random.default_rng(0)))[-1]
    assert last.scalars["inside"] == 0
    assert last.scalars["cost"] > 1.0
