"""The page in NumPy equals the kernels on random problems, and dense algebra that knows no
recursion.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import dense_optimum, joint, random_controller, random_problem

from lqr import Gaussian, backward, forward, riccati
from lqr.passes import SMALL

# states, actions, steps: on both sides of the limit between the small and the blocked kernels and
# of blocks of 4, 8 and 16, and from the shortest horizon on; each small size is compiled once
COMPILED = [(1, 1, 1), (1, 3, 4), (3, 2, 50), (2, 4, 6), (10, 2, 5)]
BLOCKED = [(10, 3, 50), (1, 12, 3), (12, 2, 5), (15, 4, 4), (17, 9, 3), (31, 5, 2)]
SIZES = COMPILED + BLOCKED


def test_the_sizes_are_on_both_sides_of_the_limit_between_the_kernels():
    assert max(dx + du for dx, du, _ in COMPILED) == SMALL
    assert min(dx + du for dx, du, _ in BLOCKED) == SMALL + 1


def assert_close(found, expected):
    """Every field to 1e-12 of its largest entry."""
    for mine, page in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, page, rtol=0, atol=1e-12 * (abs(page).max() + 1e-300))


def one(problem, b):
    return type(problem)(*(field[b] for field in problem))


def stabilised(dynamics):
    """Keeps the numbers of a long horizon near one, whatever the random controller does."""
    return dynamics._replace(F=0.3 * dynamics.F)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("tau", [0.0, 0.3])
@pytest.mark.parametrize("lead", [(), (3,), (2, 2)], ids=str)
def test_backward_equals_the_page(size, tau, lead):
    rng = np.random.default_rng(sum(size))
    dynamics, cost, _ = random_problem(rng, *size, lead=lead)
    controller, value = backward(dynamics, cost, tau)
    for b in np.ndindex(lead):
        gains, page = riccati.backward(one(dynamics, b), one(cost, b), tau)
        assert_close((*one(controller, b), *one(value, b)), (*gains, *page))


@given(st.sampled_from(SIZES), st.integers(0, 10**6), st.floats(-6, 6), st.sampled_from([0.0, 0.1]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_backward_equals_the_page_whatever_the_unit_of_the_cost(size, seed, decades, tau):
    rng = np.random.default_rng(seed)
    dynamics, cost, _ = random_problem(rng, *size)
    scaled = type(cost)(*(10**decades * field for field in cost))
    found, page = backward(dynamics, scaled, tau), riccati.backward(dynamics, scaled, tau)
    assert_close((*found[0], *found[1]), (*page[0], *page[1]))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("lead", [(), (3,)], ids=str)
def test_forward_equals_the_page(size, noise, lead):
    rng = np.random.default_rng(sum(size))
    dynamics, _, x0 = random_problem(rng, *size, lead=lead)
    dynamics, x0 = stabilised(dynamics), x0._replace(cov=noise * x0.cov)
    controller = random_controller(rng, *size, lead=lead)
    found = forward(dynamics, controller, x0)
    for b in np.ndindex(lead):
        page = riccati.forward(one(dynamics, b), one(controller, b), one(x0, b))
        assert_close(one(found, b), page)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 5), (9, 3, 4)], ids=str)
def test_the_page_gives_the_actions_and_the_cost_of_one_dense_solve(size):
    rng = np.random.default_rng(0)
    dynamics, cost, x0 = random_problem(rng, *size)
    calm = dynamics._replace(cov=np.zeros_like(dynamics.cov))
    U, total = dense_optimum(calm, cost, x0.mean)
    controller, value = riccati.backward(calm, cost)
    plan = riccati.forward(calm, controller, Gaussian(x0.mean, np.zeros_like(x0.cov)))
    np.testing.assert_allclose(plan.mean[:-1, size[0] :], U, rtol=1e-9, atol=1e-9)
    x = x0.mean
    promised = 0.5 * x @ value.V[0] @ x + value.v[0] @ x + value.const[0]
    np.testing.assert_allclose(promised, total, rtol=1e-10)


def test_the_value_with_noise_is_the_mean_over_the_joint_distribution_less_the_entropy():
    rng, tau = np.random.default_rng(1), 0.4
    dynamics, cost, x0 = random_problem(rng)
    dx, du, T = 3, 2, 5
    controller, value = riccati.backward(dynamics, cost, tau)
    m, P = joint(controller, dynamics, x0)  # of all states and actions, from all noises
    total = 0.0
    for t in range(T + 1):
        size = dx + du if t < T else dx
        at = slice(t * (dx + du), t * (dx + du) + size)
        C, c = cost.C[t, :size, :size], cost.c[t, :size]
        total += 0.5 * (m[at] @ C @ m[at] + np.trace(C @ P[at, at])) + c @ m[at] + cost.const[t]
    entropy = sum(0.5 * np.linalg.slogdet(2 * np.pi * np.e * S)[1] for S in controller.cov)
    V, v = value.V[0], value.v[0]
    promised = 0.5 * (x0.mean @ V @ x0.mean + np.trace(V @ x0.cov)) + v @ x0.mean + value.const[0]
    np.testing.assert_allclose(promised, total - tau * entropy, rtol=1e-10)
