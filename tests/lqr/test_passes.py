"""The two passes against dense algebra, sampling, Riccati's equation and a plain-NumPy twin."""

import numpy as np
import pytest
from problems import dense_optimum, joint, numpy_backward, random_controller, random_problem
from scipy.linalg import solve_discrete_are

from lqr import (
    Gaussian,
    InputError,
    LinearGaussianDynamics,
    NotPositiveDefinite,
    NumericalError,
    QuadraticCost,
    backward,
    entropy,
    expected_cost,
    forward,
    kl_divergence,
    negative_log_density,
)

SIZES = [(1, 1, 1), (1, 1, 7), (3, 2, 5), (2, 4, 6), (9, 3, 4), (26, 7, 5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_the_plan_and_its_value_are_those_of_one_dense_solve(size, seed):
    dynamics, cost, x0 = random_problem(np.random.default_rng(seed), *size)
    quiet = dynamics._replace(cov=np.zeros_like(dynamics.cov))
    controller, value = backward(quiet, cost)
    U, least = dense_optimum(quiet, cost, x0.mean)
    found = forward(quiet, controller, x0._replace(cov=0 * x0.cov)).mean
    np.testing.assert_allclose(found[:-1, size[0] :], U, rtol=1e-7, atol=1e-7)
    at_start = 0.5 * x0.mean @ value.V[0] @ x0.mean + value.v[0] @ x0.mean + value.const[0]
    assert at_start == pytest.approx(least, rel=1e-8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tau", [0.0, 0.7])
@pytest.mark.parametrize("batch", [1, 3])
def test_each_kernel_equals_its_numpy_twin(size, tau, batch):
    dynamics, cost, _ = random_problem(np.random.default_rng(1), *size, lead=(batch,))
    controller, value = backward(dynamics, cost, tau)
    for b in range(batch):
        one = [type(t)(*(field[b] for field in t)) for t in (dynamics, cost)]
        twin = numpy_backward(*one, tau)
        ours = [field[b] for field in controller] + [field[b, :-1] for field in value]
        for mine, expected in zip(ours, twin, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [*SIZES, (2, 9, 5), (7, 7, 3)])
def test_an_ill_conditioned_plan_is_stationary_in_the_dense_problem(size):
    dx, _, T = size
    for seed in range(10):
        rng = np.random.default_rng(100 + seed)
        dynamics, cost, x0 = random_problem(rng, *size)
        _, vectors = np.linalg.eigh(cost.C)
        C = (vectors * 10.0 ** rng.uniform(-6, 6, cost.c.shape)[:, None, :]) @ vectors.swapaxes(
            -1, -2
        )
        cost = cost._replace(C=0.5 * (C + C.swapaxes(-1, -2)))
        controller, _ = backward(dynamics, cost)
        quiet = dynamics._replace(cov=0 * dynamics.cov)
        xu = forward(
            quiet, controller._replace(cov=0 * controller.cov), x0._replace(cov=0 * x0.cov)
        ).mean
        slope = np.einsum("tij,tj->ti", cost.C, xu) + cost.c
        size_of = np.einsum("tij,tj->ti", abs(cost.C), abs(xu)) + abs(cost.c)
        costate, bound = slope[T, :dx], size_of[T, :dx]
        for t in range(
            T - 1, -1, -1
        ):  # the gradient of the total cost with respect to u_t, by the adjoint equation
            both = slope[t] + dynamics.F[t].T @ costate
            most = size_of[t] + abs(dynamics.F[t]).T @ bound
            assert (abs(both[dx:]) <= 1e-7 * most[dx:].max()).all()
            costate, bound = both[:dx], most[:dx]


def test_a_scalar_problem_has_the_textbook_gains():
    # x' = x + u, cost 1/2 (x^2 + u^2): V_t = (1 + 2 V) / (1 + V) backward from 1, a ratio of
    # Fibonacci numbers
    T = 6
    dynamics = LinearGaussianDynamics(np.ones((T, 1, 2)), np.zeros((T, 1)), np.zeros((T, 1, 1)))
    cost = QuadraticCost(np.tile(np.eye(2), (T + 1, 1, 1)), np.zeros((T + 1, 2)), np.zeros(T + 1))
    controller, value = backward(dynamics, cost)
    fibonacci = [1, 1]
    while len(fibonacci) < 2 * T + 3:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    V = [fibonacci[2 * i + 1] / fibonacci[2 * i] for i in range(T + 1)][::-1]
    np.testing.assert_allclose(value.V[:, 0, 0], V, rtol=1e-12)
    np.testing.assert_allclose(controller.K[:, 0, 0], [-w / (1 + w) for w in V[1:]], rtol=1e-12)


def test_a_long_horizon_reaches_the_algebraic_riccati_equation():
    rng = np.random.default_rng(2)
    A, B, T = np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([[0.0], [0.1]]), 400
    Q, R, N = np.eye(2), np.array([[0.5]]), 0.1 * rng.normal(size=(2, 1))
    C = np.block([[Q, N], [N.T, R]])
    dynamics = LinearGaussianDynamics(
        np.tile(np.hstack([A, B]), (T, 1, 1)), np.zeros((T, 2)), np.zeros((T, 2, 2))
    )
    _, value = backward(
        dynamics, QuadraticCost(np.tile(C, (T + 1, 1, 1)), np.zeros((T + 1, 3)), np.zeros(T + 1))
    )
    np.testing.assert_allclose(value.V[0], solve_discrete_are(A, B, Q, R, s=N), rtol=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_marginals_are_those_of_the_dense_joint_gaussian(size):
    rng = np.random.default_rng(3)
    dynamics, _, x0 = random_problem(rng, *size)
    controller = random_controller(rng, *size)
    dx, du, T = size
    mean, cov = joint(controller, dynamics, x0)
    found = forward(dynamics, controller, x0)
    for t in range(T + 1):
        at = slice(t * (dx + du), t * (dx + du) + (dx + du if t < T else dx))
        d = at.stop - at.start
        np.testing.assert_allclose(found.mean[t, :d], mean[at], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            found.cov[t, :d, :d], cov[at, at], rtol=1e-9, atol=1e-9 * abs(cov).max()
        )
    assert not found.mean[T, dx:].any()
    assert not found.cov[T, dx:].any()


def test_marginals_and_expected_cost_are_those_of_200_000_samples():
    rng = np.random.default_rng(4)
    dynamics, cost, x0 = random_problem(rng, T=3)
    controller = random_controller(rng, T=3)
    N = 200_000
    x, total, samples = rng.multivariate_normal(x0.mean, x0.cov, N), np.zeros(N), []
    for t in range(4):
        u = np.zeros((N, 2))
        if t < 3:
            u = (
                x @ controller.K[t].T
                + controller.k[t]
                + rng.multivariate_normal([0, 0], controller.cov[t], N)
            )
        xu = np.hstack([x, u])
        samples.append(xu)
        C, c, const = (field[t].copy() for field in cost)
        total += 0.5 * np.einsum("ni,ij,nj->n", xu, C, xu) + xu @ c + const
        if t < 3:
            x = (
                xu @ dynamics.F[t].T
                + dynamics.f[t]
                + rng.multivariate_normal(np.zeros(3), dynamics.cov[t], N)
            )
    found = forward(dynamics, controller, x0)
    for t, xu in enumerate(samples):
        spread = np.sqrt(np.diag(found.cov[t])) + 1e-12
        np.testing.assert_array_less(
            abs(xu.mean(0) - found.mean[t]) / spread, 5 / np.sqrt(N) + 1e-9
        )
        np.testing.assert_allclose(
            np.cov(xu.T) / np.outer(spread, spread),
            found.cov[t] / np.outer(spread, spread),
            atol=0.02,
        )
    assert expected_cost(found, cost).sum() == pytest.approx(
        total.mean(), abs=5 * total.std() / np.sqrt(N)
    )


def test_the_value_is_the_mean_cost_of_samples():
    rng, N = np.random.default_rng(14), 200_000
    dynamics, cost, x0 = random_problem(rng, T=4)
    controller, value = backward(dynamics, cost)
    x, total = np.tile(x0.mean, (N, 1)), np.zeros(N)
    for t in range(5):
        u = x @ controller.K[t].T + controller.k[t] if t < 4 else np.zeros((N, 2))
        xu = np.hstack([x, u])
        total += 0.5 * np.einsum("ni,ij,nj->n", xu, cost.C[t], xu) + xu @ cost.c[t] + cost.const[t]
        if t < 4:
            x = (
                xu @ dynamics.F[t].T
                + dynamics.f[t]
                + rng.multivariate_normal(np.zeros(3), dynamics.cov[t], N)
            )
    promised = 0.5 * x0.mean @ value.V[0] @ x0.mean + value.v[0] @ x0.mean + value.const[0]
    assert total.mean() == pytest.approx(promised, abs=4 * total.std() / np.sqrt(N))


@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_the_value_is_the_exact_expected_cost_less_the_entropy(tau):
    dynamics, cost, x0 = random_problem(np.random.default_rng(5))
    controller, value = backward(dynamics, cost, tau)
    moment = x0.cov + np.outer(x0.mean, x0.mean)
    expected = 0.5 * np.trace(value.V[0] @ moment) + value.v[0] @ x0.mean + value.const[0]
    entropies = np.linalg.slogdet(2 * np.pi * np.e * controller.cov)[1].sum() / 2 if tau else 0.0
    total = expected_cost(forward(dynamics, controller, x0), cost).sum()
    assert total - tau * entropies == pytest.approx(expected, rel=1e-10)


def test_a_step_without_a_minimum_is_named():
    dynamics, cost, _ = random_problem(np.random.default_rng(6), lead=(9,))
    cost.C[4, 2] -= 1e3 * np.eye(5)
    with pytest.raises(NotPositiveDefinite, match="step 2 of problem 4") as caught:
        backward(dynamics, cost)
    assert (caught.value.batch, caught.value.t) == (4, 2)


def test_any_leading_axes_give_the_answers_of_single_problems():
    dynamics, cost, x0 = random_problem(np.random.default_rng(7), lead=(2, 3))
    shared = LinearGaussianDynamics(*(field[0, 0] for field in dynamics))
    controller, _ = backward(shared, cost)
    assert controller.K.shape == (2, 3, 5, 2, 3)
    alone, _ = backward(shared, QuadraticCost(*(field[1, 2] for field in cost)))
    np.testing.assert_allclose(controller.K[1, 2], alone.K, rtol=1e-10)
    assert forward(shared, controller, x0).mean.shape == (2, 3, 6, 5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d, c, x: (d._replace(F=d.F[:, :, :-1]), c, x), "C"),
        (lambda d, c, x: (d._replace(f=d.f[:-1]), c, x), "f"),
        (lambda d, c, x: (d._replace(cov=d.cov - 5 * np.eye(3)), c, x), "cov"),
        (lambda d, c, x: (d, c._replace(C=c.C + np.triu(np.ones((5, 5)), 1)), x), "symmetric"),
        (
            lambda d, c, x: (d, c._replace(c=np.where(np.arange(6)[:, None] == 3, np.nan, c.c)), x),
            r"c is nan at index \(3, 0\)",
        ),
        (lambda d, c, x: (d, c._replace(c=c.c.astype(str)), x), "numbers"),
    ],
)
def test_bad_arguments_are_named_with_the_step_and_the_remedy(spoil, message):
    dynamics, cost, _ = spoil(*random_problem(np.random.default_rng(8)))
    with pytest.raises(InputError, match=message):
        backward(dynamics, cost)


def test_temperatures_that_are_none_are_named():
    dynamics, cost, _ = random_problem(np.random.default_rng(8))
    for temperature, message in (
        (-1.0, r"temperature is -1.0 at index \(\)"),
        (np.nan, "temperature is nan"),
        (
            np.array([1.0, 1, 1, -2, 1]),
            r"temperature is -2.0 at index \(3,\); expected finite numbers of at least 0",
        ),
        (np.ones(4), r"temperature has shape \(4,\); expected a number or \(5,\)"),
        ("warm", "no array of real numbers"),
    ):
        with pytest.raises(InputError, match=message):
            backward(dynamics, cost, temperature)


def test_costs_divergences_and_entropies_name_what_does_not_fit():
    rng = np.random.default_rng(15)
    dynamics, cost, x0 = random_problem(rng)
    p = random_controller(rng)
    marginals = forward(dynamics, p, x0)
    with pytest.raises(
        InputError,
        match=r"cost\.C has shape .* expected 6 as in distribution\.mean",
    ):
        expected_cost(marginals, QuadraticCost(*(field[:-1] for field in cost)))
    with pytest.raises(InputError, match=r"q\.K has shape .* x is 2; expected 3 as in p\.K"):
        kl_divergence(p, random_controller(rng, dx=2), marginals)
    mean = marginals.mean.copy()
    mean[2, 1] = np.nan
    with pytest.raises(InputError, match=r"under\.mean is nan at index \(2, 1\)"):
        kl_divergence(p, p, marginals._replace(mean=mean))
    flat = p.cov.copy()
    flat[3] = 0.0
    with pytest.raises(
        NotPositiveDefinite, match=r"q\.cov is singular at step 3 of problem 0; give it a floor"
    ):
        kl_divergence(p, p._replace(cov=flat), marginals)
    for function in (entropy, negative_log_density):
        with pytest.raises(NotPositiveDefinite, match="singular at step 3"):
            function(p._replace(cov=flat))
        with pytest.raises(InputError, match=r"controller\.cov at index \(0,\)"):
            function(p._replace(cov=-p.cov))
    with pytest.raises(InputError, match="weight is -1"):
        negative_log_density(p, -1.0)


@pytest.mark.parametrize("size", [(3, 2, 40), (9, 3, 40)])
def test_marginals_that_overflow_are_named_with_the_step(size):
    rng = np.random.default_rng(16)
    dynamics, _, x0 = random_problem(rng, *size, lead=(2,))
    controller = random_controller(rng, *size, lead=(2,))
    controller.K[1] *= 1e30
    with pytest.raises(
        NumericalError, match=r"overflows at step \d+ of problem 1; the closed loop is unstable"
    ):
        forward(dynamics, controller, x0)


def test_forward_refuses_a_covariance_that_is_none():
    dynamics, _, x0 = random_problem(np.random.default_rng(9))
    with pytest.raises(InputError, match=r"x0\.cov"):
        forward(dynamics, random_controller(np.random.default_rng(9)), Gaussian(x0.mean, -x0.cov))
