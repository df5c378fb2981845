"""Planners on problems whose optimum is known, and their updates against the papers' formulas."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import truncnorm

from agents.planners import (
    CEM,
    CMAES,
    ICEM,
    ILQR,
    MPPI,
    PLANNERS,
    Gradient,
    Objective,
    RandomShooting,
    RewardWeighted,
)
from agents.planners.cem import truncated_normal
from agents.planners.icem import coloured
from agents.planners.models import LocalModel
from agents.planners.mppi import filtered, weights
from lqr import InputError, LinearGaussianDynamics, NumericalError, Quadratic, backward, shift

LOW, HIGH = np.array([-1.0, -2.0]), np.array([1.0, 3.0])
EMPTY = np.zeros((0, 4, 2))


class Bowl:
    """1/2 (u - best)' H (u - best) over u (4, 2), rotated, with its slope."""

    def __init__(self, condition, seed=0):
        rng = np.random.default_rng(seed)
        rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
        self.H = rotation @ np.diag(np.geomspace(1.0, condition, 8)) @ rotation.T
        self.best = rng.uniform(0.6 * LOW, 0.6 * HIGH, size=(4, 2))

    def __call__(self, U):
        d = (U - self.best).reshape(len(U), -1)
        return 0.5 * np.einsum("ni,ij,nj->n", d, self.H, d)

    def gradient(self, U):
        d = (U - self.best).reshape(len(U), -1)
        return self(U), (d @ self.H).reshape(U.shape)


class Line(Bowl):
    """The same as an objective of a linear world, so that every planner may be asked: x' = x + B u,
    cost of x_H.
    """

    def __init__(self):
        super().__init__(1.0)
        F = np.concatenate([np.tile(np.eye(2), (6, 1, 1)), np.tile(0.5 * np.eye(2), (6, 1, 1))], -1)
        self.F, self.x0 = F, np.array([1.0, -1.0])
        self.cost = Quadratic(np.diag([1.0, 2.0, 0.1, 0.1]))

    def step(self, x, u, t):
        return x + 0.5 * u

    def jacobian(self, X, U):
        return np.broadcast_to(self.F[0], (*X.shape, 4))

    def steps(self, horizon):
        return horizon

    def roll(self, U):
        X = [np.broadcast_to(self.x0, (len(U), 2))]
        for t in range(U.shape[1]):
            X.append(self.step(X[-1], U[:, t], t))
        return np.stack(X, 1)

    def __call__(self, U):
        return self.cost(self.roll(U), U).sum(-1)

    def gradient(self, U):
        h = 1e-5
        slope = np.empty(U.shape)
        for index in np.ndindex(*U.shape[1:]):
            move = np.zeros(U.shape)
            move[(slice(None), *index)] = h
            slope[(slice(None), *index)] = (self(U + move) - self(U - move)) / (2 * h)
        return self(U), slope


ALL = {word: kind() for word, kind in PLANNERS.items()}


@pytest.fixture(params=ALL)
def planner(request):
    if request.param == "cma":
        pytest.importorskip("cmaes")
    return ALL[request.param]


# what every planner must do


