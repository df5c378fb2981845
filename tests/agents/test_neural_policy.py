import copy

import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.policies.mlp import NeuralPolicy
from lqr import CheckpointError, InputError, NumericalError

DO, DU = 5, 2


def make(hidden=(7, 6), seed=0, std=(0.3, 0.5)):
    """A policy whose every parameter differs from its initial 0 or 1."""
    rng = np.random.default_rng(seed)
    policy = NeuralPolicy.create(DO, DU, hidden, np.array(std), rng)
    policy.weights[-1] = policy.weights[-1] * 100
    policy.biases = [rng.normal(size=b.shape) for b in policy.biases]
    policy.centre, policy.scale = rng.normal(size=DO), np.exp(rng.normal(size=DO))
    return policy


@pytest.mark.parametrize("hidden", [(), (7,), (7, 6, 5)])
def test_the_jacobian_agrees_with_finite_differences(hidden):
    policy, o, h = make(hidden), np.random.default_rng(1).normal(size=(4, 3, DO)), 1e-6
    numeric = np.stack(
        [(policy.mean(o + e) - policy.mean(o - e)) / (2 * h) for e in h * np.eye(DO)], -1
    )
    assert policy.jacobian(o).shape == (4, 3, DU, DO)
    np.testing.assert_allclose(policy.jacobian(o), numeric, atol=1e-7)


def test_the_mean_is_that_of_the_same_network_in_torch():
    import torch

    policy, o = make((7, 6)), np.random.default_rng(1).normal(size=(9, DO))
    layers = []
    for W, b in zip(policy.weights, policy.biases, strict=True):
        layer = torch.nn.Linear(*W.shape[::-1], dtype=torch.float64)
        layer.weight.data, layer.bias.data = torch.as_tensor(W), torch.as_tensor(b)
        layers += [layer, torch.nn.Tanh()]
    net = torch.nn.Sequential(*layers[:-1])
    expected = net(torch.as_tensor((o - policy.centre) / policy.scale)).detach().numpy()
    np.testing.assert_allclose(policy.mean(o), expected, atol=1e-12)


def linear_problem(M=400, noise=1.0, seed=0):
    """Observations, noisy targets of a linear map, full precision matrices that vary, and the
    closed-form answer.
    """
    rng = np.random.default_rng(seed)
    o = rng.normal(size=(M, DO)) * np.array([1.0, 3.0, 0.2, 1.0, 10.0]) + np.array(
        [0.0, 1.0, 0.5, -2.0, 0.0]
    )
    A, a = rng.normal(size=(DU, DO)) / np.array([1.0, 3.0, 0.2, 1.0, 10.0]), rng.normal(size=DU)
    target = o @ A.T + a + noise * rng.normal(size=(M, DU))
    root = rng.normal(size=(M, DU, DU))
    precision = (root @ root.swapaxes(1, 2) + 0.1 * np.eye(DU)) * np.exp(rng.normal(size=M))[
        :, None, None
    ]
    phi = np.concatenate([o, np.ones((M, 1))], 1)
    # the normal equations of sum (Theta phi - y)' P (Theta phi - y), Theta (du, do + 1), by
    # Kronecker products
    left = sum(np.kron(P, np.outer(f, f)) for P, f in zip(precision, phi, strict=True))
    right = sum(np.kron(P @ y, f) for P, y, f in zip(precision, target, phi, strict=True))
    return o, target, precision, phi @ np.linalg.solve(left, right).reshape(DU, DO + 1).T


