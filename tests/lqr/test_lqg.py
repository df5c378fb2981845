"""Filter and smoother against the dense joint posterior; infinite horizon and tracking against
their limits.
"""

import numpy as np
import pytest
from problems import joint, random_controller, random_problem

from lqr import (
    Gaussian,
    InputError,
    LinearGaussianController,
    LinearGaussianDynamics,
    LinearGaussianObservation,
    NotPositiveDefinite,
    NumericalError,
    QuadraticCost,
    backward,
    expected_cost,
    forward,
    infinite_horizon,
    kalman_filter,
    rts_smoother,
    tracking_cost,
)

DX, DU, DO, T = 3, 2, 2, 5


def observed(rng, lead=()):
    dynamics, _, x0 = random_problem(rng, DX, DU, T, lead)
    H, h = rng.normal(size=(*lead, T + 1, DO, DX)), rng.normal(size=(*lead, T + 1, DO))
    R = np.broadcast_to(0.3 * np.eye(DO), (*lead, T + 1, DO, DO))
    U, O = rng.normal(size=(*lead, T, DU)), rng.normal(size=(*lead, T + 1, DO))
    return dynamics, LinearGaussianObservation(H, h, R), x0, U, O


def dense_posterior(dynamics, observation, x0, U, O, last):
    """Conditions the joint Gaussian of x_0..x_T on o_0..o_last, with the actions fixed."""
    fixed = LinearGaussianController(
        np.zeros((T, DU, DX)), U, np.tile(1e-300 * np.eye(DU), (T, 1, 1))
    )
    mean, cov = joint(fixed, dynamics, x0)
    at = np.concatenate([t * (DX + DU) + np.arange(DX) for t in range(T + 1)])
    mean, cov = mean[at], cov[np.ix_(at, at)]
    seen = [t for t in range(last + 1) if np.isfinite(O[t]).all()]
    H = np.zeros((len(seen) * DO, len(mean)))
    for row, t in enumerate(seen):
        H[row * DO : (row + 1) * DO, t * DX : (t + 1) * DX] = observation.H[t]
    S = H @ cov @ H.T + np.kron(np.eye(len(seen)), 0.3 * np.eye(DO))
    gap = np.concatenate([O[t] - observation.h[t] for t in seen]) - H @ mean
    gain = np.linalg.solve(S, H @ cov).T
    loglik = -0.5 * (gap @ np.linalg.solve(S, gap) + np.linalg.slogdet(2 * np.pi * S)[1])
    return mean + gain @ gap, cov - gain @ H @ cov, loglik