def test_its_plan_is_better_than_random_and_within_limits(planner):
    line, start = Line(), np.zeros((0, 6, 2))
    plan = planner(line, start, LOW, HIGH, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    assert line(plan.U[None])[0] < np.percentile(line(rng.uniform(LOW, HIGH, size=(1000, 6, 2))), 1)
    assert plan.U.shape == (6, 2)
    assert (plan.U >= LOW).all()
    assert (plan.U <= HIGH).all()
    assert (plan.warm_starts >= LOW).all()
    assert (plan.warm_starts <= HIGH).all()
    assert plan.warm_starts.shape[1:] == (6, 2)
    assert plan.evaluations > 0
    assert plan.trace.min() == pytest.approx(plan.cost)


def test_the_count_is_that_of_the_sequences_it_asked_for(planner):
    line, asked = Line(), []

    class Counted(Line):
        def __call__(self, U):
            asked.append(len(U))
            return line(U)

        def gradient(self, U):
            asked.append(len(U))
            return line.gradient(U)

    plan = planner(Counted(), np.zeros((0, 6, 2)), LOW, HIGH, np.random.default_rng(0))
    if not isinstance(planner, ILQR):  # it never asks for a price: its count is of backward sweeps
        assert plan.evaluations == sum(asked)


def test_the_same_generator_gives_the_same_plan_and_its_arguments_are_left_alone(planner):
    start = np.random.default_rng(2).uniform(LOW, HIGH, size=(3, 6, 2))
    kept = start.copy()
    first, second = (planner(Line(), start, LOW, HIGH, np.random.default_rng(0)) for _ in range(2))
    np.testing.assert_array_equal(first.U, second.U)
    np.testing.assert_array_equal(start, kept)


def test_a_good_start_helps_or_does_no_harm(planner):
    line = Line()
    rng = np.random.default_rng(0)
    first = planner(line, np.zeros((0, 6, 2)), LOW, HIGH, rng)
    again = planner(line, first.warm_starts, LOW, HIGH, rng)
    slack = 0.3 if isinstance(planner, RandomShooting) else 0.02
    assert line(again.U[None])[0] <= line(first.U[None])[0] * (1 + slack)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_cost_that_is_not_finite_is_the_worst_and_moves_no_plan(planner, bad):
    line = Line()

    class Broken(Line):
        def __call__(self, U):
            return np.where(
                U[:, 0, 0] < 0.0, bad, -1000 + line(U)
            )  # costs below 0, so that 0 would be bad

        def gradient(self, U):
            cost, slope = line.gradient(U)
            return np.where(U[:, 0, 0] < 0.0, bad, -1000 + cost), slope

        def step(self, x, u, t):  # iterative LQR follows the model's own trajectories
            return np.where((t == 0) & (u[..., :1] < 0.0), bad, super().step(x, u, t))

    plan = planner(Broken(), np.zeros((0, 6, 2)), LOW, HIGH, np.random.default_rng(0))
    assert np.isfinite(plan.cost)
    assert plan.U[0, 0] >= -1e-12
    assert np.isfinite(plan.U).all()


def test_iterative_lqr_goes_on_from_the_starts_that_do_not_break_the_model():
    class Broken(Line):
        worst = -0.02

        def step(self, x, u, t):
            return np.where((t == 2) & (u[..., :1] < self.worst), np.nan, super().step(x, u, t))

    line, rng = Broken(), np.random.default_rng(0)
    plan = ILQR(8)(line, np.zeros((0, 6, 2)), LOW, HIGH, rng)
    whole = ILQR(1)(Line(), np.zeros((0, 6, 2)), LOW, HIGH, rng)
    assert plan.cost >= whole.cost
    assert np.isfinite(plan.U).all()
    assert plan.U[2, 0] >= -0.02
    line.worst = 2.0
    with pytest.raises(NumericalError, match="no start has a finite cost"):
        ILQR(8)(line, np.zeros((0, 6, 2)), LOW, HIGH, rng)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "search",
    [CEM(60, 40, 1), ICEM(60, 40, 1), MPPI(60), RewardWeighted(60)],
    ids=lambda s: type(s).__name__,
)
def test_where_few_costs_are_finite_these_alone_make_the_plan(search, bad):
    found = []

    def few(U):
        cost = np.full(len(U), bad)
        cost[3:6] = Line()(U[3:6])
        found.append(U[3:6])
        return cost

    plan = search(few, np.zeros((1, 6, 2)), LOW, HIGH, np.random.default_rng(0))
    mean = plan.warm_starts[0]
    smoothing = getattr(search, "smoothing", 0.0)
    assert (mean >= (1 - smoothing) * found[0].min(0) - 1e-12).all()
    assert (mean <= (1 - smoothing) * found[0].max(0) + 1e-12).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_where_nothing_is_finite_it_says_so(planner, bad):
    class Broken(Line):
        def __call__(self, U):
            return np.full(len(U), bad)

        def gradient(self, U):
            return np.full(len(U), bad), np.zeros(U.shape)

        def step(self, x, u, t):
            return np.full(x.shape, bad)

    with pytest.raises(NumericalError, match="finite cost"):
        planner(Broken(), np.zeros((0, 6, 2)), LOW, HIGH, np.random.default_rng(0))


