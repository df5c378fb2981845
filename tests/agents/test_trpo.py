"""Natural gradients against dense algebra and finite differences, advantages against plain sums,
and TRPO learns what a linear policy is the optimum of.
"""

import numpy as np
import pytest
from scipy.stats import norm

from agents.baselines import trpo
from agents.learners.advantages import advantages, rewards_of, sums
from agents.learners.gaussian_layers import (
    GaussianLayers,
    Gaussians,
    divergences,
    slope_of_first,
    slope_of_second,
)
from agents.learners.natural_gradient import conjugate_gradients, natural_step
from agents.learners.trust_region import Batch, Pull, gradient, improved
from agents.policies.mlp import NeuralPolicy
from agents.rollout import Trajectories
from agents.tasks import make_task

LOW, HIGH = np.array([-1.0, -3.0]), np.array([1.0, 5.0])


def layers_of(hidden=(5,), seed=0):
    """Returns a policy of three observations and two actions as a function of its parameters."""
    rng = np.random.default_rng(seed)
    policy = NeuralPolicy.create(3, 2, hidden, np.array([0.4, 1.5]), rng, LOW, HIGH)
    policy.centre, policy.scale = rng.standard_normal(3), rng.uniform(0.5, 2.0, 3)
    policy.weights[-1] = 0.4 * rng.standard_normal(policy.weights[-1].shape)
    return GaussianLayers(policy), policy, rng


def numerical(f, theta, h=1e-6):
    """Returns the gradient of f by central differences."""
    rows = np.eye(len(theta)) * h
    return np.array([(f(theta + row) - f(theta - row)) / (2 * h) for row in rows])


def test_parameters_and_policy_say_the_same():
    layers, policy, rng = layers_of()
    again = layers.policy_of(layers.flat(policy))
    o = rng.standard_normal((6, 3))
    np.testing.assert_allclose(again.mean(o), policy.mean(o), atol=1e-12)
    np.testing.assert_allclose(again.cov, policy.cov, atol=1e-12)
    p = layers.gaussians(layers.flat(policy), layers.inputs(o))
    np.testing.assert_allclose(p.mean * layers.unit, policy.mean(o), atol=1e-12)


def test_the_step_of_a_linear_policy_is_that_of_the_dense_fisher_information():
    """mean = W x + b, so that F = E[xx' for each output] / variance, by hand; 2 for each log std."""
    layers, policy, rng = layers_of(hidden=())
    theta, x = layers.flat(policy), rng.standard_normal((40, 3))
    variance = np.exp(2 * theta[-2:])
    F = np.zeros((10, 10))  # W (2, 3) by rows, b (2,), log std (2,)
    moments = np.hstack([x, np.ones((40, 1))]).T @ np.hstack([x, np.ones((40, 1))]) / 40
    for i in range(2):
        at = [3 * i, 3 * i + 1, 3 * i + 2, 6 + i]
        F[np.ix_(at, at)] = moments / variance[i]
        F[8 + i, 8 + i] = 2.0
    for v in np.eye(10):
        np.testing.assert_allclose(layers.fisher(theta, x)(v), F @ v, atol=1e-12)
    g = rng.standard_normal(10)
    found = natural_step(
        theta, g, layers.fisher(theta, x), lambda new: float(g @ new),
        lambda new: 0.5 * float((new - theta) @ F @ (new - theta)) * (1 - 1e-9), 0.02, 10, 0.0,
    )  # fmt: skip
    way = np.linalg.solve(F, g)
    expected = theta + np.sqrt(2 * 0.02 / (g @ way)) * way
    np.testing.assert_allclose(found.theta, expected, atol=1e-8)
    assert found.kl == pytest.approx(0.02)


def test_conjugate_gradients_solve_in_as_many_steps_as_there_are_numbers():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((6, 6))
    A, b = A @ A.T + np.eye(6), rng.standard_normal(6)
    found = conjugate_gradients(lambda v: A @ v, b, 6)
    np.testing.assert_allclose(found, np.linalg.solve(A, b), atol=1e-8)


def test_the_fisher_information_is_the_curvature_of_the_divergence():
    layers, policy, rng = layers_of()
    theta, x = layers.flat(policy), rng.standard_normal((7, 3))
    old = layers.gaussians(theta, x)
    v = rng.standard_normal(len(theta))

    def kl(new):
        return divergences(old, layers.gaussians(new, x)).mean()

    h = 1e-4
    curvature = (kl(theta + h * v) + kl(theta - h * v)) / h**2
    assert v @ layers.fisher(theta, x)(v) == pytest.approx(curvature, rel=1e-4)


def test_a_density_at_a_limit_is_the_probability_of_all_beyond_it():
    layers, policy, rng = layers_of()
    theta = layers.flat(policy)
    p = layers.gaussians(theta, rng.standard_normal((3, 3)))
    u = np.array([[-1.0, 0.2], [0.3, 1.0], [1.0, -0.75]]) * [1.0, 1.0]
    u[:, 0], u[2, 1] = u[:, 0] * layers.high[0], layers.low[1]
    std = np.exp(p.log_std)
    each = norm.logpdf(u, p.mean, std) + 0.5 * np.log(2 * np.pi)
    each[0, 0] = norm.logcdf(layers.low[0], p.mean[0, 0], std[0])
    each[2, 0] = norm.logsf(layers.high[0], p.mean[2, 0], std[0])
    each[2, 1] = norm.logcdf(layers.low[1], p.mean[2, 1], std[1])
    u[1, 1] = 0.1
    each[1, 1] = norm.logpdf(0.1, p.mean[1, 1], std[1]) + 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(layers.log_density(p, u)[0], each.sum(1), atol=1e-10)


