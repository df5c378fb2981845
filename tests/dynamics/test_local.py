"""Local models: recovered systems, the closed form of the regression, and data that are too few or
degenerate.
"""

import numpy as np
import pytest

from dynamics import (
    PRIORS,
    Ensemble,
    FlatPrior,
    Linearised,
    Network,
    NormalInverseWishart,
    fit_linear_gaussian,
    log_evidence,
    make_prior,
    posterior,
    regression,
)
from dynamics.local import MEAN_SHARE, STRENGTHS, with_share
from lqr import InputError, NumericalError

DX, DU, C, T = 3, 2, 2, 6
WORDS = [
    word for word in PRIORS if word != "simulator"
]  # that one needs a task, and is tested with its own


@pytest.fixture
def brief(monkeypatch):
    """Networks that are small and trained for a short time: for what does not depend on how well
    they learn.
    """
    monkeypatch.setitem(PRIORS, "nn", lambda: Linearised(Network(hidden=(16,), steps=60)))
    monkeypatch.setitem(PRIORS, "ensemble", lambda: Linearised(Ensemble(hidden=(16,), steps=60)))


def system(rng, C=C, T=T, dx=DX, du=DU):
    F = np.concatenate(
        [np.eye(dx) + 0.2 * rng.normal(size=(C, T, dx, dx)), rng.normal(size=(C, T, dx, du))], -1
    )
    return F, rng.normal(size=(C, T, dx))


def simulate(rng, F, f, N, noise=0.01, du=DU):
    C, T, dx, _ = F.shape
    x, u = np.zeros((C, N, T + 1, dx)), rng.normal(size=(C, N, T, du))
    x[:, :, 0] = rng.normal(size=(C, N, dx))
    for t in range(T):
        xu = np.concatenate([x[:, :, t], u[:, :, t]], -1)
        x[:, :, t + 1] = (
            np.einsum("cij,cnj->cni", F[:, t], xu)
            + f[:, None, t]
            + noise * rng.normal(size=(C, N, dx))
        )
    return x, u


def learned(word, x, u):
    prior = make_prior(word)
    prior.update(*flat(x, u))
    return prior


def flat(x, u):
    return (
        x[:, :, :-1].reshape(-1, x.shape[-1]),
        u.reshape(-1, u.shape[-1]),
        x[:, :, 1:].reshape(-1, x.shape[-1]),
    )


def held_out_error(fit, x, u):
    xu = np.concatenate([x[:, :, :-1], u], -1)
    guess = np.einsum("ctij,cntj->cnti", fit.dynamics.F, xu) + fit.dynamics.f[:, None]
    return np.sqrt(((guess - x[:, :, 1:]) ** 2).mean())


class Fixed:
    """A prior that always says the same about every step."""

    def __init__(self, mean, cov):
        self.mean, self.cov = mean, cov

    def update(self, x, u, xnext):
        pass

    def at(self, x, u, xnext):
        lead, d = x.shape[:2], len(self.mean)
        one = np.ones(lead)
        return NormalInverseWishart(
            np.tile(self.mean, (*lead, 1)), np.broadcast_to(self.cov, (*lead, d, d)), one, one
        )


@pytest.mark.parametrize("word", WORDS)
def test_a_known_linear_system_is_recovered_from_many_samples(word, brief):
    rng = np.random.default_rng(0)
    F, f = system(rng)
    x, u = simulate(rng, F, f, 2000, noise=0.05)
    fit = fit_linear_gaussian(x, u, learned(word, x, u))
    np.testing.assert_allclose(fit.dynamics.F, F, atol=0.03)
    np.testing.assert_allclose(fit.dynamics.f, f, atol=0.05)
    np.testing.assert_allclose(
        fit.dynamics.cov, np.broadcast_to(0.05**2 * np.eye(DX), (C, T, DX, DX)), atol=7e-4
    )


