"""The posterior of a simulator's factors: closed form where it is linear, and intervals that hold."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from agents.tasks.classic.pendulum import Pendulum
from dynamics import IdentifiedSimulator
from dynamics.identification import draw_factors, factor_posterior
from lqr import Gaussian, InputError


class Arm:
    """x' = x + a u_1 + b u_2: linear in its gains."""

    parameters = ("a", "b")

    def __call__(self, x, u, factors):
        return x + (u * factors).sum(-1, keepdims=True)


def identified(simulator, width=0.7):
    model = IdentifiedSimulator(width=width)
    model.attach(SimpleNamespace(simulator=simulator, name="arm"))
    return model


def arm(M, rng, noise=0.3, factors=(1.3, 0.8)):
    x, u = rng.normal(size=(M, 1)), rng.normal(size=(M, 2))
    return x, u, Arm()(x, u, np.array(factors)) + noise * rng.normal(size=(M, 1))


def test_with_many_data_it_is_that_of_linear_regression():
    data = arm(4000, np.random.default_rng(0))
    x, u, xnext = data
    found = factor_posterior(identified(Arm(), width=50.0), *data)
    gain = np.linalg.lstsq(u, (xnext - x)[:, 0], rcond=None)[0]
    s2 = (((xnext - x)[:, 0] - u @ gain) ** 2).sum() / (len(x) - 2)
    np.testing.assert_allclose(np.exp(found.mean), gain, rtol=1e-4)
    expected = s2 * np.linalg.inv(u.T @ u) / np.outer(gain, gain)  # of logarithms: delta method
    np.testing.assert_allclose(found.cov, expected, rtol=1e-3)


def test_ninety_percent_intervals_hold_in_about_ninety_percent():
    rng, inside = np.random.default_rng(1), []
    for _ in range(200):
        mean, cov = factor_posterior(identified(Arm()), *arm(40, rng))
        half = norm.ppf(0.95) * np.sqrt(np.diag(cov))
        inside.append(np.abs(mean - np.log([1.3, 0.8])) <= half)
    assert 0.85 < np.mean(inside) < 0.95


def test_what_the_data_say_nothing_of_stays_as_wide_as_the_prior():
    x, u, _ = arm(100, np.random.default_rng(2))
    u[:, 1] = 0.0
    xnext = x + 1.3 * u[:, :1] + 0.01 * np.random.default_rng(3).normal(size=x.shape)
    mean, cov = factor_posterior(identified(Arm()), x, u, xnext)
    np.testing.assert_allclose([mean[1], cov[1, 1]], [0.0, 0.49], atol=1e-6)
    assert mean[0] == pytest.approx(np.log(1.3), abs=0.01)
    drawn = np.log(draw_factors(Gaussian(mean, cov), 20000, np.random.default_rng(4)))
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.02)


def test_the_rods_true_constants_lie_within_the_intervals():
    task = Pendulum(believed={"mass": 0.5, "length": 1.5})
    rng = np.random.default_rng(5)
    x, u = rng.normal(size=(60, 2)), rng.uniform(-2.5, 2.5, (60, 1))
    xnext = task.advance(x, u) + 0.01 * rng.normal(size=(60, 2))
    model = IdentifiedSimulator()
    model.attach(task)
    model.fit(x, u, xnext, rng)
    mean, cov = factor_posterior(model, x, u, xnext)
    std = np.sqrt(np.diag(cov))
    assert (np.abs(mean[:2] - np.log([2.0, 1 / 1.5])) < 3 * std[:2]).all()
    assert (std[:2] < 0.05).all()
    assert std[2] > 0.2  # hardly any friction: the data do not tell


def test_fewer_numbers_than_factors_are_refused():
    with pytest.raises(InputError, match="more than 2 factors"):
        factor_posterior(identified(Arm()), *arm(2, np.random.default_rng(0)))