def test_the_gradient_is_that_of_the_objective_with_what_pulls():
    layers, policy, rng = layers_of()
    theta = layers.flat(policy)
    x, other = rng.standard_normal((5, 3)), layers_of(seed=3)[0]
    u = np.clip(2 * rng.standard_normal((5, 2)), layers.low, layers.high)
    assert (u == layers.high).any()
    batch = Batch(x, u, rng.standard_normal(5))
    far = other.gaussians(other.flat(other.policy), x)
    pulls = [Pull(x, 0.3, None, far), Pull(x, 0.7, far, None)]
    old = layers.log_density(layers.gaussians(theta, x), u)[0]

    def objective(new):
        p = layers.gaussians(new, x)
        ratio = np.exp(layers.log_density(p, u)[0] - old)
        pulled = 0.3 * divergences(p, far) + 0.7 * divergences(far, p)
        return float((ratio * batch.advantage).mean() - pulled.mean())

    expected = numerical(objective, theta)
    np.testing.assert_allclose(gradient(layers, theta, batch, pulls), expected, atol=1e-6)
    step = improved(layers, theta, batch, 0.01, pulls)
    assert 0 < step.kl <= 0.01
    assert step.gain == pytest.approx(objective(step.theta) - objective(theta))


def test_divergences_are_integrals_and_their_slopes_differences():
    p = Gaussians(np.array([[0.3], [-1.0]]), np.array([0.2]))
    q = Gaussians(np.array([[0.9], [-0.4]]), np.array([-0.3]))
    z = np.linspace(-15, 15, 20_001)
    for found, a, b in ((divergences(p, q), p, q), (divergences(q, p), q, p)):
        for row in range(2):
            f = norm.logpdf(z, a.mean[row], np.exp(a.log_std))
            g = norm.logpdf(z, b.mean[row], np.exp(b.log_std))
            assert found[row] == pytest.approx(np.trapezoid(np.exp(f) * (f - g), z), abs=1e-8)
    flat = np.array([0.3, -1.0, 0.2])

    def at(v):
        return Gaussians(v[:2, None], v[2:])

    for slope, f in (
        (slope_of_first(p, q), lambda v: divergences(at(v), q).mean()),
        (slope_of_second(q, p), lambda v: divergences(q, at(v)).mean()),
    ):
        found = np.concatenate([slope.mean.ravel(), slope.log_std])
        np.testing.assert_allclose(found, numerical(f, flat), atol=1e-7)


def test_advantages_are_weighted_sums_of_what_the_value_leaves():
    rng = np.random.default_rng(2)
    r, x, mask = rng.standard_normal((3, 6)), rng.standard_normal((3, 6, 2)), np.ones((3, 6), bool)
    np.testing.assert_allclose(sums(r, 0.5)[0, 3], r[0, 3] + 0.5 * r[0, 4] + 0.25 * r[0, 5])
    for smoothing in (0.0, 0.6, 1.0):
        A = advantages(r, x, mask, 0.9, smoothing)
        assert A.mean() == pytest.approx(0, abs=1e-12)
        assert A.std() == pytest.approx(1)
    # lambda = 1: the return less the value, so that returns that the value explains leave nothing
    explained = np.zeros((3, 6))
    explained[:, -1] = 2.0
    value = advantages(explained, 0 * x, mask, 1.0, 1.0)
    assert np.ptp(value, axis=0).max() < 1e-9


def test_an_end_is_worth_going_on_at_the_mean():
    x, u = np.zeros((2, 4, 1)), np.zeros((2, 3, 1))
    cost = np.array([[1.0, 2.0, 0.0, 0.0], [3.0, 1.0, 2.0, 1.0]])
    found = Trajectories(x, u, x, cost, np.array([1, 3]), np.zeros(2, bool))
    mean, std = np.mean([1.0, 3.0, 1.0, 2.0]), np.std([1.0, 3.0, 1.0, 2.0])
    short = mean - 1.0 + (mean - 2.0) + mean * (0.5 + 0.25)  # two states that never came
    r = np.array([[short, 0.0, 0.0], [mean - 3.0, mean - 1.0, 2 * mean - 3.0]])
    np.testing.assert_allclose(rewards_of(found, 0.5), r / std)


def test_it_learns_a_point_mass():
    task = make_task("point_mass")
    config = trpo.Config(iterations=30, samples=10, hidden=(8,), evaluate_every=29, kl_step=0.05)
    rows = list(trpo.train(task, config, np.random.default_rng(0)))
    assert rows[-1].scalars["cost"] < 0.7 * rows[0].scalars["cost"]
    assert all(row.scalars["kl"] <= config.kl_step for row in rows)
    assert all(row.scalars["gain"] > 0 for row in rows)