def test_with_a_prior_of_no_weight_the_fit_is_least_squares_with_an_intercept():
    rng = np.random.default_rng(1)
    x, u = simulate(rng, *system(rng), 12, noise=0.3)
    fit = fit_linear_gaussian(x, u, learned("flat", x, u), strength=1e-9, ridge=0.0)
    for c in range(C):
        for t in range(T):
            phi = np.concatenate([x[c, :, t], u[c, :, t], np.ones((12, 1))], -1)
            theta = np.linalg.lstsq(phi, x[c, :, t + 1], rcond=None)[0].T
            np.testing.assert_allclose(fit.dynamics.F[c, t], theta[:, :-1], atol=1e-5)
            np.testing.assert_allclose(fit.dynamics.f[c, t], theta[:, -1], atol=1e-5)


def test_the_fit_is_the_posteriors_conditional_written_out():
    rng = np.random.default_rng(2)
    x, u = simulate(rng, *system(rng), 4, noise=0.3)
    d, n, n0 = 2 * DX + DU, DX + DU, 2.0
    A = rng.normal(size=(d, d))
    mean, cov = rng.normal(size=d), A @ A.T + np.eye(d)
    fit = fit_linear_gaussian(x, u, Fixed(mean, cov), strength=n0, ridge=0.0)
    z = np.concatenate([x[:, :, :-1], u, np.diff(x, axis=2)], -1)[1, :, 3]  # condition 1, step 3
    G = np.linalg.solve(cov[:n, :n], cov[:n, n:]).T
    left = cov[n:, n:] - G @ cov[:n, n:]
    errors = []
    for share in (0.01, 0.1, 1.0):
        Phi = n0 * cov.copy()
        Phi[n:, n:] -= n0 * (1 - share) * left
        gap, m = z.mean(0) - mean, MEAN_SHARE * n0
        Phi += (z - z.mean(0)).T @ (z - z.mean(0)) + m * 4 / (m + 4) * np.outer(gap, gap)
        centre = (m * mean + z.sum(0)) / (m + 4)
        F = Phi[n:, :n] @ np.linalg.inv(Phi[:n, :n])
        W = (Phi[n:, n:] - F @ Phi[:n, n:]) / (n0 + 4)
        f = centre[n:] - F @ centre[:n]
        F[:, :DX] += np.eye(DX)
        found = zip((F, f, W), (a[1, 3] for a in fit.dynamics), strict=True)
        errors.append(max(np.abs(a - b).max() for a, b in found))
    assert min(errors) < 1e-9


def test_the_evidence_is_that_of_the_next_states_alone_given_states_and_actions():
    rng = np.random.default_rng(14)
    x, u = simulate(rng, *system(rng), 4, noise=0.3)
    d, n = 2 * DX + DU, DX + DU
    A = rng.normal(size=(d, d))
    prior = Fixed(rng.normal(size=d), A @ A.T + np.eye(d))
    z = np.concatenate([x[:, :, :-1], u, np.diff(x, axis=2)], -1)
    totals = []
    for share in (0.01, 0.1, 1.0):
        guess = prior.at(x[:, None, :, 0], u, x)
        one = NormalInverseWishart(guess.mean[0, 0], guess.Phi[0, 0], np.array(1.0), np.array(1.0))
        Phi, m = 2.0 * with_share(one, share, np.zeros(d), n), np.array(2.0 * MEAN_SHARE)
        before, total = NormalInverseWishart(one.mean, Phi, m, np.array(2.0)), 0.0
        for c in range(C):
            for t in range(T):
                here, gap = z[c, :, t], z[c, :, t] - z[c, :, t].mean(0)
                post = posterior(before, here.mean(0), gap.T @ gap, np.array(4.0))
                total += log_evidence(regression(before, DX), regression(post, DX))
        totals.append(total / (C * T * 4))
    assert fit_linear_gaussian(x, u, prior, strength=2.0, ridge=0.0).evidence == pytest.approx(
        max(totals)
    )


