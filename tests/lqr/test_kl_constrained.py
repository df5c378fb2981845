"""KL-constrained LQR against the joint Gaussian, a general constrained optimiser, and conditions of
optimality.
"""

import numpy as np
import pytest
from problems import joint, random_controller, random_problem
from scipy.optimize import NonlinearConstraint, minimize

from lqr import (
    InputError,
    LinearGaussianController,
    NumericalError,
    entropy,
    expected_cost,
    forward,
    kl_divergence,
    minimise_cost_within_kl,
    minimise_cost_within_kl_per_step,
    negative_log_density,
)


def gaussian_kl(m0, S0, m1, S1):
    d = m1 - m0
    P = np.linalg.inv(S1)
    return 0.5 * (
        np.trace(P @ S0) + d @ P @ d - len(d) + np.linalg.slogdet(S1)[1] - np.linalg.slogdet(S0)[1]
    )


def objective(controller, dynamics, cost, x0, tau=0.0):
    return (
        expected_cost(forward(dynamics, controller, x0), cost).sum()
        - tau * entropy(controller).sum()
    )


def test_the_divergence_is_that_of_the_joint_gaussians():
    rng = np.random.default_rng(0)
    dynamics, _, x0 = random_problem(rng)
    p, q = random_controller(rng), random_controller(rng)
    expected = gaussian_kl(*joint(p, dynamics, x0), *joint(q, dynamics, x0))
    assert kl_divergence(p, q, forward(dynamics, p, x0)).sum() == pytest.approx(expected, rel=1e-8)


def test_the_entropy_and_the_negative_log_density_agree_with_each_other_and_the_formula():
    rng = np.random.default_rng(1)
    dynamics, _, x0 = random_problem(rng)
    p = random_controller(rng)
    formula = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * p.cov)[1]
    np.testing.assert_allclose(entropy(p), formula)
    mean_log = expected_cost(forward(dynamics, p, x0), negative_log_density(p))[:-1]
    np.testing.assert_allclose(mean_log, formula, rtol=1e-9)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_met_from_inside_within_the_tolerance_and_few_passes(epsilon, seed):
    rng = np.random.default_rng(seed)
    dynamics, cost, x0 = random_problem(rng)
    anchor = random_controller(rng)
    for tolerance, most in ((1e-3, 20), (1e-6, 20)):
        r = minimise_cost_within_kl(dynamics, cost, anchor, x0, epsilon, tolerance=tolerance)
        measured = kl_divergence(r.controller, anchor, forward(dynamics, r.controller, x0)).sum()
        assert epsilon * (1 - tolerance) - 1e-10 <= measured <= epsilon + 1e-10
        assert r.converged
        assert r.active
        assert r.passes <= most


