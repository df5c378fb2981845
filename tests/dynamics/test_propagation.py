"""Propagation of uncertainty through an ensemble of linear members, against the moments in closed
form.
"""

import numpy as np
import pytest
import torch

from dynamics import Ensemble, GaussianProcess, propagate
from dynamics.base import Normaliser
from lqr import InputError

A = np.array(
    [0.95, 0.7, 1.1, 0.9, 1.0]
)  # member e: x' = A_e x + B_e u + noise of standard deviation S_e
B = np.array([0.5, 0.3, 0.4, 0.6, 0.2])
S = np.array([0.05, 0.3, 0.1, 0.2, 0.15])
X0, H, COUNT = 1.3, 6, 40_000
U = np.random.default_rng(1).normal(size=(1, H, 1))


@pytest.fixture
def linear():
    """An ensemble whose hidden layers are silent, so that its members are the linear systems
    above.
    """
    model = Ensemble(hidden=(2,))
    model.normaliser = Normaliser(
        np.array([0.4, -0.2]), np.array([2.0, 0.5]), np.array([0.1]), np.array([0.7])
    )
    rate, spread = model.normaliser.inverse_std, 0.7
    a = (
        np.stack([(A - 1) / rate[0], B / rate[1]], -1)[..., None] / spread
    )  # (E, 2, 1), in standard units
    # change = (A - 1) x + B u, hence the offset of the last layer
    offset = ((A - 1) * 0.4 + B * -0.2 - 0.1) / spread
    log = np.log((S / spread) ** 2)
    bias = np.stack([offset, log], -1)[:, None]
    params = {
        "A": a,
        "W0": np.zeros((5, 2, 2)),
        "b0": np.zeros((5, 1, 2)),
        "W1": np.zeros((5, 2, 2)),
        "b1": bias,
    }
    params |= {"high": np.full((5, 1, 1), 20.0), "low": np.full((5, 1, 1), -30.0)}
    model.params = {
        name: torch.as_tensor(value, dtype=torch.float32) for name, value in params.items()
    }
    return model


def member(e):
    """Returns mean and variance of each state of member e alone."""
    m, v = [X0], [0.0]
    for t in range(H):
        m.append(A[e] * m[-1] + B[e] * U[0, t, 0])
        v.append(A[e] ** 2 * v[-1] + S[e] ** 2)
    return np.array(m), np.array(v)


def switching():
    """Returns mean and variance where a member is drawn anew in each step."""
    m, second = [X0], [X0**2]
    for t in range(H):
        u = U[0, t, 0]
        second.append(np.mean(A**2 * second[-1] + 2 * A * B * m[-1] * u + B**2 * u**2 + S**2))
        m.append(np.mean(A) * m[-1] + np.mean(B) * u)
    return np.array(m), np.array(second) - np.array(m) ** 2


def test_the_members_are_what_the_fixture_says(linear):
    mean, var = linear.members(np.array([[0.3]]), np.array([[-0.7]]))
    np.testing.assert_allclose(mean[:, 0, 0], A * 0.3 - B * 0.7, atol=1e-6)
    np.testing.assert_allclose(var[:, 0, 0], S**2, rtol=1e-5)


def test_one_member_for_the_whole_horizon_gives_the_mixture(linear):
    X = propagate(linear, np.array([X0]), U, np.random.default_rng(0), "tsinf", COUNT)[0, :, :, 0]
    means, variances = (np.array(a) for a in zip(*map(member, range(5)), strict=True))
    np.testing.assert_allclose(X.mean(0), means.mean(0), atol=0.02)
    np.testing.assert_allclose(X.var(0)[1:], (variances.mean(0) + means.var(0))[1:], rtol=0.03)
    for e in range(5):  # particles e k ... are those of member e
        own = X[e * COUNT // 5 : (e + 1) * COUNT // 5]
        np.testing.assert_allclose(own.mean(0), means[e], atol=0.03)
        np.testing.assert_allclose(own.var(0)[1:], variances[e][1:], rtol=0.06)


def test_a_new_member_in_each_step_gives_the_switching_system(linear):
    X = propagate(linear, np.array([X0]), U, np.random.default_rng(0), "ts1", COUNT)[0, :, :, 0]
    mean, var = switching()
    np.testing.assert_allclose(X.mean(0), mean, atol=0.02)
    np.testing.assert_allclose(X.var(0)[1:], var[1:], rtol=0.04)
    change = (
        X[:, 1:] - X[:, :-1]
    )  # particles stay themselves: steps are small beside the spread over the horizon
    assert np.corrcoef(X[:, -2], X[:, -1])[0, 1] > 0.8
    assert change.var(0).max() < var[-1]


def test_moment_matching_has_the_same_first_two_moments_and_is_normal(linear):
    X = propagate(linear, np.array([X0]), U, np.random.default_rng(0), "moment", COUNT)[0, :, :, 0]
    mean, var = switching()
    np.testing.assert_allclose(X.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(X.var(0)[1:], var[1:], rtol=0.05)
    z = (X[:, 1] - X[:, 1].mean()) / X[:, 1].std()
    assert (z**4).mean() == pytest.approx(3.0, abs=0.1)
    drawn = propagate(linear, np.array([X0]), U, np.random.default_rng(0), "ts1", COUNT)[0, :, 1, 0]
    w = (drawn - drawn.mean()) / drawn.std()
    assert (w**4).mean() > 3.5  # which the mixture of narrow and wide members is not


def test_the_mean_is_one_trajectory_of_the_members_mean(linear):
    X = propagate(linear, np.array([X0]), U, np.random.default_rng(0), "mean", 1)[0, 0, :, 0]
    x = X0
    for t in range(H):
        x = A.mean() * x + B.mean() * U[0, t, 0]
        assert X[t + 1] == pytest.approx(x, abs=1e-5)


def test_many_sequences_are_kept_apart(linear):
    many = np.concatenate([U, -U, 0 * U])
    X = propagate(linear, np.array([X0]), many, np.random.default_rng(0), "ts1", 5000)
    for n in range(3):
        mean = X0
        for t in range(H):
            mean = A.mean() * mean + B.mean() * many[n, t, 0]
        assert X[n, :, -1, 0].mean() == pytest.approx(mean, abs=0.06)


def test_words_and_counts_that_do_not_fit_are_refused(linear):
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="expected one of mean, sample, ts1, tsinf, moment"):
        propagate(linear, np.array([X0]), U, rng, "ts2")
    with pytest.raises(InputError, match="7 particles for 5 members"):
        propagate(linear, np.array([X0]), U, rng, "ts1", 7)
    with pytest.raises(InputError, match="needs an ensemble, got GaussianProcess"):
        propagate(GaussianProcess(), np.array([X0]), U, rng, "tsinf", 5)
    with pytest.raises(InputError, match="expected 1"):
        propagate(linear, np.array([X0]), U, rng, "mean", 5)