@pytest.mark.parametrize("samples", [1, 4])
def test_few_samples_of_many_coordinates_have_the_evidence_of_the_regressions(samples):
    rng, dx, du, T = np.random.default_rng(5), 30, 6, 3
    A = rng.normal(size=(2 * dx + du, 2 * dx + du))
    prior = Fixed(rng.normal(size=2 * dx + du), A @ A.T / len(A) + 0.1 * np.eye(len(A)))
    x = rng.normal(size=(1, samples, T + 1, dx))
    u = rng.normal(size=(1, samples, T, du))
    weight = rng.uniform(0.2, 1.0, size=(1, samples, T))
    fit = fit_linear_gaussian(x, u, prior, weight=weight, strength=2.0, ridge=0.0)
    cov, n = prior.cov.copy(), dx + du  # the residual has the share that was taken
    explained = cov[n:, :n] @ np.linalg.solve(cov[:n, :n], cov[:n, n:])
    cov[n:, n:] = explained + fit.share * (cov[n:, n:] - explained)
    before = NormalInverseWishart(prior.mean, 2.0 * cov, np.array(0.2), np.array(2.0))
    total = 0.0
    for t in range(T):
        z, w = (
            np.concatenate([x[0, :, t], u[0, :, t], x[0, :, t + 1] - x[0, :, t]], -1),
            weight[0, :, t],
        )
        mean = w @ z / w.sum()
        scatter = (w[:, None] * (z - mean)).T @ (z - mean)
        after = posterior(before, mean, scatter, w.sum())
        total += log_evidence(regression(before, dx), regression(after, dx))
    assert fit.evidence == pytest.approx(total / weight.sum(), rel=1e-9)


def test_the_strength_that_is_taken_is_the_one_with_the_greatest_evidence():
    rng = np.random.default_rng(3)
    x, u = simulate(rng, *system(rng), 5, noise=0.1)
    prior = learned("gmm", x, u)
    tried = {s: fit_linear_gaussian(x, u, prior, strength=s) for s in STRENGTHS}
    chosen = fit_linear_gaussian(x, u, prior)
    best = max(tried, key=lambda s: tried[s].evidence)
    assert (chosen.strength, chosen.evidence) == (best, tried[best].evidence)
    assert len({fit.evidence for fit in tried.values()}) == len(STRENGTHS)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("N", [1, 2, 4])
def test_few_samples_give_a_finite_usable_model(word, N):
    rng = np.random.default_rng(4)
    F, f = system(rng, T=12)
    x, u = simulate(rng, F, f, N)
    fit = fit_linear_gaussian(x, u, learned(word, x, u))
    assert all(np.isfinite(a).all() for a in fit.dynamics)
    assert np.linalg.eigvalsh(fit.dynamics.cov).min() > 0
    assert np.array_equal(fit.dynamics.cov, fit.dynamics.cov.swapaxes(-1, -2))
    assert np.abs(fit.dynamics.F).max() < 50
    assert held_out_error(fit, x, u) < x[:, :, 1:].std()


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("word", WORDS)
def test_duplicated_and_constant_columns_do_no_harm(word):
    rng = np.random.default_rng(5)
    F, f = system(rng)
    x, u = simulate(rng, F, f, 20)
    wide = np.concatenate(
        [x, x[..., :1], np.full((*x.shape[:-1], 1), 3.0)], -1
    )  # x_3 = x_0, x_4 = 3
    fit = fit_linear_gaussian(wide, u, learned(word, wide, u))
    assert all(np.isfinite(a).all() for a in fit.dynamics)
    xu = np.concatenate([wide[:, :, :-1], u], -1)
    guess = np.einsum("ctij,cntj->cnti", fit.dynamics.F, xu) + fit.dynamics.f[:, None]
    assert np.abs(guess[..., :3] - x[:, :, 1:]).max() < 0.5
    np.testing.assert_allclose(guess[..., 3], guess[..., 0], atol=0.02)
    np.testing.assert_allclose(guess[..., 4], 3.0, atol=0.02)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("word", WORDS)
