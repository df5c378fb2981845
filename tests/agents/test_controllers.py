import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.policies.linear_gaussian import ControllerPolicy
from lqr import InputError, LinearGaussianController

C, T, DX, DU = 3, 4, 5, 2


@pytest.fixture
def policy():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(C, T, DU, DU))
    return ControllerPolicy(
        LinearGaussianController(
            rng.normal(size=(C, T, DU, DX)), rng.normal(size=(C, T, DU)), A @ A.swapaxes(-1, -2)
        )
    )


def test_the_mean_action_is_that_of_the_condition_and_step(policy):
    x = np.random.default_rng(1).normal(size=(C, DX))
    for t in range(T):
        mean = policy.sample(x, t, None)
        for c in range(C):
            expected = (
                np.array([sum(policy.controller.K[c, t, i] * x[c]) for i in range(DU)])
                + policy.controller.k[c, t]
            )
            np.testing.assert_allclose(mean[c], expected)
            np.testing.assert_allclose(policy.act(x[c], t, c), expected)


def test_samples_have_the_controllers_mean_and_covariance(policy):
    x, rng = np.ones((C, DX)), np.random.default_rng(2)
    draws = np.array([policy.sample(x, 2, rng) for _ in range(20_000)])
    for c in range(C):
        cov = policy.controller.cov[c, 2]
        np.testing.assert_allclose(np.cov(draws[:, c].T), cov, atol=0.05 * np.trace(cov))
        np.testing.assert_allclose(
            draws[:, c].mean(0), policy.act(x[c], 2, c), atol=4 * np.sqrt(np.trace(cov) / 2e4)
        )


def test_predict_goes_on_by_itself_and_each_row_begins_anew_where_its_episode_does(policy):
    x, state = np.random.default_rng(1).normal(size=(C, DX)), None
    for starts, steps in (
        ([1, 1, 1], [0, 0, 0]),
        ([0, 0, 0], [1, 1, 1]),
        ([0, 1, 0], [2, 0, 2]),
        ([0, 0, 1], [3, 1, 0]),
    ):
        u, state = policy.predict(x, state, np.array(starts, bool))
        expected = [policy.act(x[c], t, c) for c, t in enumerate(steps)]
        np.testing.assert_allclose(u, expected, rtol=1e-6)
    with pytest.raises(InputError, match="got 2 states; expected 1, or 3"):
        policy.predict(x[:2])


def test_act_without_a_step_goes_on_until_it_is_reset(policy):
    x = np.ones(DX)
    found = [policy.act(x) for _ in range(T + 1)]
    np.testing.assert_array_equal(found[:T], [policy.act(x, t) for t in range(T)])
    np.testing.assert_array_equal(found[T], found[0])
    policy.reset()
    np.testing.assert_array_equal(policy.act(x), found[0])


def test_a_state_that_is_not_finite_is_refused_by_name(policy):
    x = np.ones(DX)
    x[3] = np.nan
    for ask in (policy.act, policy.predict):
        with pytest.raises(InputError, match="state x has numbers that are not finite, at index 3"):
            ask(x)


def test_saved_controllers_come_back_exactly(policy, tmp_path):
    save_policy(tmp_path / "policy", policy, task="any")
    again = load_policy(tmp_path / "policy")
    for a, b in zip(policy.controller, again.controller, strict=True):
        assert np.array_equal(a, b)