@pytest.mark.parametrize("limits", [(LOW, LOW), (LOW, HIGH[:1]), (LOW, np.array([np.inf, 1.0]))])
def test_limits_that_are_no_box_are_refused(planner, limits):
    with pytest.raises(InputError, match="finite limits"):
        planner(Line(), np.zeros((0, 6, 2)), *limits, np.random.default_rng(0))


def test_costs_do_not_depend_on_how_many_are_priced_together(monkeypatch):
    F, rng = np.array([[1, 0.3, 0.05], [0, 1, 0.3]]), np.random.default_rng(0)
    dynamics = LinearGaussianDynamics(np.tile(F, (8, 1, 1)), np.zeros((8, 2)), np.zeros((8, 2, 2)))
    price = Objective(
        LocalModel(dynamics),
        Quadratic(np.diag([2.0, 0.3, 0.2])),
        np.array([1.0, 0.5]),
        0,
        8,
        8,
        rng,
    )
    U = rng.normal(size=(7, 8, 1))
    whole = price(U)
    monkeypatch.setattr(
        "agents.planners.objective.AT_ONCE", 3 * 9 * 2
    )  # three at once, and one at the end
    np.testing.assert_allclose(price(U), whole, rtol=1e-12)


# bowls


@pytest.mark.parametrize(
    ("search", "condition", "gap"),
    [
        (RandomShooting(20_000), 1.0, 0.6),
        (CEM(400, 40, 30), 1.0, 1e-3),
        (CEM(400, 40, 40), 10.0, 1e-3),
        (CEM(400, 40, 30, truncated=False, best=True), 1.0, 1e-3),
        (ICEM(600, 60, 60, shrink=1.0, colour=0.0, smoothing=0.5), 30.0, 1e-2),
        (MPPI(400, std=0.15, iterations=80), 1.0, 0.05),
        (RewardWeighted(400, beta=1.0, std=0.15, iterations=80), 1.0, 0.05),
        (CMAES(4000), 1e4, 1e-6),
        (Gradient(2, 200), 1.0, 1e-4),
        (Gradient(2, 800), 100.0, 1e-2),
    ],
)
def test_the_bottom_of_a_bowl_is_found(search, condition, gap):
    if isinstance(search, CMAES):
        pytest.importorskip("cmaes")
    bowl = Bowl(condition)
    for seed in range(2):
        plan = search(bowl, EMPTY, LOW, HIGH, np.random.default_rng(seed))
        assert bowl(plan.U[None])[0] < gap


def test_a_bottom_outside_the_limits_is_met_at_the_limit():
    bowl = Bowl(1.0)
    bowl.best = np.tile([5.0, 0.0], (4, 1))
    for search in (CEM(400, 40, 40), Gradient(2, 200)):
        plan = search(bowl, EMPTY, LOW, HIGH, np.random.default_rng(0))
        np.testing.assert_allclose(plan.U[:, 0], 1.0, atol=0.02)


def test_above_fifty_dimensions_the_covariance_is_diagonal_and_restarts_double_the_population():
    pytest.importorskip("cmaes")
    from cmaes import CMA, SepCMA

    from agents.planners.cma import _search

    rng = np.random.default_rng(0)
    assert isinstance(_search(np.zeros(50), 0.3, None, rng), CMA)
    assert isinstance(_search(np.zeros(51), 0.3, None, rng), SepCMA)
    sizes = []

    def flat(U):  # converges at once, so that it starts again and again
        sizes.append(len(U))
        return np.zeros(len(U))

    CMAES(3000)(flat, EMPTY, LOW, HIGH, rng)
    kinds = sorted(set(sizes))
    assert len(kinds) > 1
    assert all(b == 2 * a for a, b in pairwise(kinds))


# against LQR