def test_an_action_that_never_moves_does_no_harm(word):
    rng = np.random.default_rng(5)
    F, f = system(rng)
    x, u = simulate(rng, F, f, 20)
    u[..., 1] = 1.0  # saturated, and said so
    fit = fit_linear_gaussian(x, u, learned(word, x, u))
    assert np.isfinite(fit.dynamics.F).all()
    assert np.abs(fit.dynamics.F).max() < 50


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("word", WORDS)
def test_a_weight_of_zero_is_the_same_as_leaving_the_sample_out(word):
    rng = np.random.default_rng(6)
    x, u = simulate(rng, *system(rng), 9)
    prior = learned(word, x[:, :6], u[:, :6])
    weight = np.ones((C, 9, T))
    weight[:, 6:] = 0
    bad_x, bad_u = x.copy(), u.copy()
    bad_x[:, 6:], bad_u[:, 6:] = 1e7, np.nan
    without = fit_linear_gaussian(x[:, :6], u[:, :6], prior)
    with_zeros = fit_linear_gaussian(bad_x, bad_u, prior, weight=weight)
    for a, b in zip(without.dynamics, with_zeros.dynamics, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)
    assert with_zeros.evidence == pytest.approx(without.evidence)


def test_samples_that_are_not_used_do_not_pull_the_mixture_elsewhere():
    rng = np.random.default_rng(13)
    F, f = system(rng)
    x, u = (
        np.concatenate(a, 1)
        for a in zip(simulate(rng, F, f, 9), simulate(rng, -F, f, 9), strict=True)
    )
    x[:, :9] += 40.0  # two regions with different dynamics, far apart; the other one is around zero
    prior = learned("gmm", x, u)
    assert len(prior.weights) > 1
    weight = np.ones((C, 9, T))
    weight[:, 6:] = 0
    without = fit_linear_gaussian(x[:, :6], u[:, :6], prior)
    with_zeros = fit_linear_gaussian(x[:, :9], u[:, :9], prior, weight=weight)
    for a, b in zip(without.dynamics, with_zeros.dynamics, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("word", WORDS)
def test_the_order_of_the_samples_does_not_matter(word):
    rng = np.random.default_rng(7)
    x, u = simulate(rng, *system(rng), 8)
    prior, order = learned(word, x, u), rng.permutation(8)
    for a, b in zip(
        fit_linear_gaussian(x, u, prior).dynamics,
        fit_linear_gaussian(x[:, order], u[:, order], prior).dynamics,
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-8)


@pytest.mark.parametrize("word", WORDS)
def test_millimetres_instead_of_metres_do_not_change_the_prediction(word, brief):
    rng = np.random.default_rng(8)
    x, u = simulate(rng, *system(rng), 5, noise=0.05)
    unit = np.array([1000.0, 1.0, 1e-3])
    metres = fit_linear_gaussian(x, u, learned(word, x, u))
    others = fit_linear_gaussian(x * unit, u, learned(word, x * unit, u))
    assert others.strength == metres.strength
    into = np.concatenate([unit, np.ones(DU)])
    near = (
        1e-2 if word in ("gp", "ensemble") else 1e-6
    )  # these are found by an optimiser, to its tolerance
    np.testing.assert_allclose(
        others.dynamics.F * into / unit[:, None], metres.dynamics.F, atol=near
    )
    np.testing.assert_allclose(others.dynamics.f / unit, metres.dynamics.f, atol=near)
    np.testing.assert_allclose(
        others.dynamics.cov / np.outer(unit, unit), metres.dynamics.cov, atol=near
    )


def true_prior(F, f, noise, spread=1.0):
    """The joint Gaussian of [x; u; x' - x] of one time-invariant system."""
    n = F.shape[1]
    G = F.copy()
    G[:, :DX] -= np.eye(DX)
    cov = np.block(
        [[spread * np.eye(n), spread * G.T], [spread * G, spread * G @ G.T + noise**2 * np.eye(DX)]]
    )
    return Fixed(np.concatenate([np.zeros(n), f]), cov)


def test_a_right_prior_wins_over_few_samples_and_a_wrong_one_is_overruled_by_many():
    rng = np.random.default_rng(9)
    F, f = (a[0, 0] for a in system(rng))
    everywhere = np.broadcast_to(F, (C, T, *F.shape)), np.broadcast_to(f, (C, T, DX))
    test = simulate(rng, *everywhere, 200, noise=0.01)
    right, wrong = true_prior(F, f, 0.01), true_prior(-F, -f, 0.01)

    def fitted(N, prior):
        x, u = simulate(np.random.default_rng(N), *everywhere, N, noise=0.01)
        return fit_linear_gaussian(
            x, u, prior or learned("flat", x, u)
        )  # the strength is left to the evidence

    def error(N, prior):
        return held_out_error(fitted(N, prior), *test)

    assert error(2, right) < 0.011
    assert fitted(2, right).strength == STRENGTHS[-1]
    assert error(2, None) > 0.3
    assert error(2, wrong) > 0.3
    errors = [error(N, wrong) for N in (4, 10, 100)]
    assert errors[0] > 5 * errors[1]
    assert errors[2] < 0.011
    assert fitted(100, wrong).strength < 1


def test_a_share_of_the_residual_leaves_the_coefficients_and_scales_the_rest():
    rng = np.random.default_rng(10)
    A = rng.normal(size=(8, 8))
    cov, n = A @ A.T + np.eye(8), DX + DU
    guess = NormalInverseWishart(np.zeros(8), 3.0 * cov, np.array(1.0), np.array(3.0))
    whole, tenth = (with_share(guess, share, np.zeros(8), n) for share in (1.0, 0.1))
    np.testing.assert_allclose(whole, cov, atol=1e-10)
    a, b = (regression(guess._replace(Phi=Phi), DX) for Phi in (whole, tenth))
    np.testing.assert_allclose(a.F, b.F, atol=1e-10)
    np.testing.assert_allclose(0.1 * a.Psi, b.Psi, atol=1e-10)


def test_each_step_has_the_strength_that_the_prior_gives_it():
    rng = np.random.default_rng(15)
    x, u = simulate(rng, *system(rng), 4, noise=0.3)
    d = 2 * DX + DU
    A = rng.normal(size=(d, d))

    class Uneven(Fixed):
        def at(self, x, u, xnext):
            guess, relative = super().at(x, u, xnext), np.ones(x.shape[:2])
            relative[0, 2] = 5.0
            return guess._replace(Phi=relative[..., None, None] * guess.Phi, n0=relative)

    mean, cov = rng.normal(size=d), A @ A.T + np.eye(d)
    one, five = (fit_linear_gaussian(x, u, Fixed(mean, cov), strength=s) for s in (2.0, 10.0))
    uneven = fit_linear_gaussian(x, u, Uneven(mean, cov), strength=2.0)
    assert uneven.joint.n0[0, 2] == 10.0 + 4
    for a, b, c in zip(uneven.dynamics, one.dynamics, five.dynamics, strict=True):
        np.testing.assert_allclose(np.delete(a[0], 2, 0), np.delete(b[0], 2, 0), atol=1e-9)
        np.testing.assert_allclose(a[1], b[1], atol=1e-9)
        np.testing.assert_allclose(a[0, 2], c[0, 2], atol=1e-9)
        assert np.abs(a[0, 2] - b[0, 2]).max() > 1e-3


@pytest.mark.parametrize(
    ("x", "u"),
    [
        (np.zeros((2, 3, 7, 3)), np.zeros((2, 3, 7, 2))),
        (np.zeros((2, 0, 7, 3)), np.zeros((2, 0, 6, 2))),
        (np.zeros((2, 7, 3)), np.zeros((2, 6, 2))),
        (np.zeros((2, 3, 7, 3)), np.zeros((1, 3, 6, 2))),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, u):
    with pytest.raises(InputError, match="expected"):
        fit_linear_gaussian(x, u, FlatPrior())


def test_a_number_that_is_not_finite_is_refused():
    rng = np.random.default_rng(11)
    x, u = simulate(rng, *system(rng), 3)
    prior = learned("flat", x, u)
    x[1, 2, 4, 0] = np.inf
    with pytest.raises(InputError, match="weight 0"):
        fit_linear_gaussian(x, u, prior)


def test_arguments_are_not_changed():
    rng = np.random.default_rng(12)
    x, u = simulate(rng, *system(rng), 3)
    prior, kept = learned("gmm", x, u), (x.copy(), u.copy())
    fit_linear_gaussian(x, u, prior, weight=np.ones((C, 3, T)))
    assert np.array_equal(x, kept[0])
    assert np.array_equal(u, kept[1])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": 0.0}, "strength is 0.0; expected"),
        ({"strength": np.nan}, "strength is nan; expected"),
        ({"ridge": -1.0}, "ridge is -1.0; expected"),
        ({"weight": np.ones((C, T, 3))}, "weight of shape"),
        ({"weight": -np.ones((C, 3, T))}, "not below 0"),
        ({"weight": np.zeros((C, 3, T))}, "no step has a weight"),
    ],
)
def test_numbers_without_sense_are_refused(options, said):
    rng = np.random.default_rng(16)
    x, u = simulate(rng, *system(rng), 3)
    with pytest.raises(InputError, match=said):
        fit_linear_gaussian(x, u, learned("flat", x, u), **options)