def test_fitting_a_network_without_hidden_layers_is_weighted_least_squares():
    o, target, precision, best = linear_problem()
    policy = NeuralPolicy.create(DO, DU, (), np.ones(DU), np.random.default_rng(0))
    loss = policy.fit(
        o, target, precision, np.random.default_rng(1), steps=1500, batch=400, rate=0.03, decay=0.0
    )
    unweighted = (
        np.c_[o, np.ones(len(o))]
        @ np.linalg.lstsq(np.c_[o, np.ones(len(o))], target, rcond=None)[0]
    )
    error = np.sqrt(((policy.mean(o) - best) ** 2).mean())
    assert error < 0.25 * np.sqrt(((unweighted - best) ** 2).mean())  # the weights count

    unit = np.sqrt((target**2).mean(0))  # of actions without limits: the size of those to learn

    def closed(mean):
        gap = mean - target
        return (
            0.5
            * np.einsum("mi,mij,mj->m", gap, precision, gap).mean()
            / np.einsum("mii,i->m", precision, unit**2).mean()
            * DU
        )

    assert loss == pytest.approx(closed(policy.mean(o)), rel=1e-9)
    assert closed(best) <= loss < 1.002 * closed(best)


def test_a_hidden_layer_learns_what_is_not_linear():
    rng = np.random.default_rng(0)
    o = rng.uniform(-2, 2, size=(800, DO))
    target = np.column_stack([np.sin(2 * o[:, 0]), o[:, 1] * o[:, 2]])
    policy = NeuralPolicy.create(DO, DU, (32, 32), np.ones(DU), rng)
    policy.fit(o, target, np.tile(np.eye(DU), (800, 1, 1)), rng, steps=1000)
    assert ((policy.mean(o) - target) ** 2).mean() < 0.05 * target.var()


def test_new_units_of_the_observations_do_not_change_the_function():
    policy, rng = make(), np.random.default_rng(3)
    o = rng.normal(size=(50, DO)) * 4 - 1
    before, gradient = policy.mean(o), policy.jacobian(o)
    for spread in (0.01, 30.0):
        policy.renormalise(spread * rng.normal(size=(100, DO)) + 2)
        np.testing.assert_allclose(policy.mean(o), before, atol=1e-9)
        np.testing.assert_allclose(policy.jacobian(o), gradient, atol=1e-9)


def test_new_units_do_not_change_the_function_of_a_network_whose_spreads_happen_to_be_one():
    policy = make()
    policy.scale, policy.centre = np.ones(DO), np.full(DO, 3.0)
    o = np.random.default_rng(0).normal(size=(50, DO))
    before = policy.mean(o)
    policy.renormalise(5 * o + 1)
    np.testing.assert_allclose(policy.mean(o), before, atol=1e-9)


def test_an_observation_that_never_changes_does_no_harm():
    o, target, precision, _ = linear_problem()
    o[:, 2] = 4.0
    policy = NeuralPolicy.create(DO, DU, (8,), np.ones(DU), np.random.default_rng(0))
    policy.fit(o, target, precision, np.random.default_rng(1), steps=50)
    assert np.isfinite(policy.mean(o)).all()


def test_a_loss_that_is_no_number_is_refused_and_the_policy_stays_as_it_was():
    o, target, precision, _ = linear_problem()
    policy = NeuralPolicy.create(DO, DU, (8,), np.ones(DU), np.random.default_rng(0))
    policy.fit(o, target, precision, np.random.default_rng(1), steps=5)
    before = policy.mean(o[:5])
    with pytest.raises(NumericalError, match="learning rate"):
        policy.fit(o * 2, target * np.nan, precision, np.random.default_rng(1), steps=5)
    np.testing.assert_allclose(policy.mean(o[:5]), before, atol=1e-9)


def test_fitting_does_not_reach_into_the_state_that_was_returned_before():
    o, target, precision, _ = linear_problem()
    policy = make()
    policy.fit(o, target, precision, np.random.default_rng(1), steps=3)
    state = policy.state()
    kept = copy.deepcopy(state)
    policy.fit(o + 1, target, precision, np.random.default_rng(1), steps=3)
    for i in range(3):
        assert np.array_equal(state["layers"][f"layer{i}"]["W"], kept["layers"][f"layer{i}"]["W"])
        assert np.array_equal(state["layers"][f"layer{i}"]["b"], kept["layers"][f"layer{i}"]["b"])
    assert np.array_equal(state["centre"], kept["centre"])


def test_the_same_generator_trains_the_same_policy():
    o, target, precision, _ = linear_problem()
    means = []
    for seed in (0, 0, 1):
        policy = make()
        policy.fit(o, target, precision, np.random.default_rng(seed), steps=20, batch=32)
        means.append(policy.mean(o))
    assert np.array_equal(means[0], means[1])
    assert not np.allclose(means[0], means[2])


