"""Moments under a Gaussian input against draws, and their gradients against differences."""

import numpy as np
import pytest
import torch

from dynamics import GaussianProcess
from dynamics.gp.moments import bumps_of, moments, saturating, squashed, trigonometric
from lqr import InputError

DRAWS = 200_000


def fitted(E=3, N=30, seed=0, **more):
    """A process of E outputs, over E states and an action."""
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(N, E)), rng.normal(size=(N, 1))
    z = np.concatenate([x, u], 1)
    change = np.column_stack([np.sin(z @ rng.normal(size=E + 1)) for _ in range(E)])
    model = GaussianProcess(slope=False, signal_to_noise=500.0, reject_outliers=False, **more)
    model.fit(x, u, x + change + 0.05 * rng.normal(size=x.shape), rng)
    return model


def gaussian(n, size=0.3, seed=1):
    rng = np.random.default_rng(seed)
    root = size * rng.normal(size=(n, n)) / np.sqrt(n)
    return rng.normal(size=n), root @ root.T + 0.01 * np.eye(n)


def tensors(*arrays):
    return [torch.as_tensor(a) for a in arrays]


def check_moments(found, z, y, cov, atol):
    """Asserts that moments are those of draws z (M, n) and y (M, e)."""
    np.testing.assert_allclose(found.mean, y.mean(0), atol=atol)
    np.testing.assert_allclose(found.cov, np.cov(y.T).reshape(found.cov.shape), atol=atol)
    both = np.cov(z.T, y.T)[: z.shape[1], z.shape[1] :]
    np.testing.assert_allclose(cov @ found.gain.numpy(), both, atol=atol)


def test_moments_of_a_process_are_those_of_draws():
    model, (m, S) = fitted(), gaussian(4)
    found = moments(bumps_of(model, np.arange(4)), *tensors(m, S))
    rng = np.random.default_rng(2)
    z = m + rng.standard_normal((DRAWS, 4)) @ np.linalg.cholesky(S).T
    mean, var = model.marginals(z[:, :3], z[:, 3:])
    y = mean - z[:, :3] - model.normaliser.change_mean
    y = y + np.sqrt(var) * rng.standard_normal(y.shape)
    check_moments(found, z, y, S, atol=4e-3 * y.std())


def test_without_spread_they_are_the_predictions():
    model, (m, _) = fitted(), gaussian(4)
    found = moments(bumps_of(model, np.arange(4)), *tensors(m, 1e-14 * np.eye(4)))
    mean, cov = model.predict(m[:3], m[3:])
    np.testing.assert_allclose(found.mean, mean - m[:3] - model.normaliser.change_mean, atol=1e-9)
    np.testing.assert_allclose(found.cov, cov, atol=1e-9)
    np.testing.assert_allclose(  # Stein: the expected derivative
        found.gain.numpy().T + np.eye(3, 4), model.jacobian(m[:3], m[3:]), atol=1e-6
    )


def test_of_a_function_that_is_linear_where_the_input_lies_they_are_kalmans():
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-3, 3, (80, 1)), np.zeros((80, 1))
    model = GaussianProcess(slope=False, reject_outliers=False)
    model.fit(x, u, x + 0.7 * x + 0.3, rng)
    m, S = np.array([0.4]), np.array([[0.2]])
    found = moments(bumps_of(model, np.arange(1)), *tensors(m, S))
    np.testing.assert_allclose(found.mean.numpy() + model.normaliser.change_mean, 0.58, atol=2e-3)
    np.testing.assert_allclose(found.cov, 0.49 * S, rtol=2e-2)
    np.testing.assert_allclose(found.gain, [[0.7]], rtol=1e-2)


def test_moments_of_cosines_and_sines_are_those_of_draws():
    m, S = gaussian(3, size=0.8)
    z = m + np.random.default_rng(3).standard_normal((DRAWS, 3)) @ np.linalg.cholesky(S).T
    y = np.concatenate([np.cos(z[:, [2, 0]]), np.sin(z[:, [2, 0]])], 1)
    check_moments(trigonometric(*tensors(m, S), (2, 0)), z, y, S, atol=4e-3)


def test_moments_of_what_is_squashed_are_those_of_draws():
    m, S = gaussian(2, size=0.8)
    z = m + np.random.default_rng(4).standard_normal((DRAWS, 2)) @ np.linalg.cholesky(S).T
    y = (9 * np.sin(z) + np.sin(3 * z)) / 8
    assert np.abs(y).max() < 1 + 1e-12
    check_moments(squashed(*tensors(m, S)), z, y, S, atol=4e-3)


def test_the_expected_saturating_reward_is_that_of_draws():
    m, S = gaussian(2, size=0.5)
    z = m + np.random.default_rng(5).standard_normal((DRAWS, 2)) @ np.linalg.cholesky(S).T
    paid = np.exp(-0.5 * (z**2).sum(1) / 0.7**2)
    np.testing.assert_allclose(saturating(*tensors(m, S), 0.7), paid.mean(), atol=1e-3)


def test_the_gradient_is_that_of_differences():
    f, (m, S) = bumps_of(fitted(E=2, N=30), np.arange(3)), gaussian(3)

    def value(m, S):
        found = moments(f, m, S)
        return found.mean.sum() + (found.cov * torch.tensor([[1.0, 2.0], [2.0, 3.0]])).sum()

    given = [a.requires_grad_() for a in tensors(m, S)]
    slopes = torch.autograd.grad(value(*given), given)
    rng, h = np.random.default_rng(6), 1e-5
    dm, dS = rng.normal(size=3), rng.normal(size=(3, 3))
    dS = dS + dS.T
    up, down = (value(*tensors(m + s * h * dm, S + s * h * dS)) for s in (1, -1))
    expected = float(up - down) / (2 * h)
    found = float((slopes[0] * torch.as_tensor(dm)).sum() + (slopes[1] * torch.as_tensor(dS)).sum())
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_linear_part_is_refused():
    model = GaussianProcess()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 1))
    model.fit(x, x, 2 * x, rng)
    with pytest.raises(InputError, match="slope=False"):
        bumps_of(model, np.arange(2))