@pytest.mark.parametrize("missing", [None, 2])
def test_filter_and_smoother_give_the_dense_posterior(missing):
    dynamics, observation, x0, U, O = observed(np.random.default_rng(0))
    if missing is not None:
        O[missing] = np.nan
    filtered = kalman_filter(dynamics, observation, x0, U, O)
    smooth = rts_smoother(dynamics, filtered)
    for t in range(T + 1):
        at = slice(t * DX, (t + 1) * DX)
        mean, cov, loglik = dense_posterior(dynamics, observation, x0, U, O, t)
        np.testing.assert_allclose(filtered.mean[t], mean[at], rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(filtered.cov[t], cov[at, at], rtol=1e-7, atol=1e-8)
        mean, cov, loglik = dense_posterior(dynamics, observation, x0, U, O, T)
        np.testing.assert_allclose(smooth.mean[t], mean[at], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(smooth.cov[t], cov[at, at], rtol=1e-6, atol=1e-7)
    assert filtered.log_likelihood == pytest.approx(loglik, rel=1e-8)


def test_filters_of_a_batch_are_those_of_its_members():
    problem = observed(np.random.default_rng(1), lead=(2, 3))
    together = kalman_filter(*problem)
    one = [type(p)(*(a[1, 2] for a in p)) if isinstance(p, tuple) else p[1, 2] for p in problem]
    alone = kalman_filter(*one)
    np.testing.assert_allclose(together.cov[1, 2], alone.cov, rtol=1e-10)
    np.testing.assert_allclose(
        rts_smoother(problem[0], together).mean[1, 2], rts_smoother(one[0], alone).mean
    )


@pytest.mark.parametrize("unit", [(1e-4, 1.0, 1e4), (1e-9, 1.0, 1e3)])
def test_smoothing_does_not_depend_on_the_units_of_the_states(unit):
    dynamics, observation, x0, U, O = observed(np.random.default_rng(8))
    dynamics = dynamics._replace(cov=dynamics.cov + 0.1 * np.eye(DX))
    expected = rts_smoother(dynamics, kalman_filter(dynamics, observation, x0, U, O))
    D = np.array(unit)
    F = D[:, None] * dynamics.F / np.append(D, np.ones(DU))
    other = LinearGaussianDynamics(F, D * dynamics.f, dynamics.cov * np.outer(D, D))
    start = Gaussian(D * x0.mean, x0.cov * np.outer(D, D))
    found = rts_smoother(
        other, kalman_filter(other, observation._replace(H=observation.H / D), start, U, O)
    )
    np.testing.assert_allclose(found.mean / D, expected.mean, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.cov / np.outer(D, D), expected.cov, rtol=1e-6, atol=1e-9)


def test_an_exact_observation_of_a_certain_state_is_refused():
    dynamics, observation, x0, U, O = observed(np.random.default_rng(2))
    with pytest.raises(NotPositiveDefinite, match="step 0"):
        kalman_filter(
            dynamics,
            observation._replace(cov=0 * observation.cov),
            Gaussian(x0.mean, 0 * x0.cov),
            U,
            O,
        )
    with pytest.raises(InputError, match="U has shape"):
        kalman_filter(dynamics, observation, x0, U[:-1], O)


def test_the_infinite_horizon_is_the_limit_of_the_backward_pass_and_its_average_cost_is_reached():
    rng = np.random.default_rng(3)
    F = np.hstack([np.array([[1.1, 0.2], [0.0, 0.9]]), rng.normal(size=(2, 1))])
    A = rng.normal(size=(3, 3))
    C, W, S = A @ A.T + np.eye(3), np.array([[0.2, 0.1], [0.1, 0.3]]), 300
    dynamics = LinearGaussianDynamics(
        np.tile(F, (S, 1, 1)), np.zeros((S, 2)), np.tile(W, (S, 1, 1))
    )
    cost = QuadraticCost(np.tile(C, (S + 1, 1, 1)), np.zeros((S + 1, 3)), np.zeros(S + 1))
    controller, value = backward(dynamics, cost)
    limit = infinite_horizon(F, C, W)
    np.testing.assert_allclose(limit.K, controller.K[0], rtol=1e-9)
    np.testing.assert_allclose(limit.V, value.V[0], rtol=1e-9)
    steady = expected_cost(forward(dynamics, controller, Gaussian(np.zeros(2), W)), cost)[S // 2]
    assert limit.average_cost == pytest.approx(steady, rel=1e-9)


def test_an_unreachable_unstable_mode_and_free_actions_are_refused():
    with pytest.raises(NumericalError, match="unstable"):
        infinite_horizon(np.array([[2.0, 0.0, 0.0], [0.0, 0.5, 1.0]]), np.eye(3))
    with pytest.raises(NotPositiveDefinite, match="cost of actions"):
        infinite_horizon(np.array([[0.5, 1.0]]), np.zeros((2, 2)))  # R + B'VB is 0


def test_infinite_horizons_of_a_batch_are_those_of_its_members_and_bad_input_is_named():
    rng = np.random.default_rng(5)
    F = np.concatenate(
        [np.eye(2) * 0.9 + 0.1 * rng.normal(size=(2, 3, 2, 2)), rng.normal(size=(2, 3, 2, 1))], -1
    )
    together = infinite_horizon(F, np.eye(3), cov=0.1 * np.eye(2))
    assert together.average_cost.shape == (2, 3)
    alone = infinite_horizon(F[1, 2], np.eye(3), cov=0.1 * np.eye(2))
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a[1, 2], b)
    with pytest.raises(InputError, match="C is not as expected: not symmetric"):
        infinite_horizon(F, np.triu(np.ones((3, 3))) + np.eye(3))
    with pytest.raises(InputError, match=r"F is nan at index \(0,"):
        infinite_horizon(F * np.nan, np.eye(3))
    with pytest.raises(InputError, match="do not fit"):
        infinite_horizon(F, np.eye(3), cov=np.eye(3))
    bad = np.tile(np.eye(3), (3, 1, 1))
    bad[2, 2, 2] = -1.0
    with pytest.raises(NotPositiveDefinite, match=r"of problem \(0, 2\)"):
        infinite_horizon(F, bad)


def test_tracking_costs_the_distance_and_a_reachable_reference_is_followed_exactly():
    rng = np.random.default_rng(4)
    dynamics, _, x0 = random_problem(rng, DX, DU, T)
    dynamics = dynamics._replace(cov=0 * dynamics.cov)
    x0 = Gaussian(x0.mean, 0 * x0.cov)
    reference = forward(
        dynamics, random_controller(rng, DX, DU, T)._replace(cov=np.zeros((T, DU, DU))), x0
    ).mean
    X, U = reference[:, :DX], reference[:-1, DX:]
    cost = tracking_cost(X, U, np.eye(DX), 0.1 * np.eye(DU), 10 * np.eye(DX))
    found = forward(dynamics, backward(dynamics, cost)[0], x0)
    np.testing.assert_allclose(found.mean[:, :DX], X, atol=1e-9)
    np.testing.assert_allclose(expected_cost(found, cost), 0.0, atol=1e-9)
    away = found._replace(mean=found.mean + 1.0)
    np.testing.assert_allclose(expected_cost(away, cost), [1.6] * T + [15.0], rtol=1e-9)
    with pytest.raises(InputError, match="Q has shape"):
        tracking_cost(X, U, np.eye(2), np.eye(DU))


def spoiled(problem, position, field, index, value):
    """Returns the arguments of the filter with one entry changed, of a tuple's field or of an
    array.
    """
    changed = list(problem)
    a = np.array(getattr(changed[position], field) if field else changed[position])
    a[index] = value
    changed[position] = changed[position]._replace(**{field: a}) if field else a
    return changed


@pytest.mark.parametrize(
    ("position", "field", "index", "value", "message"),
    [
        (0, "F", (1, 2, 0, 0), np.nan, r"dynamics\.F is nan at index \(1, 2, 0, 0\)"),
        (0, "cov", (0, 3, 0, 1), 9.0, r"dynamics\.cov at index \(0, 3\).*not symmetric"),
        (
            0,
            "cov",
            (1, 3),
            -np.eye(DX),
            r"dynamics\.cov at index \(1, 3\).*not positive semi-definite",
        ),
        (1, "H", (0, 5, 1, 2), np.inf, r"observation\.H is inf at index \(0, 5, 1, 2\)"),
        (1, "cov", (1, 5, 0, 1), 2.0, r"observation\.cov at index \(1, 5\).*not symmetric"),
        (
            1,
            "cov",
            (1, 4),
            -np.eye(DO),
            r"observation\.cov at index \(1, 4\).*not positive semi-definite",
        ),
        (2, "cov", (0,), -np.eye(DX), r"x0\.cov at index \(0,\).*not positive semi-definite"),
        (3, None, (0, 1, 1), np.nan, r"U is nan at index \(0, 1, 1\)"),
        (4, None, (1, 2, 0), np.inf, r"O is inf at index \(1, 2, 0\).*NaN for what is missing"),
    ],
)
def test_a_filter_names_the_bad_entry(position, field, index, value, message):
    problem = observed(np.random.default_rng(6), lead=(2,))
    with pytest.raises(InputError, match=message):
        kalman_filter(*spoiled(problem, position, field, index, value))


def test_a_filter_and_a_smoother_name_shapes_that_do_not_fit():
    dynamics, observation, x0, U, O = observed(np.random.default_rng(7), lead=(2,))
    filtered = kalman_filter(dynamics, observation, x0, U, O)
    with pytest.raises(InputError, match=r"observation\.H has shape .* x is 2; expected 3"):
        kalman_filter(dynamics, observation._replace(H=observation.H[..., :2]), x0, U, O)
    with pytest.raises(InputError, match=r"observation\.h has shape .* S is 5; expected 6"):
        kalman_filter(dynamics, observation._replace(h=observation.h[:, :T]), x0, U, O)
    with pytest.raises(InputError, match="leading axes do not broadcast"):
        kalman_filter(dynamics, observation, x0, U, np.zeros((3, T + 1, DO)))
    with pytest.raises(InputError, match=r"O .* expected"):
        kalman_filter(dynamics, observation, x0, U, O[..., :1])
    with pytest.raises(InputError, match="O is no array of real numbers"):
        kalman_filter(dynamics, observation, x0, U, "O")
    shorter = LinearGaussianDynamics(*(a[:, 1:] for a in dynamics))
    with pytest.raises(
        InputError, match=r"filtered\.mean has shape \(2, 6, 3\); expected \(2, 5, 3\)"
    ):
        rts_smoother(shorter, filtered)
    with pytest.raises(InputError, match=r"filtered\.mean has shape"):
        rts_smoother(LinearGaussianDynamics(*(np.stack([a] * 3) for a in dynamics)), filtered)
    bad = filtered.cov.copy()
    bad[1, 4] = -np.eye(DX)
    with pytest.raises(
        InputError, match=r"filtered\.cov at index \(1, 4\).*not positive semi-definite"
    ):
        rts_smoother(dynamics, filtered._replace(cov=bad))
    early = filtered.predicted._replace(mean=filtered.predicted.mean * np.nan)
    with pytest.raises(InputError, match=r"filtered\.predicted\.mean is nan at index \(0, 0, 0\)"):
        rts_smoother(dynamics, filtered._replace(predicted=early))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.full((T + 1, DX), np.nan)}, r"X is nan at index \(0, 0\)"),
        ({"U": np.zeros((T + 1, DU))}, r"X has shape \(6, 3\) and U \(6, 2\)"),
        ({"Q": np.triu(np.ones((DX, DX)))}, "Q is not as expected: not symmetric"),
        ({"Q": "heavy"}, "Q is no array of real numbers"),
        ({"Q_final": -np.eye(DX)}, "Q_final is not as expected: not positive semi-definite"),
        ({"Q_final": np.eye(2)}, r"Q_final has shape \(2, 2\); expected \(3, 3\)"),
        (
            {"R": np.stack([np.eye(DU)] * (T - 1) + [-np.eye(DU)])},
            r"R at index \(4,\).*not positive semi-definite",
        ),
        ({"R": np.full((DU, DU), np.inf)}, r"R is inf at index \(0, 0\)"),
        ({"R": np.ones(DU)}, r"R has shape \(2,\); expected square matrices"),
        (
            {"R": np.stack([np.eye(DU)] * (T + 1))},
            r"R has shape \(6, 2, 2\); expected \(2, 2\), or .* \(5, 2, 2\)",
        ),
    ],
)
def test_a_tracking_cost_names_what_is_wrong(change, message):
    good = {"X": np.zeros((T + 1, DX)), "U": np.zeros((T, DU)), "Q": np.eye(DX), "R": np.eye(DU)}
    with pytest.raises(InputError, match=message):
        tracking_cost(**(good | change))
