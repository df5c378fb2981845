"""Charts: costs, priors and controllers in tangent coordinates say what they said of the states
themselves.
"""

import numpy as np
import pytest

from dynamics import Chart, InChart, Manifold, NormalInverseWishart, chart_of, fit_linear_gaussian
from lqr import Action, LinearGaussianController, QuadraticCost, WeightedNorm
from lqr.expansion import stack

SPACE = Manifold("real", "quaternion", "angle")
C, N, T, DU = 2, 3, 4, 2


def states(rng, *shape):
    x = rng.normal(size=(*shape, SPACE.size))
    x[..., 1:5] /= np.linalg.norm(x[..., 1:5], axis=-1, keepdims=True)
    return x


def near(rng, chart, spread, count=N):
    return chart.from_tangent(spread * rng.normal(size=(C, count, T + 1, SPACE.dim)))


def some(seed, spread=0.1):
    rng = np.random.default_rng(seed)
    chart = Chart(SPACE, states(rng, C, T + 1))
    x, u = near(rng, chart, spread), rng.normal(size=(C, N, T, DU))
    return rng, chart, x, u


def value(cost, xu):
    return (
        0.5 * np.einsum("...i,...ij,...j->...", xu, cost.C, xu) + (cost.c * xu).sum(-1) + cost.const
    )


def test_coordinates_and_states_undo_each_other():
    _, chart, x, _ = some(0)
    np.testing.assert_allclose(
        SPACE.difference(chart.from_tangent(chart.to_tangent(x)), x), 0.0, atol=1e-12
    )
    np.testing.assert_allclose(chart.tangent_at(x[:, 0, 2], 2), chart.to_tangent(x)[:, 0, 2])
    np.testing.assert_allclose(chart.tangent_at(x[1, 0, 2], 2, 1), chart.to_tangent(x)[1, 0, 2])


def quadratic(rng):
    n = SPACE.size + DU
    root = rng.normal(size=(n, n))
    return root @ root.T, rng.normal(size=n), rng.normal()


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_a_cost_keeps_its_value_and_slope_and_on_the_reference_its_curvature(spread):
    rng, chart, x, u = some(1, spread)
    H, g, const = quadratic(rng)
    H[SPACE.size :, : SPACE.size] = H[: SPACE.size, SPACE.size :] = 0.3
    lead = (C, N, T + 1)
    raw = QuadraticCost(np.tile(H, (*lead, 1, 1)), np.tile(g, (*lead, 1)), np.full(lead, const))
    flat, du = chart.cost(raw, x, u), stack(chart.to_tangent(x), u)

    def at(du):  # the cost of the states at tangent coordinates
        states = chart.from_tangent(du[..., : SPACE.dim])
        return value(raw, np.concatenate([states, du[..., SPACE.dim :]], -1))

    np.testing.assert_allclose(value(flat, du), at(du), atol=1e-12)
    h, n = 1e-4, SPACE.dim + DU
    steps = h * np.eye(n)
    slope = np.stack([(at(du + e) - at(du - e)) / (2 * h) for e in steps], -1)
    np.testing.assert_allclose((flat.C @ du[..., None])[..., 0] + flat.c, slope, atol=1e-5)
    bend = np.stack(
        [
            np.stack(
                [
                    (at(du + a + b) - at(du + a - b) - at(du - a + b) + at(du - a - b))
                    / (4 * h * h)
                    for a in steps
                ]
            )
            for b in steps
        ]
    )
    off = np.abs(flat.C - np.moveaxis(bend, (0, 1), (-1, -2))).max()
    assert off < 1e-4 if spread == 0.0 else off < 0.5 * np.abs(flat.C).max()


def test_a_controller_in_another_chart_takes_the_same_actions_near_its_reference():
    rng, chart, _, _ = some(2)
    K, k = rng.normal(size=(C, T, DU, SPACE.dim)), rng.normal(size=(C, T, DU))
    old = LinearGaussianController(K, k, np.tile(np.eye(DU), (C, T, 1, 1)))
    into = chart.retracted(0.4 * rng.normal(size=(C, T + 1, SPACE.dim)))
    new = chart.express(old, into)

    def gap(spread):
        x = near(np.random.default_rng(3), into, spread, 20)
        act = [
            np.einsum("ctij,cntj->cnti", c.K, at.to_tangent(x)[:, :, :-1]) + c.k[:, None]
            for c, at in ((old, chart), (new, into))
        ]
        return np.abs(act[0] - act[1]).max()

    assert gap(0.0) < 1e-12
    assert gap(1e-3) < 1e-4  # the error is of second order
    assert gap(1e-4) < 0.02 * gap(1e-3)


