"""Episodes in groups: planted groups are found, and the density of an episode is that of its parts."""

import numpy as np
import pytest
from linear_tasks import controllers, linear_task, sampled
from scipy.optimize import linear_sum_assignment
from scipy.stats import multivariate_normal

from gps.steps.clusters import Clusters, cluster, expectation, log_density, maximisation, nearest

K, T, DX, DU = 3, 6, 3, 2


def planted(seed, each=15, same_start=False):
    """Returns episodes of three worlds, shuffled, and which world each is of."""
    rng = np.random.default_rng(seed)
    dynamics, _, x0 = linear_task(rng, C=K, T=T)
    if same_start:
        x0 = x0._replace(mean=np.tile(x0.mean[:1], (K, 1)))
    x, u = sampled(rng, controllers(rng, C=K, T=T), dynamics, x0, each)
    truth = np.repeat(np.arange(K), each)
    order = rng.permutation(len(truth))
    return x.reshape(-1, T + 1, DX)[order], u.reshape(-1, T, DU)[order], truth[order]


def same_parts(a, b):
    """Whether two numberings of groups say the same."""
    return np.array_equal(a[:, None] == a, b[:, None] == b)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("same_start", [False, True])
def test_planted_groups_are_found(seed, same_start):
    x, u, truth = planted(seed, same_start=same_start)
    found = cluster(x, u, K, np.random.default_rng(seed), restarts=50)
    counts = np.array([[((found == i) & (truth == j)).sum() for j in range(K)] for i in range(K)])
    assert (
        counts[linear_sum_assignment(-counts)].sum() >= 43
    )  # of 45; two worlds may both explain an episode


def test_groups_that_differ_in_their_dynamics_alone_are_told_apart():
    """The states of both come from the same distribution; only how the next one follows from the
    last differs.
    """
    rng = np.random.default_rng(0)
    N, turn = 60, np.array([[0.0, -1.0], [1.0, 0.0]])
    truth = np.arange(N) % 2
    x, u = np.empty((N, 9, 2)), 0.1 * rng.standard_normal((N, 8, 1))
    x[:, 0] = rng.standard_normal((N, 2))
    for t in range(8):
        forward = x[:, t] @ turn.T
        x[:, t + 1] = np.where(truth[:, None] == 0, forward, -forward) + 0.1 * rng.standard_normal(
            (N, 2)
        )
    assert same_parts(cluster(x, u, 2, np.random.default_rng(2), restarts=50), truth)


def test_the_density_of_an_episode_is_that_of_its_start_times_those_of_what_followed():
    rng = np.random.default_rng(1)
    d = 2 * DX + DU
    root = rng.normal(size=(2, T, d, d))
    groups = Clusters(
        rng.normal(size=(2, T, d)), root @ root.swapaxes(-1, -2) + np.eye(d), np.array([0.3, 0.7])
    )
    z = rng.normal(size=(T, 4, d))
    found = log_density(groups, z, DX)
    for k in range(2):
        for n in range(4):
            expected = 0.0
            for t in range(T):
                mean, cov = groups.mean[k, t], groups.cov[k, t]
                expected += multivariate_normal(mean, cov).logpdf(z[t, n])
                if t:  # given x_t
                    expected -= multivariate_normal(mean[:DX], cov[:DX, :DX]).logpdf(z[t, n, :DX])
            assert found[k, n] == pytest.approx(expected)
    p, likelihood = expectation(groups, z, DX)
    assert likelihood == pytest.approx(np.log(groups.share @ np.exp(found)).mean())
    np.testing.assert_allclose(p.sum(0), 1)
    np.testing.assert_allclose(np.log(p[0] / p[1]), np.log(0.3 / 0.7) + found[0] - found[1])


def test_a_groups_gaussians_are_the_moments_of_its_episodes_and_a_few_more():
    z = np.random.default_rng(2).normal(size=(T, 10, 4))
    member = np.zeros((3, 10))
    member[0, :6] = member[1, 6:] = 1  # the last one has no episode
    groups = maximisation(z, member, 2.0)
    assert groups.share.tolist() == [0.6, 0.4]
    np.testing.assert_allclose(groups.mean[0], z[:, :6].mean(1))
    own, all_of_them = np.cov(z[3, :6].T, bias=True), np.cov(z[3].T, bias=True)
    np.testing.assert_allclose(groups.cov[0, 3], (6 * own + 2 * all_of_them) / 8, atol=1e-5)


def test_there_are_never_more_groups_than_episodes_and_equal_episodes_are_one_group():
    x, u, _ = planted(0, each=1)
    assert cluster(x, u, 8, np.random.default_rng(0)).max() < 3
    one = np.repeat(x[:1], 5, axis=0), np.repeat(u[:1], 5, axis=0)
    assert (cluster(*one, 4, np.random.default_rng(0)) == 0).all()
    assert (nearest(np.zeros((4, 2)), 3, np.random.default_rng(0)) == 0).all()