@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_the_optimum_is_that_of_a_general_constrained_optimiser(tau):
    rng = np.random.default_rng(3)
    dynamics, cost, x0 = random_problem(rng, dx=1, du=1, T=2)
    anchor = random_controller(rng, dx=1, du=1, T=2)
    epsilon = 0.3

    def controller(z):
        return LinearGaussianController(
            z[:2].reshape(2, 1, 1), z[2:4].reshape(2, 1), np.exp(z[4:]).reshape(2, 1, 1)
        )

    def slack(z):
        p = controller(z)
        return epsilon - kl_divergence(p, anchor, forward(dynamics, p, x0)).sum()

    start = np.concatenate([anchor.K.ravel(), anchor.k.ravel(), np.log(anchor.cov.ravel())])
    found = minimize(
        lambda z: objective(controller(z), dynamics, cost, x0, tau), start, method="SLSQP",
        constraints={"type": "ineq", "fun": slack}, options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    r = minimise_cost_within_kl(dynamics, cost, anchor, x0, epsilon, tau, tolerance=1e-8)
    assert objective(r.controller, dynamics, cost, x0, tau) == pytest.approx(found.fun, rel=1e-5)
    ours = np.concatenate(
        [r.controller.K.ravel(), r.controller.k.ravel(), np.log(r.controller.cov.ravel())]
    )
    np.testing.assert_allclose(ours, found.x, atol=3e-3)
    assert abs(slack(ours)) < 1e-6  # complementary slackness: eta > 0 and no slack
    assert r.eta > 0


def test_an_inactive_bound_is_recognised_in_one_pass():
    rng = np.random.default_rng(4)
    dynamics, cost, x0 = random_problem(rng)
    r = minimise_cost_within_kl(dynamics, cost, random_controller(rng), x0, 1e6, temperature=1.0)
    assert (bool(r.active), bool(r.converged), int(r.passes), float(r.eta)) == (False, True, 1, 0.0)


def test_a_cost_without_a_minimum_is_solved_near_the_anchor_and_stays_within_the_bound():
    rng = np.random.default_rng(5)
    dynamics, cost, x0 = random_problem(rng)
    hollow = cost._replace(C=cost.C - 3 * np.eye(5))
    anchor = random_controller(rng)
    r = minimise_cost_within_kl(dynamics, hollow, anchor, x0, 2.0)
    assert 2 * (1 - 1e-3) <= r.kl <= 2
    assert r.passes <= 20
    assert objective(r.controller, dynamics, hollow, x0) < objective(anchor, dynamics, hollow, x0)


def test_a_batch_gives_the_answers_of_single_problems():
    rng = np.random.default_rng(6)
    dynamics, cost, x0 = random_problem(rng, lead=(2, 5))
    anchor, epsilon = random_controller(rng, lead=(2, 5)), rng.uniform(0.1, 3, (2, 5))
    r = minimise_cost_within_kl(dynamics, cost, anchor, x0, epsilon, tolerance=1e-7)
    one = [type(t)(*(field[1, 3] for field in t)) for t in (dynamics, cost, anchor, x0)]
    alone = minimise_cost_within_kl(*one, epsilon[1, 3], tolerance=1e-7)
    np.testing.assert_allclose(r.controller.K[1, 3], alone.controller.K, rtol=1e-5, atol=1e-6)
    assert r.kl.shape == (2, 5)


@pytest.mark.parametrize("tau", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_each_step_keeps_its_own_bound_and_is_stationary(tau, seed):
    rng = np.random.default_rng(seed)
    dynamics, cost, x0 = random_problem(rng)
    anchor, epsilon = random_controller(rng), rng.uniform(0.1, 2, 5)
    r = minimise_cost_within_kl_per_step(dynamics, cost, anchor, x0, epsilon, tau)
    kl = kl_divergence(r.controller, anchor, forward(dynamics, r.controller, x0))
    assert r.converged
    assert (kl <= epsilon + 1e-9).all()
    slack = epsilon - kl
    assert ((slack < 2e-3 * epsilon) | (r.eta < 1e-3)).all()

    def lagrangian(z):
        p = LinearGaussianController(
            z[:30].reshape(5, 2, 3), z[30:].reshape(5, 2), r.controller.cov
        )
        divergence = kl_divergence(p, anchor, forward(dynamics, p, x0))
        return objective(p, dynamics, cost, x0, tau) + (r.eta * divergence).sum()

    z = np.concatenate([r.controller.K.ravel(), r.controller.k.ravel()])
    gradient = [(lagrangian(z + h) - lagrangian(z - h)) / 2e-5 for h in 1e-5 * np.eye(40)]
    np.testing.assert_allclose(gradient, 0.0, atol=1e-4 * (1 + abs(lagrangian(z))))


@pytest.mark.parametrize("tau", [0.0, 0.3, 30.0])
def test_the_bounds_per_step_are_all_met_in_hard_random_problems(tau):
    sizes = ((3, 2, 5), (2, 4, 6), (1, 1, 6), (9, 3, 4))
    for seed in range(60):
        rng = np.random.default_rng(900 + seed)
        dx, du, T = sizes[seed % 4]
        dynamics, cost, x0 = random_problem(rng, dx, du, T)
        if seed % 3 == 1:
            cost = cost._replace(C=cost.C - 2 * np.eye(dx + du))
        elif seed % 3 == 2:
            cost = type(cost)(*(10 ** rng.uniform(-4, 4) * field for field in cost))
        anchor = random_controller(rng, dx, du, T, std=10 ** rng.uniform(-1, 1))
        epsilon = 10 ** rng.uniform(-2, 1.5, T)
        r = minimise_cost_within_kl_per_step(dynamics, cost, anchor, x0, epsilon, tau)
        kl = kl_divergence(r.controller, anchor, forward(dynamics, r.controller, x0))
        assert r.converged, seed
        assert (kl <= epsilon * (1 + 1e-7)).all(), seed
        assert ((kl >= epsilon * (1 - 1.001e-3)) | (r.eta < 1e-5 * tau)).all(), (
            seed
        )  # complementary slackness


def test_a_search_that_starts_far_away_where_the_divergence_is_flat_arrives_in_few_passes():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        size = ((1, 1, 1), (2, 4, 6), (9, 3, 4))[seed % 3]
        dynamics, cost, x0 = random_problem(rng, *size)
        anchor, epsilon = random_controller(rng, *size), 10 ** rng.uniform(-3, 2.5)
        for eta in (1e-14, 1.0, 1e14):
            r = minimise_cost_within_kl(dynamics, cost, anchor, x0, epsilon, eta=eta)
            assert r.converged, (seed, eta)
            assert r.passes <= 20, (seed, eta)


def test_bounds_per_step_are_met_from_a_first_guess_where_the_divergence_is_all_rounding():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        size = ((1, 3, 4), (3, 2, 5), (9, 3, 4))[seed % 3]
        dynamics, cost, x0 = random_problem(rng, *size)
        anchor, epsilon = random_controller(rng, *size), 10 ** rng.uniform(-2, 1.5, size[2])
        for eta in (1e-14, 1e14):
            r = minimise_cost_within_kl_per_step(dynamics, cost, anchor, x0, epsilon, eta=eta)
            kl = kl_divergence(r.controller, anchor, r.distribution)
            assert r.converged, (seed, eta)
            assert r.passes <= 100, (seed, eta)
            np.testing.assert_array_less(kl, epsilon * (1 + 1e-7))
            np.testing.assert_array_less(epsilon * (1 - 1.001e-3), kl)


def test_a_search_cut_short_says_so_and_keeps_its_bounds():
    rng = np.random.default_rng(10)
    dynamics, cost, x0 = random_problem(rng)
    anchor = random_controller(rng)
    for solve in (minimise_cost_within_kl, minimise_cost_within_kl_per_step):
        r = solve(dynamics, cost, anchor, x0, 0.1, eta=1e4, max_passes=2)
        assert not r.converged
        assert (
            kl_divergence(r.controller, anchor, forward(dynamics, r.controller, x0)) <= 0.1
        ).all()


@pytest.mark.filterwarnings("ignore:delta_grad")  # SciPy's, where it stands still
def test_the_optimum_of_a_larger_problem_is_that_of_trust_constr():
    rng = np.random.default_rng(11)
    dx, du, T, epsilon = 2, 1, 2, 0.5
    dynamics, cost, x0 = random_problem(rng, dx, du, T)
    anchor = random_controller(rng, dx, du, T)

    def controller(z):
        return LinearGaussianController(
            z[:4].reshape(2, 1, 2), z[4:6].reshape(2, 1), np.exp(z[6:]).reshape(2, 1, 1)
        )

    def divergence(z):
        p = controller(z)
        return kl_divergence(p, anchor, forward(dynamics, p, x0)).sum()

    start = np.concatenate([anchor.K.ravel(), anchor.k.ravel(), np.log(anchor.cov.ravel())])
    found = minimize(
        lambda z: objective(controller(z), dynamics, cost, x0), start, method="trust-constr",
        constraints=NonlinearConstraint(divergence, -np.inf, epsilon), options={"gtol": 1e-6, "xtol": 1e-8},
    )  # fmt: skip
    r = minimise_cost_within_kl(dynamics, cost, anchor, x0, epsilon, tolerance=1e-8)
    assert objective(r.controller, dynamics, cost, x0) == pytest.approx(found.fun, rel=1e-5)
    assert float(r.eta) == pytest.approx(float(found.v[0][0]), rel=1e-2)  # the multiplier too


def test_an_active_bound_with_entropy_is_told_from_an_inactive_one():
    rng = np.random.default_rng(12)
    dynamics, cost, x0 = random_problem(rng)
    anchor = random_controller(rng)
    free = minimise_cost_within_kl(dynamics, cost, anchor, x0, 1e6, temperature=1.0)
    for factor, active in ((0.999, True), (1.001, False)):
        r = minimise_cost_within_kl(
            dynamics, cost, anchor, x0, factor * float(free.kl), temperature=1.0
        )
        assert bool(r.active) is active
        assert (r.eta > 0) == active
        assert active or r.passes <= 2


@pytest.mark.parametrize("solve", [minimise_cost_within_kl, minimise_cost_within_kl_per_step])
@pytest.mark.parametrize("size", [(3, 2, 5), (9, 3, 4)])
def test_fields_that_do_not_fit_are_named_with_their_place(solve, size):
    rng = np.random.default_rng(13)
    dynamics, cost, x0 = random_problem(rng, *size)
    anchor = random_controller(rng, *size)
    good = {"anchor": anchor, "dynamics": dynamics, "cost": cost, "x0": x0, "epsilon": 1.0}
    holed = anchor.K.copy()
    holed[2, 1, 0] = np.inf
    skew, negative = cost.C.copy(), x0.cov.copy()
    skew[3, 0, 1] += 1.0
    negative[0, 0] = -1.0
    for name, value, message in (
        (
            "anchor",
            anchor._replace(K=anchor.K[:, :, :-1]),
            r"anchor\.K has shape .* as in dynamics\.F",
        ),
        (
            "anchor",
            anchor._replace(K=holed),
            r"anchor\.K is inf at index \(2, 1, 0\)",
        ),
        (
            "anchor",
            anchor._replace(cov=-anchor.cov),
            r"anchor\.cov at index \(0,\).*semi-definite",
        ),
        (
            "dynamics",
            dynamics._replace(f=dynamics.f + 1j),
            r"dynamics\.f is no array of real numbers",
        ),
        ("cost", cost._replace(C=skew), r"cost\.C at index \(3,\).*not symmetric; use"),
        ("cost", cost._replace(const=cost.const[:-1]), r"cost\.const has shape"),
        (
            "x0",
            x0._replace(cov=negative),
            r"x0\.cov is not as expected: not positive semi-definite; raise",
        ),
        ("x0", x0._replace(mean=np.zeros((2, 3, size[0]))), None),
        ("epsilon", -1.0, r"epsilon is -1\.0 at index"),
    ):
        if message is None:
            assert solve(**{**good, name: value}).kl.shape == (2, 3)
            continue
        with pytest.raises(InputError, match=message):
            solve(**{**good, name: value})
    with pytest.raises(InputError, match="eta is 0"):
        solve(**good, eta=0.0)
    with pytest.raises(InputError, match="broadcast"):
        solve(
            **{
                **good,
                "x0": type(x0)(*(np.stack([a] * 2) for a in x0)),
                "cost": type(cost)(*(np.stack([a] * 3) for a in cost)),
            }
        )


@pytest.mark.parametrize("epsilon", [0.0, -1.0, np.nan])
def test_a_bound_that_is_not_positive_is_refused(epsilon):
    rng = np.random.default_rng(7)
    dynamics, cost, x0 = random_problem(rng)
    with pytest.raises(InputError, match="epsilon is"):
        minimise_cost_within_kl(dynamics, cost, random_controller(rng), x0, epsilon)


def test_a_singular_anchor_is_named():
    rng = np.random.default_rng(8)
    dynamics, cost, x0 = random_problem(rng)
    anchor = random_controller(rng)
    with pytest.raises(NumericalError, match="singular"):
        minimise_cost_within_kl(dynamics, cost, anchor._replace(cov=0 * anchor.cov), x0, 1.0)