def test_a_controller_of_angles_and_numbers_stays_exactly_the_same():
    rng, plane = np.random.default_rng(4), Manifold("angle", "real")
    here = Chart(plane, np.tile([3.1, 0.0], (1, T + 1, 1)))
    there = here.retracted(rng.uniform(-1, 1, size=(1, T + 1, 2)))  # across the wrap
    old = LinearGaussianController(
        rng.normal(size=(1, T, 1, 2)), rng.normal(size=(1, T, 1)), np.ones((1, T, 1, 1))
    )
    new, x = (
        here.express(old, there),
        there.from_tangent(rng.uniform(-1, 1, size=(1, 50, T + 1, 2))),
    )
    for t in range(T):
        act = [
            x_t @ c.K[0, t].T + c.k[0, t]
            for c, x_t in (
                (old, here.tangent_at(x[0, :, t], t, 0)),
                (new, there.tangent_at(x[0, :, t], t, 0)),
            )
        ]
        np.testing.assert_allclose(act[0], act[1], atol=1e-12)


class Law:
    """A prior that knows x' = x (+) (G [about; u] + shift) about the manifold's zero, with unit
    spread.
    """

    def __init__(self, rng, dim=SPACE.dim, du=DU):
        self.G, self.shift = 0.3 * rng.normal(size=(dim, dim + du)), 0.3 * rng.normal(size=dim)

    def step(self, x, u):
        about = SPACE.difference(x, SPACE.zero)
        return SPACE.retract(x, np.concatenate([about, u], -1) @ self.G.T + self.shift)

    def at(self, x, u, xnext):
        xu = np.concatenate([x, u], -1).mean(2)
        n = xu.shape[-1]
        cov = np.block(
            [[np.eye(n), self.G.T], [self.G, self.G @ self.G.T + 1e-8 * np.eye(len(self.G))]]
        )
        one = np.ones(xu.shape[:2])
        mean = np.concatenate([xu, xu @ self.G.T + self.shift], -1)
        return NormalInverseWishart(mean, np.broadcast_to(cov, (*one.shape, *cov.shape)), one, one)


def test_a_prior_that_knows_the_law_gives_its_tangent_in_the_chart():
    rng, chart, x, u = some(5, 0.0)  # all samples on the reference, apart from the next states
    law = Law(rng)
    after = law.step(x[:, :, :-1], u)
    chart = Chart(
        SPACE,
        np.concatenate(
            [
                chart.origin[:, :1],
                SPACE.retract(after[:, 0], 0.2 * rng.normal(size=(C, T, SPACE.dim))),
            ],
            1,
        ),
    )
    now = chart.origin[:, :-1]

    def model(d, push, after):  # d' by d and u
        x = SPACE.retract(now, d)
        return SPACE.difference(law.step(x, push), after)

    u = np.tile(u[:, :1], (1, N, 1, 1))
    d = np.zeros((C, T, N, SPACE.dim))
    push = np.swapaxes(u, 1, 2)
    target = chart.origin[:, 1:]
    dnext = np.tile(model(d[:, :, 0], push[:, :, 0], target)[:, :, None], (1, 1, N, 1))
    guess = InChart(law, chart).at(d, push, dnext)
    n, h = SPACE.dim + DU, 1e-5
    cov = guess.Phi
    F = np.swapaxes(np.linalg.solve(cov[..., :n, :n], cov[..., :n, n:]), -1, -2)
    F[..., : SPACE.dim] += np.eye(SPACE.dim)
    expected = []
    for e in h * np.eye(n):
        up, down = (
            model(d[:, :, 0] + s * e[: SPACE.dim], push[:, :, 0] + s * e[SPACE.dim :], target)
            for s in (1, -1)
        )
        expected.append((up - down) / (2 * h))
    np.testing.assert_allclose(F, np.stack(expected, -1), atol=2e-4)
    np.testing.assert_allclose(guess.mean[..., n:], (dnext - d)[:, :, 0], atol=1e-9)


def test_without_curved_parts_a_prior_is_asked_and_answers_as_ever():
    rng, flat = np.random.default_rng(6), Manifold(*["real"] * SPACE.dim)
    law, chart = Law(rng), Chart(flat, rng.normal(size=(C, T + 1, SPACE.dim)))
    d = rng.normal(size=(C, T, N, SPACE.dim))
    push = rng.normal(size=(C, T, N, DU))
    dnext = rng.normal(size=(C, T, N, 5))
    now, after = chart.origin[:, :-1, None], chart.origin[:, 1:, None]
    plain, moved = law.at(d + now, push, dnext + after), InChart(law, chart).at(d, push, dnext)
    np.testing.assert_allclose(moved.Phi, plain.Phi, atol=1e-5)  # but for the ridge
    shift = np.concatenate([now[:, :, 0], np.zeros((C, T, DU)), (after - now)[:, :, 0]], -1)
    np.testing.assert_allclose(moved.mean, plain.mean - shift, atol=1e-9)