def test_samples_have_the_policys_mean_and_covariance():
    policy, o = make(), np.tile(np.random.default_rng(0).normal(size=DO), (40_000, 1))
    policy.cov = np.array([[0.5, -0.3], [-0.3, 0.4]])
    draws = policy.sample(o, 0, np.random.default_rng(1))
    np.testing.assert_allclose(np.cov(draws.T), policy.cov, atol=0.02)
    np.testing.assert_allclose(draws.mean(0), policy.mean(o[0]), atol=0.02)
    assert np.array_equal(policy.sample(o, 0, None), policy.mean(o))


def test_act_and_predict_take_one_observation_or_many():
    policy, o = make(), np.random.default_rng(0).normal(size=(6, DO))
    action, state = policy.predict(o, state=("kept",), episode_start=np.ones(6, bool))
    assert state == ("kept",)
    assert action.shape == (6, DU)
    np.testing.assert_allclose(action, policy.act(o), atol=1e-5)
    assert policy.act(o[0].tolist()).shape == policy.predict(o[0])[0].shape == (DU,)
    np.testing.assert_allclose(policy.act(o[2]), policy.mean(o)[2], atol=1e-12)


def test_predict_draws_when_it_need_not_be_deterministic():
    policy, o = make(std=(0.3, 0.5)), np.zeros((20_000, DO))
    draws = policy.predict(o, deterministic=False)[0] - policy.mean(o)
    np.testing.assert_allclose(draws.std(0), [0.3, 0.5], rtol=0.05)


def test_actions_that_are_handed_out_keep_the_limits_and_the_mean_does_not():
    policy, o = make(), np.random.default_rng(0).normal(size=(200, DO))
    mean = policy.mean(o)
    (low, _), (high, top) = np.quantile(mean, [0.3, 0.7], axis=0)
    policy.low, policy.high = np.array([low, -np.inf]), np.array([high, top])
    expected = np.column_stack([np.clip(mean[:, 0], low, high), np.minimum(mean[:, 1], top)])
    assert np.array_equal(policy.act(o), expected)
    draws = policy.predict(o, deterministic=False)[0]
    assert draws[:, 0].min() == pytest.approx(low)
    assert draws.max(0) == pytest.approx([high, top])


def test_limits_are_saved_with_the_policy_and_none_means_none(tmp_path):
    rng, o = np.random.default_rng(0), np.full((3, DO), 1e3)
    for low, high in ((np.array([-1.0, -2.0]), np.array([0.5, 2.0])), (-np.inf, np.inf)):
        policy = NeuralPolicy.create(DO, DU, (), np.ones(DU), rng, low, high)
        policy.weights[0] = policy.weights[0] * 1e3
        save_policy(tmp_path / "policy", policy)
        again = load_policy(tmp_path / "policy")
        assert np.array_equal(again.act(o), np.clip(policy.mean(o), low, high))
    state = policy.state() | {"low": np.zeros(3)}
    with pytest.raises(CheckpointError, match=r"low: got shape \(3,\)"):
        NeuralPolicy.from_state(state)


def test_an_observation_of_the_wrong_size_is_refused():
    with pytest.raises(InputError, match=r"shape \(4,\); expected \(5,\)"):
        make().act(np.zeros(4))


def test_a_saved_policy_comes_back_exactly(tmp_path):
    policy, o = make(), np.random.default_rng(0).normal(size=(6, DO))
    save_policy(tmp_path / "policy", policy, task="any")
    again = load_policy(tmp_path / "policy")
    assert np.array_equal(again.mean(o), policy.mean(o))
    assert np.array_equal(again.cov, policy.cov)


def test_layers_that_do_not_fit_together_are_refused():
    state = make().state()
    state["layers"]["layer1"]["W"] = np.zeros((6, 3))
    with pytest.raises(CheckpointError, match=r"\(6, 3\)"):
        NeuralPolicy.from_state(state)
