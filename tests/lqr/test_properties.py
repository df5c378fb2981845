"""Any problem, however badly scaled or shaped, gets a right answer or a named error: no NaN, no
hang.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problems import random_controller, random_problem

from lqr import (
    GPSError,
    QuadraticCost,
    backward,
    entropy,
    expected_cost,
    forward,
    kl_divergence,
    make_convex,
    minimise_cost_within_kl,
    minimise_cost_within_kl_per_step,
)
from lqr.box_qp import solve_box_qp

often = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
seldom = settings(often, max_examples=30)
SIZES = (
    (1, 1, 1),
    (1, 1, 6),
    (1, 3, 4),
    (3, 2, 5),
    (2, 4, 6),
    (3, 2, 1),
    (9, 3, 4),
)  # few: small ones are compiled each
sizes = st.sampled_from(SIZES)
decades = st.floats(-8, 8)


def conditioned(rng, cost, decades):
    """Returns the cost with eigenvalues spread over so many decades, about half of it below 1."""
    _, vectors = np.linalg.eigh(cost.C)
    values = 10.0 ** rng.uniform(-decades / 2, decades / 2, cost.c.shape)
    return cost._replace(C=(vectors * values[..., None, :]) @ vectors.swapaxes(-1, -2))


@given(sizes, st.integers(0, 10**6), decades, st.floats(0, 12))
@often
def test_the_backward_pass_is_right_or_says_why_not(size, seed, scale, spread):
    rng = np.random.default_rng(seed)
    dynamics, cost, x0 = random_problem(rng, *size)
    cost = QuadraticCost(*(10**scale * field for field in conditioned(rng, cost, spread)))
    cost = cost._replace(C=0.5 * (cost.C + cost.C.swapaxes(-1, -2)))
    try:
        controller, value = backward(dynamics, cost)
    except GPSError as error:
        assert "step" in str(error)  # noqa: PT017
        return
    assert all(np.isfinite(field).all() for field in (*controller, *value))
    marginals = forward(dynamics, controller, x0)
    moment = x0.cov + np.outer(x0.mean, x0.mean)
    promised = 0.5 * np.trace(value.V[0] @ moment) + value.v[0] @ x0.mean + value.const[0]
    parts = (
        abs(0.5 * np.trace(value.V[0] @ moment))
        + abs(value.const).max()
        + abs(value.v[0] @ x0.mean)
    )
    largest = abs(cost.C).max() * (abs(marginals.mean).max() ** 2 + abs(marginals.cov).max())
    assert expected_cost(marginals, cost).sum() == pytest.approx(
        promised, abs=1e-8 * (parts + largest)
    )


@given(sizes, st.integers(0, 10**6), decades, decades, st.floats(0, 12))
@often
def test_marginals_are_finite_symmetric_and_no_covariance_is_negative(
    size, seed, scale, noise, spread
):
    rng = np.random.default_rng(seed)
    dynamics, _, x0 = random_problem(rng, *size)
    values = 10.0 ** rng.uniform(-spread / 2, spread / 2, size[0])
    vectors = np.linalg.eigh(x0.cov)[1]
    P = 10**scale * (vectors * values) @ vectors.T
    x0 = x0._replace(mean=10 ** (scale / 2) * x0.mean, cov=0.5 * (P + P.T))
    mean, cov = forward(dynamics, random_controller(rng, *size, std=10 ** (noise / 2)), x0)
    assert np.isfinite(mean).all()
    np.testing.assert_allclose(cov, cov.swapaxes(-1, -2), atol=1e-14 * abs(cov).max())
    assert (np.linalg.eigvalsh(cov)[:, 0] >= -1e-9 * np.linalg.eigvalsh(cov)[:, -1]).all()


@given(sizes, st.integers(0, 10**6), st.floats(-4, 4), st.floats(0, 6))
@often
def test_a_divergence_is_positive_and_none_from_itself(size, seed, std, spread):
    rng = np.random.default_rng(seed)
    dynamics, _, x0 = random_problem(rng, *size)
    p, q = (random_controller(rng, *size, std=10 ** (std / 2)) for _ in range(2))
    vectors = np.linalg.eigh(q.cov)[1]
    cov = (
        vectors * 10.0 ** (std + rng.uniform(-spread / 2, spread / 2, q.k.shape))[:, None, :]
    ) @ vectors.swapaxes(-1, -2)
    q, under = q._replace(cov=0.5 * (cov + cov.swapaxes(-1, -2))), forward(dynamics, p, x0)
    assert (kl_divergence(p, q, under) > 0).all()
    np.testing.assert_allclose(kl_divergence(q, q, under), 0.0, atol=1e-8)


@given(
    sizes,
    st.integers(0, 10**6),
    decades,
    decades,
    st.floats(-3, 3),
    st.floats(0, 12),
    st.booleans(),
)
@often
def test_the_kl_constrained_controller_keeps_its_bound_or_says_why_not(
    size, seed, scale, std, eps, spread, hollow
):
    rng, epsilon = np.random.default_rng(seed), 10**eps
    dynamics, cost, x0 = random_problem(rng, *size)
    cost = conditioned(rng, cost, spread)
    if hollow:
        cost = cost._replace(C=cost.C - 2 * np.eye(size[0] + size[1]))
    cost = QuadraticCost(*(10**scale * field for field in cost))
    cost = cost._replace(C=0.5 * (cost.C + cost.C.swapaxes(-1, -2)))
    anchor = random_controller(rng, *size, std=10 ** (std / 4))
    tau = 10 ** (scale - 1) if seed % 3 == 0 else 0.0
    try:
        r = minimise_cost_within_kl(dynamics, cost, anchor, x0, epsilon, tau)
    except GPSError as error:
        assert "epsilon" in str(error) or "anchor" in str(error)  # noqa: PT017
        return
    assert all(np.isfinite(field).all() for field in (*r.controller, *r.distribution, r.eta, r.kl))
    measured = kl_divergence(r.controller, anchor, forward(dynamics, r.controller, x0)).sum()
    assert measured <= epsilon * (1 + 1e-5) + 1e-6
    mine = expected_cost(r.distribution, cost).sum() - tau * entropy(r.controller).sum()
    before = expected_cost(forward(dynamics, anchor, x0), cost)
    before[-1] -= tau * entropy(anchor).sum()
    assert mine <= before.sum() + 1e-6 * abs(before).max()
    assert r.passes <= 60


@given(
    sizes,
    st.integers(0, 10**6),
    decades,
    st.floats(-2, 2),
    st.floats(0, 12),
    st.booleans(),
    st.booleans(),
)
@often
def test_the_bounds_per_step_are_kept_or_the_error_says_why_not(
    size, seed, scale, eps, spread, hollow, warm
):
    rng, epsilon = np.random.default_rng(seed), 10**eps
    dynamics, cost, x0 = random_problem(rng, *size)
    cost = conditioned(rng, cost, spread)
    if hollow:
        cost = cost._replace(C=cost.C - 2 * np.eye(size[0] + size[1]))
    cost = QuadraticCost(*(10**scale * field for field in cost))
    cost = cost._replace(C=0.5 * (cost.C + cost.C.swapaxes(-1, -2)))
    anchor, tau = random_controller(rng, *size), 10 ** (scale - 1) if warm else 0.0
    try:
        r = minimise_cost_within_kl_per_step(
            dynamics, cost, anchor, x0, epsilon, tau, eta=10**scale
        )
    except GPSError as error:
        assert "epsilon" in str(error)  # noqa: PT017
        return
    assert all(np.isfinite(field).all() for field in (*r.controller, *r.distribution, r.eta, r.kl))
    assert r.passes <= 205
    measured = kl_divergence(r.controller, anchor, forward(dynamics, r.controller, x0))
    assert (measured <= epsilon * (1 + 1e-5) + 1e-6).all()


@given(st.integers(1, 6), st.integers(0, 10**6), decades)
@seldom
def test_a_projection_is_positive_semi_definite_and_touches_only_negative_directions(
    d, seed, scale
):
    rng = np.random.default_rng(seed)
    A = 10**scale * rng.normal(size=(3, d, d))
    C = A + A.swapaxes(-1, -2)
    raised = make_convex(QuadraticCost(C, np.zeros((3, d)), np.zeros(3))).C
    tolerance = 1e-12 * abs(C).max()
    assert np.linalg.eigvalsh(raised).min() >= -tolerance
    assert np.linalg.eigvalsh(raised - C).min() >= -tolerance
    np.testing.assert_allclose(raised @ (raised - C), 0.0, atol=1e-12 * abs(C).max() ** 2)


@given(st.integers(1, 6), st.integers(0, 10**6), decades, st.floats(0, 10))
@seldom
def test_a_box_qp_meets_its_optimality_conditions(d, seed, scale, spread):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    H = 10**scale * (Q * 10.0 ** rng.uniform(-spread / 2, spread / 2, d)) @ Q.T
    H, g = 0.5 * (H + H.T), 10**scale * rng.normal(size=d)
    low, high = -rng.uniform(0, 1, d), rng.uniform(0, 1, d)
    try:
        x, _ = solve_box_qp(H, g, low, high)
    except np.linalg.LinAlgError:
        return
    slope = H @ x + g
    tolerance = 1e-8 * (abs(g).max() + abs(H).max())
    assert ((x >= low) & (x <= high)).all()
    assert (abs(slope[(x > low) & (x < high)]) <= tolerance).all()
    assert (slope[x <= low] >= -tolerance).all()
    assert (slope[x >= high] <= tolerance).all()