def test_samples_on_both_sides_of_the_wrap_are_one_cluster_to_the_fit_and_to_the_prior():
    rng, plane = np.random.default_rng(7), Manifold("angle", "real")
    chart = Chart(plane, np.tile([np.pi, 0.0], (1, 2, 1)))
    d = 0.1 * rng.normal(size=(1, 200, 2, 2))
    u = rng.normal(size=(1, 200, 1, 1))
    d[:, :, 1] = d[:, :, 0] @ np.array([[1.0, 0.0], [0.2, 0.9]]) + 0.3 * u[:, :, 0] * [0.0, 1.0]
    x = chart.from_tangent(d)
    assert np.ptp(x[0, :, 0, 0]) > 6  # the numbers are on both sides
    asked = []

    class Ear:
        def at(self, x, u, xnext):
            asked.append((x, xnext))
            one = np.ones(x.shape[:2])
            return NormalInverseWishart(np.zeros((1, 1, 5)), np.eye(5)[None, None], one, one)

    fit = fit_linear_gaussian(chart.to_tangent(x), u, InChart(Ear(), chart), strength=1e-6).dynamics
    np.testing.assert_allclose(fit.F[0, 0], [[1.0, 0.2, 0.0], [0.0, 0.9, 0.3]], atol=2e-3)
    assert np.ptp(asked[0][0][..., 0]) < 1
    assert np.abs(asked[0][1] - asked[0][0]).max() < 2


def test_what_a_prior_learns_from_changes_by_the_shorter_way():
    chart = Chart(Manifold("angle", "real"), np.zeros((1, 2, 2)))
    about, _, after = chart.transitions(
        np.array([[3.1, 1.0]]), np.zeros((1, 1)), np.array([[-3.1, 2.0]])
    )
    np.testing.assert_allclose(after - about, [[2 * np.pi - 6.2, 1.0]])


def test_moments_are_shown_in_the_numbers_of_the_state():
    rng, chart, _, _ = some(8)
    mean = np.concatenate(
        [0.3 * rng.normal(size=(C, T + 1, SPACE.dim)), rng.normal(size=(C, T + 1, DU))], -1
    )
    half = 1e-3 * rng.normal(size=(C, T + 1, SPACE.dim + DU, SPACE.dim + DU))
    cov = half @ np.swapaxes(half, -1, -2)
    place, spread = chart.state_distribution(mean, cov)
    np.testing.assert_allclose(
        SPACE.difference(place[..., : SPACE.size], chart.origin), mean[..., : SPACE.dim], atol=1e-9
    )
    by = np.eye(SPACE.dim + DU)[:, : SPACE.dim]
    ends = [
        SPACE.retract(chart.origin[..., None, :], mean[..., None, : SPACE.dim] + step * by)
        for step in (1e-4, -1e-4)
    ]
    slope = np.swapaxes(ends[0] - ends[1], -1, -2) / 2e-4  # of the numbers in x by [d; u]
    slope = np.concatenate(
        [slope, np.broadcast_to(np.eye(SPACE.dim + DU)[SPACE.dim :], (C, T + 1, DU, by.shape[0]))],
        2,
    )
    np.testing.assert_allclose(spread, slope @ cov @ np.swapaxes(slope, -1, -2), atol=1e-12)


def test_a_task_without_a_manifold_has_no_chart():
    class Plain:
        conditions, horizon = 2, 3

    class Curved(Plain):
        manifold = SPACE

    assert chart_of(Plain()) is None
    assert chart_of(Curved()).origin.shape == (2, 4, SPACE.size)


def test_costs_of_the_library_pass_through_a_chart_of_plain_numbers_unchanged():
    rng, flat = np.random.default_rng(9), Manifold("real", "real")
    chart = Chart(flat, rng.normal(size=(C, T + 1, 2)))
    cost = WeightedNorm([1.0, 2.0], l1=1.0, alpha=0.1) + Action(0.3)
    x, u = rng.normal(size=(C, N, T + 1, 2)), rng.normal(size=(C, N, T, DU))
    raw, moved = cost.expand(x, u), chart.cost(cost.expand(x, u), x, u)
    np.testing.assert_allclose(moved.C, raw.C, atol=1e-12)
    np.testing.assert_allclose(value(moved, stack(chart.to_tangent(x), u)), cost(x, u), atol=1e-12)