@pytest.mark.parametrize(
    "search",
    [
        CEM(400, 40, 40),
        CMAES(6000),
        Gradient(1, 300),
        ILQR(1, 5),
        MPPI(1000, 0.002, 0.05, iterations=60),
    ],
    ids=["cem", "cma", "gradient", "ilqr", "mppi"],
)
def test_on_a_linear_system_the_cost_is_that_of_lqr(search):
    if isinstance(search, CMAES):
        pytest.importorskip("cmaes")
    dt, T = 0.3, 8
    F = np.array([[1, dt, 0.5 * dt**2], [0, 1, dt]])
    dynamics = LinearGaussianDynamics(np.tile(F, (T, 1, 1)), np.zeros((T, 2)), np.zeros((T, 2, 2)))
    cost, x0 = Quadratic(np.diag([2.0, 0.3, 0.2])), np.array([1.0, 0.5])
    expansion = cost.expand(np.zeros((T + 1, 2)), np.zeros((T, 1)))
    _, value = backward(dynamics, expansion)
    optimum = 0.5 * x0 @ value.V[0] @ x0 + value.v[0] @ x0 + value.const[0]

    objective = Objective(LocalModel(dynamics), cost, x0, 0, T, T, np.random.default_rng(0))
    low, high = np.array([-8.0]), np.array([8.0])  # no limit is met at the optimum
    plan = search(objective, np.zeros((0, T, 1)), low, high, np.random.default_rng(1))
    assert objective(plan.U[None])[0] == pytest.approx(optimum, rel=0.01)


# against their formulas


def test_cem_refits_to_the_elites_and_smooths():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(4, 2))
    var = rng.uniform(size=(4, 2))
    elites = rng.normal(size=(10, 4, 2))
    new, spread = CEM(smoothing=0.25).fit_elites(mean, var, elites)
    np.testing.assert_allclose(new, 0.25 * mean + 0.75 * sum(elites) / 10)
    second = sum((e - sum(elites) / 10) ** 2 for e in elites) / 10
    np.testing.assert_allclose(spread, 0.25 * var + 0.75 * second)


def test_cem_takes_the_cheapest_as_elites():
    seen = []

    def objective(U):
        seen.append(U)
        return (U**2).sum((1, 2))

    plan = CEM(50, 5, 1, smoothing=0.0)(objective, EMPTY, LOW, HIGH, np.random.default_rng(0))
    order = np.argsort((seen[0] ** 2).sum((1, 2)))
    np.testing.assert_allclose(plan.U, seen[0][order[:5]].mean(0))


def test_truncated_draws_have_the_moments_of_the_truncated_normal():
    z = truncated_normal(np.random.default_rng(0), (200_000,))
    assert np.abs(z).max() <= 2.0
    assert z.mean() == pytest.approx(0.0, abs=0.01)
    assert z.var() == pytest.approx(truncnorm(-2, 2).var(), rel=0.01)


@pytest.mark.parametrize(("colour", "H"), [(0.0, 30), (1.0, 30), (2.0, 31), (3.0, 12)])
def test_coloured_noise_has_unit_variance_and_its_spectrum(colour, H):
    noise = coloured(np.random.default_rng(0), colour, (20_000, H, 1))[..., 0]
    np.testing.assert_allclose(noise.var(0), 1.0, rtol=0.06)
    power = (np.abs(np.fft.rfft(noise, axis=1)) ** 2).mean(0)
    f = np.fft.rfftfreq(H)
    inner = slice(1, len(f) - 1)
    slope = np.polyfit(np.log(f[inner]), np.log(power[inner]), 1)[0]
    assert slope == pytest.approx(-colour, abs=0.05)


def test_icem_keeps_elites_across_steps_and_prices_the_mean_last():
    sizes, seen = [], []

    def objective(U):
        sizes.append(len(U))
        seen.append(U)
        return ((U - 0.5) ** 2).sum((1, 2))

    search, rng = ICEM(40, 10, 3, shrink=1.25, share=0.3), np.random.default_rng(0)
    plan = search(objective, EMPTY, LOW, HIGH, rng)
    assert sizes == [
        40,
        32 + 3,
        26 + 3 + 1,
    ]  # 40 / 1.25^i, elites kept, and the mean in the last iteration
    assert len(plan.warm_starts) == 4  # the mean and three elites
    search(objective, shift(plan.warm_starts), LOW, HIGH, rng)
    assert sizes[3] == 43
    np.testing.assert_array_equal(seen[3][40:], shift(plan.warm_starts)[1:])