def test_a_weight_between_zero_and_one_counts_as_a_share_of_a_sample():
    rng = np.random.default_rng(17)
    x, u = simulate(rng, *system(rng), 3, noise=0.3)
    d = 2 * DX + DU
    prior = Fixed(np.ones(d), np.eye(d))
    twice = fit_linear_gaussian(
        *(np.concatenate([a, a], 1) for a in (x, u)), prior, np.full((C, 6, T), 0.1), 1.0
    )
    once = fit_linear_gaussian(x, u, prior, np.full((C, 3, T), 0.2), 1.0)
    for a, b in zip(once.dynamics, twice.dynamics, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(once.samples, 0.6)


@pytest.mark.parametrize("word", WORDS)
def test_a_prior_that_has_seen_nothing_or_something_else_says_so(word):
    rng = np.random.default_rng(18)
    x, u = simulate(rng, *system(rng), 3)
    with pytest.raises(InputError, match="update it first"):
        fit_linear_gaussian(x, u, make_prior(word))
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match="not finite"):
            make_prior(word).update(np.full((2, DX), bad), np.zeros((2, DU)), np.zeros((2, DX)))
    with pytest.raises(InputError, match="M >= 1"):
        make_prior(word).update(np.zeros((0, DX)), np.zeros((0, DU)), np.zeros((0, DX)))


def test_a_users_prior_that_answers_nonsense_is_named():
    rng = np.random.default_rng(19)
    x, u = simulate(rng, *system(rng), 3)
    d = 2 * DX + DU
    with pytest.raises(InputError, match="prior Fixed gives mean, Phi, n0 of shapes"):
        fit_linear_gaussian(x, u, Fixed(np.zeros(3), np.eye(3)))
    with pytest.raises(InputError, match="prior Fixed gives a number that is not finite"):
        fit_linear_gaussian(x, u, Fixed(np.zeros(d), np.full((d, d), np.nan)))
    with pytest.raises(NumericalError, match="positive definite"):
        fit_linear_gaussian(x, u, Fixed(np.zeros(d), -np.eye(d)))
