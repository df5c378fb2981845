"""A policy as a linear controller: exact where it is linear, cautious where nothing was
explored.
"""

import numpy as np
import pytest

from agents.policies.mlp import NeuralPolicy
from gps.steps.linearise import linearise, observation_slopes, slopes, with_jacobian, with_mixture

C, N, T, DX, DU = 2, 6, 8, 3, 2


def states(seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    centre = np.cumsum(rng.normal(size=(C, 1, T, DX)), axis=2)
    return centre + spread * rng.normal(size=(C, N, T, DX))


def test_a_linear_policy_is_recovered():
    rng, x = np.random.default_rng(1), states()
    A, a = rng.normal(size=(DU, DX)), rng.normal(size=DU)
    out = linearise(x, x @ A.T + a, 0.3 * np.eye(DU), np.ones((C, N, T)))
    np.testing.assert_allclose(out.K, np.broadcast_to(A, (C, T, DU, DX)), atol=0.01)
    np.testing.assert_allclose(out.k, np.broadcast_to(a, (C, T, DU)), atol=0.02)
    assert out.cov.shape == (C, T, DU, DU)
    assert (out.cov == 0.3 * np.eye(DU)).all()


def test_without_a_pull_a_linear_policy_is_recovered_exactly():
    rng, x = np.random.default_rng(1), states()
    A, a = rng.normal(size=(C, T, DU, DX)), rng.normal(size=(C, T, DU))
    u = np.einsum("ctij,cntj->cnti", A, x) + a[:, None]  # another one at each step
    out = linearise(x, u, np.eye(DU), np.ones((C, N, T)), reach=0, strength=1e-13)
    np.testing.assert_allclose(out.K, A, atol=1e-8)
    np.testing.assert_allclose(out.k, a, atol=1e-8)


def test_the_fit_is_ridge_regression_over_a_window_written_out():
    rng, x = np.random.default_rng(2), states()
    u, w = rng.normal(size=(C, N, T, DU)), rng.integers(0, 2, size=(C, N, T)).astype(float)
    out = linearise(x, u, np.eye(DU), w, reach=1, strength=0.5)
    c, t = 1, 4
    rows, weights = [(n, s) for n in range(N) for s in (3, 4, 5)], {3: 0.5, 4: 1.0, 5: 0.5}
    X, U = np.array([x[c, n, s] for n, s in rows]), np.array([u[c, n, s] for n, s in rows])
    W = np.array([w[c, n, s] * weights[s] for n, s in rows])
    X0, U0 = W @ X / W.sum(), W @ U / W.sum()
    # the spread of the states of all steps: the variance over conditions and steps of the local
    # means
    means = []
    for cc in range(C):
        for tt in range(T):
            near = [
                (n, min(max(tt + d, 0), T - 1), 0.5 ** abs(d)) for n in range(N) for d in (-1, 0, 1)
            ]
            ws = np.array([w[cc, n, s] * q for n, s, q in near])
            means.append(ws @ np.array([x[cc, n, s] for n, s, _ in near]) / ws.sum())
    pull = 0.5 * np.var(means, axis=0)
    A = np.vstack([np.sqrt(W)[:, None] * (X - X0), np.diag(np.sqrt(pull))])
    B = np.vstack([np.sqrt(W)[:, None] * (U - U0), np.zeros((DX, DU))])
    K = np.linalg.lstsq(A, B, rcond=None)[0].T
    np.testing.assert_allclose(out.K[c, t], K, atol=1e-9)
    np.testing.assert_allclose(out.k[c, t], U0 - K @ X0, atol=1e-9)


def test_a_direction_that_no_sample_explores_has_no_gain():
    rng, x = np.random.default_rng(3), states()
    x[..., 2] = np.linspace(0, 1, T)[:, None].T  # the same in all samples of a step
    u = x @ rng.normal(size=(DU, DX)).T
    out = linearise(x, u, np.eye(DU), np.ones((C, N, T)), reach=0)
    assert np.abs(out.K[..., 2]).max() < 1e-6
    guess = np.einsum("ctij,cntj->cnti", out.K, x) + out.k[:, None]
    np.testing.assert_allclose(guess, u, atol=0.02)


def test_one_sample_gives_the_policys_action_there():
    x = states()[:, :1]
    u = np.random.default_rng(4).normal(size=(C, 1, T, DU))
    out = linearise(x, u, np.eye(DU), np.ones((C, 1, T)), reach=0)
    np.testing.assert_allclose(
        np.einsum("ctij,ctj->cti", out.K, x[:, 0]) + out.k, u[:, 0], atol=1e-9
    )
    np.testing.assert_allclose(out.K, 0.0, atol=1e-9)


def test_samples_of_weight_zero_do_not_count():
    x = states()
    u = np.sin(x[..., :DU])
    weight = np.ones((C, N, T))
    weight[:, 4:] = 0
    poison = np.where(weight[..., None] > 0, x, 1e6)
    with_zeros = linearise(poison, np.where(weight[..., None] > 0, u, -1e6), np.eye(DU), weight)
    without = linearise(x[:, :4], u[:, :4], np.eye(DU), weight[:, :4])
    np.testing.assert_allclose(with_zeros.K, without.K, atol=1e-6)
    np.testing.assert_allclose(with_zeros.k, without.k, atol=1e-6)


@pytest.mark.parametrize("N", [1, 2])
def test_fewer_samples_than_states_stay_finite(N):
    x = states(spread=1e-3)[:, :N]
    out = linearise(x, np.tanh(x[..., :DU]), np.eye(DU), np.ones((C, N, T)))
    assert np.isfinite(out.K).all()
    assert np.abs(out.K).max() < 3


def test_the_last_episodes_say_where_the_controller_passes_and_all_of_them_its_gains():
    rng, x = np.random.default_rng(6), states()
    A = rng.normal(size=(DU, DX))
    u = x @ A.T
    u[:, :4] += 3.0  # what the policy did before
    weight = np.ones((C, N, T))
    weight[1, 4, 2] = 0
    weight[0, 4:, 5] = 0  # none of the last ones took place: all count
    out = linearise(x, u, np.eye(DU), weight, latest=2)
    plain = linearise(x, u, np.eye(DU), weight)
    np.testing.assert_allclose(out.K, plain.K, atol=1e-12)
    for c, t, rows in ((0, 0, [4, 5]), (1, 2, [5])):
        passes = out.K[c, t] @ x[c, rows, t].mean(0) + out.k[c, t]
        np.testing.assert_allclose(passes, u[c, rows, t].mean(0), atol=1e-9)
    np.testing.assert_allclose(out.k[0, 5], plain.k[0, 5], atol=1e-12)


def test_the_slopes_of_a_linear_observation_are_recovered_even_where_a_step_is_poorly_explored():
    rng, x = np.random.default_rng(7), states(spread=1e-3)
    A = rng.normal(size=(C, 4, DX))
    o = np.einsum("cij,cntj->cnti", A, x) + 2.0
    G = slopes(x, o, np.ones((C, N, T)))
    np.testing.assert_allclose(G, np.broadcast_to(A[:, None], G.shape), atol=1e-4)


def test_the_slopes_of_a_curved_observation_follow_the_trajectory():
    t = np.linspace(0, 3, 40)
    x = t[None, None, :, None] + 0.05 * np.random.default_rng(8).normal(size=(1, 6, 40, 1))
    G = slopes(x, np.sin(x), np.ones((1, 6, 40)), reach=2)
    np.testing.assert_allclose(G[0, :, 0, 0], np.cos(t), atol=0.15)


def test_under_one_gaussian_the_mixtures_posterior_is_that_of_pooled_and_own_scatter():
    rng, few = np.random.default_rng(9), 3
    x = rng.normal(size=(1, few, 4, DX))  # 12 points: one component
    u, w = rng.normal(size=(1, few, 4, DU)), np.ones((1, few, 4))
    w[0, 2, 1] = 0
    out = with_mixture(x, u, np.eye(DU), w, strength=2.0)
    z = np.concatenate([x, u], -1)
    pooled = np.cov(z[w > 0].T, bias=True)
    pooled += 1e-5 * np.diag(np.diag(pooled))  # the mixture's floor
    for t in range(4):
        own = z[0, w[0, :, t] > 0, t]
        S = 2.0 * pooled + (own - own.mean(0)).T @ (own - own.mean(0))
        K = np.linalg.lstsq(S[:DX, :DX], S[:DX, DX:], rcond=None)[0].T
        np.testing.assert_allclose(out.K[0, t], K, atol=1e-8)
        np.testing.assert_allclose(
            out.K[0, t] @ own.mean(0)[:DX] + out.k[0, t], own.mean(0)[DX:], atol=1e-8
        )


def test_the_mixture_knows_from_elsewhere_what_one_sample_per_step_cannot_tell():
    rng, x = np.random.default_rng(10), states(spread=0.1)[:, :1]
    x = x + 0.1 * rng.normal(size=(C, 6, T, DX)).mean(1, keepdims=True)
    A = rng.normal(size=(DU, DX))
    plain = linearise(x, x @ A.T, np.eye(DU), np.ones((C, 1, T)), reach=0)
    out = with_mixture(x, x @ A.T, np.eye(DU), np.ones((C, 1, T)))
    assert np.abs(plain.K).max() < 1e-6
    assert np.abs(out.K - A).mean() < 0.1 * np.abs(A).mean()


def policy_on(do):
    policy = NeuralPolicy.create(do, DU, (9,), np.ones(DU), np.random.default_rng(11))
    policy.weights[-1] = policy.weights[-1] * 100
    return policy


def test_the_jacobian_of_a_policy_that_sees_the_state_is_exact():
    policy, x, one, h = policy_on(DX), states()[:, :1], np.ones((C, 1, T)), 1e-6
    G = observation_slopes(x, x.copy(), one)
    out = with_jacobian(x, policy.mean(x), np.eye(DU), one, policy.jacobian(x), G)
    numeric = np.stack(
        [(policy.mean(x + e) - policy.mean(x - e)) / (2 * h) for e in h * np.eye(DX)], -1
    )
    np.testing.assert_allclose(out.K, numeric[:, 0], atol=1e-8)
    np.testing.assert_allclose(
        (out.K @ x[:, 0, ..., None])[..., 0] + out.k, policy.mean(x)[:, 0], atol=1e-9
    )


def test_the_jacobian_goes_through_the_observation():
    policy, x, rng = policy_on(4), states(spread=0.5), np.random.default_rng(12)
    A, one = rng.normal(size=(4, DX)), np.ones((C, N, T))
    o = x @ A.T + 1.0
    out = with_jacobian(
        x, policy.mean(o), np.eye(DU), one, policy.jacobian(o), observation_slopes(x, o, one)
    )
    np.testing.assert_allclose(out.K, policy.jacobian(o).mean(1) @ A, atol=1e-3)


@pytest.mark.parametrize("how", ["mixture", "jacobian"])
def test_samples_of_weight_zero_do_not_count_in_the_other_ways_either(how):
    policy, x, weight = policy_on(DX), states(), np.ones((C, N, T))
    weight[:, 4:] = 0
    poison = np.where(weight[..., None] > 0, x, 50.0)

    def by(x, weight):
        along = x, policy.mean(x), np.eye(DU), weight
        G = observation_slopes(x, x.copy(), weight)
        return (
            with_mixture(*along)
            if how == "mixture"
            else with_jacobian(*along, policy.jacobian(x), G)
        )

    for a, b in zip(by(poison, weight), by(x[:, :4], weight[:, :4]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_a_covariance_that_depends_on_the_observation_is_averaged_over_the_episodes():
    x, weight = states(), np.ones((C, N, T))
    weight[0, 0, 0] = 0
    cov = np.random.default_rng(13).uniform(1, 2, size=(C, N, T, 1, 1)) * np.eye(DU)
    out = linearise(x, x[..., :DU], cov, weight)
    np.testing.assert_allclose(out.cov[1, 3], cov[1, :, 3].mean(0), atol=1e-12)
    np.testing.assert_allclose(out.cov[0, 0], cov[0, 1:, 0].mean(0), atol=1e-12)