def test_icem_refits_mean_and_deviation_to_the_elites_but_for_the_share_of_smoothing():
    seen = []

    def objective(U):
        seen.append(U)
        return ((U - 0.3) ** 2).sum((1, 2))

    def elites(U):
        return U[np.argsort(((U - 0.3) ** 2).sum((1, 2)))[:2000]]

    search = ICEM(20_000, 2000, 2, shrink=1.0, colour=0.0, smoothing=0.25, share=0.0, std=0.1)
    plan = search(objective, EMPTY, LOW, HIGH, np.random.default_rng(0))
    first, second = seen[0], seen[1][:-1]
    half, middle = 0.5 * (HIGH - LOW), 0.5 * (HIGH + LOW)
    mean = 0.25 * middle + 0.75 * elites(first).mean(0)
    np.testing.assert_allclose(seen[1][-1], mean)  # the mean is priced last
    np.testing.assert_allclose(plan.warm_starts[0], 0.25 * mean + 0.75 * elites(seen[1]).mean(0))
    spread = 0.25 * 0.1 * half + 0.75 * elites(first).std(0)
    assert (np.abs(elites(first).std(0) / (0.1 * half) - 1) > 0.03).all()
    np.testing.assert_allclose(second.std(0), spread, rtol=0.02)


def test_mppi_is_the_weighted_mean_of_its_draws():
    seen = []

    def objective(U):
        seen.append(U)
        return (U**2).sum((1, 2))

    start = np.full((1, 4, 2), 0.5)
    search = MPPI(30, temperature=0.7, std=0.4, gamma=0.3)
    plan = search(objective, start, LOW, HIGH, np.random.default_rng(0))
    sigma2 = (0.4 * 0.5 * (HIGH - LOW)) ** 2
    total, norm = np.zeros((4, 2)), 0.0
    costs = sorted((V**2).sum() for V in seen[0])
    spread = (costs[14] + costs[15]) / 2 - costs[0]
    for V in seen[0]:
        S = (V**2).sum() / spread + 0.3 * sum(
            start[0, t] @ np.diag(1 / sigma2) @ V[t] for t in range(4)
        )
        total, norm = total + np.exp(-S / 0.7) * V, norm + np.exp(-S / 0.7)
    np.testing.assert_allclose(plan.U, total / norm)


def test_pddm_filters_its_noise_and_weighs_by_reward():
    noise = np.random.default_rng(0).normal(size=(2, 3, 1))
    n = filtered(noise, 0.7)
    np.testing.assert_allclose(n[:, 0], 0.7 * noise[:, 0])
    np.testing.assert_allclose(
        n[:, 2], 0.7 * noise[:, 2] + 0.3 * (0.7 * noise[:, 1] + 0.3 * 0.7 * noise[:, 0])
    )
    reward = np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(
        weights(-reward, 1 / 10.0), np.exp(10 * reward) / np.exp(10 * reward).sum()
    )


def test_the_adjoint_gradient_is_the_slope_of_the_cost():
    line = Line()
    dynamics = LinearGaussianDynamics(line.F, np.zeros((6, 2)), np.zeros((6, 2, 2)))
    U = np.random.default_rng(0).uniform(LOW, HIGH, size=(3, 6, 2))
    objective = Objective(
        LocalModel(dynamics), line.cost, line.x0, 0, 6, 6, np.random.default_rng(0)
    )
    cost, slope = objective.gradient(U)
    np.testing.assert_allclose(cost, line(U))
    np.testing.assert_allclose(slope, line.gradient(U)[1], atol=1e-7)


def test_an_objective_without_the_parts_is_refused_with_what_is_missing():
    with pytest.raises(InputError, match="no gradient"):
        Gradient()(lambda U: U.sum((1, 2)), EMPTY, LOW, HIGH, np.random.default_rng(0))
    with pytest.raises(InputError, match="no x0, step, jacobian, cost"):
        ILQR()(lambda U: U.sum((1, 2)), EMPTY, LOW, HIGH, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("planner", "settings"),
    [
        ("CEM", {"elites": 0}),
        ("CEM", {"samples": 0}),
        ("ICEM", {"iterations": 0}),
        ("MPPI", {"temperature": 0.0}),
        ("MPPI", {"std": 0.0}),
        ("CMAES", {"samples": 0}),
        ("Gradient", {"rate": 0.0}),
        ("RandomShooting", {"samples": 0}),
    ],
)
def test_a_planner_refuses_settings_with_which_it_cannot_search(planner, settings):
    import agents.planners as planners

    with pytest.raises(InputError, match=f"^{next(iter(settings))} is 0"):
        getattr(planners, planner)(**settings)
