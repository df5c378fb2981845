"""The steps that all methods share: judging, flooring, expanding, improving."""

import numpy as np
import pytest
from linear_tasks import controllers, linear_task, local_of, mean_action_cost, sampled
from scipy import stats

from agents.rollout import Trajectories
from gps.steps.exploration import with_std
from gps.steps.initial_controllers import zero_controllers
from gps.steps.local_data import by_condition, initial_states, transitions
from gps.steps.local_models import expand_cost
from gps.steps.step_size import trust_region_test
from gps.steps.trajectory_step import trajectory_step
from lqr import (
    LinearGaussianController,
    Lorentzian,
    Quadratic,
    QuadraticCost,
    WeightedNorm,
    backward,
    forward,
    kl_divergence,
)

C, T, DX, DU = 2, 4, 3, 2


def world(seed=0, N=6, std=0.5):
    rng = np.random.default_rng(seed)
    dynamics, cost, x0 = linear_task(rng)
    old = controllers(rng, std=std)
    return dynamics, cost, local_of(old, *sampled(rng, old, dynamics, x0, N))


def judged(predicted, actual, cost=100.0, error=0.0):
    """Judges conditions of cost 100 whose new episodes improve by `actual` where `predicted` was
    promised.
    """
    n, rng = len(predicted), np.random.default_rng(0)
    x, u = rng.normal(size=(2, n, 3, T + 1, DX)), rng.normal(size=(2, n, 3, T, DU))
    old = local_of(controllers(rng, C=n), x[0], u[0], cost)
    old = old._replace(predicted=np.array(predicted, float), variation=np.full(n, 100.0))
    new = local_of(controllers(rng, C=n), x[1], u[1], cost - np.array(actual, float))
    old, new = (data._replace(error=np.full(n, error / np.sqrt(2))) for data in (old, new))
    return old, new, *trust_region_test(old, new)


def test_the_first_episodes_are_always_accepted():
    new = world()[2]
    merged, accepted, actual, growth = trust_region_test(None, new)
    assert merged is new
    assert accepted.tolist() == [True, True]
    assert actual.tolist() == [0, 0]
    assert growth.tolist() == [1, 1]


def test_the_step_is_the_promise_over_twice_the_error():
    # promised 10: the best step is 10 / (2 error), within 0.3 and 3
    predicted, actual = [10, 10, 10, 10, 10], [8, 5, 0, 12, 9.9]
    _, _, merged, accepted, gained, growth = judged(predicted, actual)
    assert accepted.all()
    np.testing.assert_allclose(gained, actual)
    np.testing.assert_allclose(growth, [2.5, 1.0, 0.5, 3.0, 3.0])
    assert (merged.predicted == 0).all()


def test_a_controller_that_is_much_worse_than_promised_is_refused_for_its_predecessor():
    old, new, merged, accepted, actual, growth = judged([10, 10, 10], [8, -20, -6.5])
    assert accepted.tolist() == [True, False, True]  # 10 + 20 > 1.5 * 10 + 2; 10 + 6.5 < 17
    np.testing.assert_allclose(actual, [8, -20, -6.5])
    for name in ("x", "u", "o", "used", "cost"):
        assert np.array_equal(getattr(merged, name)[[0, 2]], getattr(new, name)[[0, 2]])
        assert np.array_equal(getattr(merged, name)[1], getattr(old, name)[1])
    for mine, a, b in zip(merged.controller, new.controller, old.controller, strict=True):
        assert np.array_equal(mine[[0, 2]], a[[0, 2]])
        assert np.array_equal(mine[1], b[1])
    assert growth[1] == pytest.approx(0.3)


def test_a_controller_that_chance_may_have_made_look_worse_is_not_rejected():
    # 10 promised, 8 worse: an error of 18 against 1.5 * 10 + 2 and the t quantile for 3 + 3 episodes
    quantile = stats.t.ppf(0.95, 4)
    for error, taken in ((0.0, False), (0.9 / quantile, False), (1.1 / quantile, True)):
        _, _, _, accepted, _, growth = judged([10], [-8], error=error)
        assert accepted.tolist() == [taken]
    assert growth[0] == pytest.approx(0.3)  # 10 / (2 * 18) is below the least
    # half of an error as large as the noise counts: 10 / (2 * 10 / 2)
    assert judged([10], [0], error=10.0)[5][0] == pytest.approx(1.0)


def test_of_equal_controllers_one_in_twenty_is_taken_for_worse_by_chance():
    rng, n = np.random.default_rng(0), 4000
    costs = rng.normal(size=(2, n, 5))
    error = costs.std(-1, ddof=1) / np.sqrt(5)
    sides = [
        local_of(controllers(rng, C=n), np.zeros((n, 5, 2, DX)), np.zeros((n, 5, 1, DU)), 0.0)
        for _ in range(2)
    ]
    old, new = (
        side._replace(cost=c.mean(-1), error=e)
        for side, c, e in zip(sides, costs, error, strict=True)
    )
    _, accepted, _, _ = trust_region_test(old, new)
    assert np.mean(~accepted) == pytest.approx(0.05, abs=0.012)


def test_a_step_does_not_shrink_because_its_promise_was_tiny():
    # the cost varies by 100, so that an error below 0.01 is none; one of 0.02 halves a step and more
    *_, growth = judged([1e-4, 1e-4, 1e-4, 0.1], [1e-4, -5e-3, -2e-2, 0.099])
    np.testing.assert_allclose(growth, [1.0, 1.0, 0.3, 3.0])


@pytest.mark.parametrize("error", [0.0, 10.0])
def test_where_nothing_was_promised_nothing_is_known_of_the_step(error):
    *_, accepted, _, growth = judged([0.0], [0.0], error=error)  # as of a flat cost
    assert accepted.all()
    assert growth.tolist() == [1.0]


def test_a_condition_whose_episodes_all_diverged_is_refused_and_so_is_its_step():
    old, new, *_ = judged([10, 10], [8, 8])
    used = new.used.copy()
    used[1] = 0
    merged, accepted, actual, growth = trust_region_test(
        old, new._replace(used=used, cost=np.array([92.0, 0.0]))
    )
    assert accepted.tolist() == [True, False]
    assert merged.cost.tolist() == [92.0, 100.0]
    assert actual.tolist() == [8.0, 0.0]
    assert growth[1] == pytest.approx(0.3)


def test_whatever_follows_episodes_that_all_diverged_is_accepted_without_a_verdict_on_the_step():
    old, new, *_ = judged([0, 0], [8, 8])
    used = old.used.copy()
    used[1] = 0
    _, accepted, actual, growth = trust_region_test(
        old._replace(used=used, cost=np.array([100.0, 0.0])), new
    )
    assert accepted.tolist() == [True, True]
    assert actual.tolist() == [8.0, 0.0]
    assert growth[1] == 1.0


def test_a_condition_without_a_valid_episode_costs_nothing_that_could_be_compared():
    data = episodes(np.array([1, 1, 1, 0, 0, 0], bool), [T] * 6, [1e300, 1.0, 3.0, 4.0, 5.0, 9.0])
    local = by_condition(data, controllers(np.random.default_rng(0)), np.ones(2))
    np.testing.assert_allclose(local.cost, [0.0, 6.0])
    assert (local.used[0] == 0).all()


def test_exploration_stays_within_its_bounds_in_units_of_the_action_range():
    scale, angle = np.array([2.0, 0.1]), 0.7
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    values = np.array([[1e-8, 0.25], [0.09, 0.25], [1e-8, 1e-7]])
    cov = np.array([[(R * v) @ R.T for v in values]]) * np.outer(scale, scale)
    controller = LinearGaussianController(np.ones((1, 3, 2, 3)), np.ones((1, 3, 2)), cov)
    for most in (np.inf, 0.4):
        expected = np.array([[(R * np.clip(v, 0.01, most**2)) @ R.T for v in values]])
        out = with_std(controller, scale, 0.1, most).cov
        np.testing.assert_allclose(out, expected * np.outer(scale, scale), atol=1e-12)
    np.testing.assert_allclose(with_std(controller, scale, 0.1).cov[0, 1], cov[0, 1], atol=1e-12)


def test_initial_controllers_explore_by_a_share_of_half_the_action_range():
    class Lopsided:
        conditions, horizon, dx, du = 2, 5, 3, 3
        action_low, action_high = np.array([-1.0, 0.0, -np.inf]), np.array([1.0, 10.0, np.inf])

    controller = zero_controllers(Lopsided(), 0.1)
    assert (controller.K == 0).all()
    assert (controller.k == 0).all()
    assert controller.K.shape == (2, 5, 3, 3)
    np.testing.assert_allclose(
        controller.cov, np.broadcast_to(np.diag([0.01, 0.25, 0.01]), (2, 5, 3, 3))
    )


def episodes(failed, length, cost):
    N = len(failed)
    rng = np.random.default_rng(0)
    return Trajectories(
        rng.normal(size=(N, T + 1, DX)),
        rng.normal(size=(N, T, DU)),
        rng.normal(size=(N, T + 1, 1)),
        np.array(cost, float)[:, None] * np.ones(T + 1) / (T + 1),
        np.array(length),
        np.array(failed),
    )


def test_the_cost_of_a_condition_is_the_mean_over_the_episodes_that_did_not_fail():
    data = episodes([0, 1, 0, 0, 0, 0], [T, 2, 3, T, T, 1], [1.0, 1e9, 3.0, 4.0, 5.0, 9.0])
    data = data._replace(failed=data.failed.astype(bool))
    local = by_condition(data, controllers(np.random.default_rng(0)), np.ones(2))
    np.testing.assert_allclose(local.cost, [2.0, 6.0])
    expected = [
        [[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]],
        [[1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 0, 0]],
    ]
    assert np.array_equal(local.used, expected)
    assert np.array_equal(local.x[1], data.x[3:])
    x, u, xnext = transitions(local)
    assert len(x) == len(u) == len(xnext) == 7 + 9
    np.testing.assert_array_equal(x[4:7], data.x[2, :3])
    np.testing.assert_array_equal(xnext[4:7], data.x[2, 1:4])
    np.testing.assert_array_equal(u[4:7], data.u[2, :3])


@pytest.mark.parametrize("length", [3, 2])
def test_a_constant_in_what_is_paid_does_not_change_the_size_of_the_cost(length):
    paid = np.array([1.0, 3.0, 2.0])[:length]
    data = episodes([False, False], [length, length], [0.0, 0.0])

    def size(constant, last):
        cost = np.zeros((2, T + 1))
        cost[:, :length], cost[:, length] = paid + constant, last
        teacher = controllers(np.random.default_rng(0), C=1)
        return by_condition(data._replace(cost=cost), teacher, np.ones(1)).variation

    expected = (T + 1) * paid.std()
    np.testing.assert_allclose([size(c, 0.0)[0] for c in (0.0, 5.0, -9.0)], expected)
    np.testing.assert_allclose(size(5.0, 7.0), (T + 1) * np.std([*(paid + 5), 7.0]))


def value_at(cost, x, u):
    """The quadratic cost of each step of one trajectory, (T+1,)."""
    xu = np.concatenate([x, np.vstack([u, np.zeros(DU)])], 1)
    return 0.5 * np.einsum("ti,tij,tj->t", xu, cost.C, xu) + (cost.c * xu).sum(-1) + cost.const


def test_a_quadratic_cost_expands_to_itself():
    _, _, local = world()
    rng = np.random.default_rng(1)
    A = rng.normal(size=(5, 5))
    term = Quadratic(A @ A.T, rng.normal(size=5), 0.7)
    cost = expand_cost(term, local)
    x, u = rng.normal(size=(T + 1, DX)), rng.normal(size=(T, DU))
    for c in range(C):
        here = QuadraticCost(*(a[c] for a in cost))
        np.testing.assert_allclose(value_at(here, x, u), term(x, u), atol=1e-9)


def test_the_expansion_is_the_mean_of_those_around_the_episodes_that_count():
    _, _, local = world(N=4)
    used = local.used.copy()
    used[0, 1] = 0  # failed
    local = local._replace(
        used=used, x=np.where((np.arange(4) == 1)[None, :, None, None], 1e3, local.x)
    )
    term, h = WeightedNorm(np.ones(DX), l1=1.0, l2=0.5, alpha=0.01), 1e-5
    cost = expand_cost(term, local)
    rng = np.random.default_rng(0)
    for c, rows in ((0, [0, 2, 3]), (1, [0, 2, 3])):
        if c == 1:
            used = local.used.copy()
            used[1, 1] = 0
            cost = expand_cost(term, local._replace(used=used))
        here = QuadraticCost(*(a[c] for a in cost))
        x, u = rng.normal(size=(T + 1, DX)), rng.normal(size=(T, DU))
        expected = np.zeros(T + 1)
        for n in (
            rows
        ):  # value + slope + curvature, each by differences of the term itself along the line to x
            X, U = local.x[c, n], local.u[c, n]
            line = [term(X + s * (x - X), U) for s in (-h, 0, h)]
            curve = [term(X + s * (x - X), U) for s in (-1e-3, 0, 1e-3)]
            expected += line[1] + (line[2] - line[0]) / (2 * h)
            expected += 0.5 * (curve[0] - 2 * curve[1] + curve[2]) / 1e-6
        np.testing.assert_allclose(value_at(here, x, u), expected / len(rows), rtol=1e-4, atol=1e-4)


def test_a_cost_that_is_not_convex_is_bent_up_but_keeps_its_value_and_slope_at_the_episode():
    _, _, local = world(N=1)
    term, h = Lorentzian(np.ones(DX), l2=0.0, alpha=0.01), 1e-5
    cost = expand_cost(term, local)
    assert np.linalg.eigvalsh(cost.C).min() > -1e-9
    assert np.linalg.eigvalsh(term.expand(local.x, local.u).C).min() < -1e-3
    for c in range(C):
        here, (X, U) = QuadraticCost(*(a[c] for a in cost)), (local.x[c, 0], local.u[c, 0])
        np.testing.assert_allclose(value_at(here, X, U), term(X, U), atol=1e-9)
        for e in h * np.eye(DX):
            slope = (term(X + e, U) - term(X - e, U)) / (2 * h)
            np.testing.assert_allclose(
                (value_at(here, X + e, U) - value_at(here, X - e, U)) / (2 * h), slope, atol=1e-5
            )


def test_steps_after_an_episodes_end_cost_nothing_in_the_expansion_either():
    _, _, local = world(N=3)
    used = local.used.copy()
    used[0, :, 2:] = 0  # every episode of condition 0 ends after two steps
    used[1, 0, 1:] = 0  # one of condition 1's ends after one
    local = local._replace(used=used)
    term = Quadratic(np.eye(DX), 0.0, 1.0)
    cost = expand_cost(term, local)
    assert (cost.C[0, 3:] == 0).all()
    assert (cost.const[0, 3:] == 0).all()
    np.testing.assert_allclose(cost.const[0, :3], 1.0)
    np.testing.assert_allclose(cost.const[1], [1, 1, 2 / 3, 2 / 3, 2 / 3])


def test_the_initial_state_has_the_episodes_mean_and_spread():
    _, _, local = world(N=5)
    x0 = initial_states(local)
    np.testing.assert_allclose(x0.mean, local.x[:, :, 0].mean(1))
    for c in range(C):
        np.testing.assert_allclose(x0.cov[c], np.cov(local.x[c, :, 0].T, bias=True), atol=1e-5)
    one = initial_states(local._replace(x=local.x[:, :1], u=local.u[:, :1], used=local.used[:, :1]))
    assert np.linalg.eigvalsh(one.cov).min() > 0


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 30.0])
def test_an_improvement_keeps_its_bound_and_uses_it(epsilon):
    dynamics, cost, local = world()
    step = trajectory_step(local, dynamics, cost, np.array([epsilon, 2 * epsilon]))
    under = forward(dynamics, step.controller, initial_states(local))
    kl = kl_divergence(step.controller, local.controller, under).sum(-1)
    np.testing.assert_allclose(step.kl, kl, rtol=1e-8)
    assert (kl <= step.epsilon * (1 + 1e-9)).all()
    assert (kl > 0.99 * step.epsilon).all()
    np.testing.assert_allclose(step.mean, under.mean, atol=1e-9)
    assert step.solved.all()


def test_more_room_promises_more_and_boundless_room_gives_the_optimum():
    dynamics, cost, local = world(std=1.0)
    gains = [
        trajectory_step(local, dynamics, cost, np.full(C, e)).predicted for e in (0.1, 1.0, 10.0)
    ]
    assert (gains[0] > 0).all()
    assert (gains[1] > gains[0]).all()
    assert (gains[2] > gains[1]).all()
    H, g, _ = mean_action_cost(dynamics, cost, initial_states(local))
    mean = trajectory_step(local, dynamics, cost, np.full(C, 1e8), temperature=1e-6).mean[
        :, :-1, DX:
    ]
    for c in range(C):
        np.testing.assert_allclose(mean[c].ravel(), np.linalg.solve(H[c], -g[c]), atol=1e-4)


def test_the_promise_is_what_sampling_the_model_gives():
    dynamics, cost, local = world()
    step = trajectory_step(local, dynamics, cost, np.full(C, 2.0))
    rng, x0 = np.random.default_rng(5), initial_states(local)
    totals = []
    for controller in (local.controller, step.controller):
        x, u = sampled(rng, controller, dynamics, x0, 40_000)
        xu = np.concatenate([x, np.pad(u, ((0, 0), (0, 0), (0, 1), (0, 0)))], -1)
        steps = 0.5 * np.einsum("cnti,ctij,cntj->cnt", xu, cost.C, xu) + np.einsum(
            "cnti,cti->cnt", xu, cost.c
        )
        totals.append((steps + cost.const[:, None]).sum(-1).mean(1))
    np.testing.assert_allclose(step.predicted, totals[0] - totals[1], rtol=0.02)


def test_the_promise_does_not_count_what_is_added_to_the_objective():
    dynamics, cost, local = world()
    extra = QuadraticCost(*(5.0 * a for a in cost))
    plain = trajectory_step(local, dynamics, cost, np.full(C, 1e-3))
    pulled = trajectory_step(
        local, dynamics, cost, np.full(C, 1e-3), extra
    )  # the same direction, six times the objective
    np.testing.assert_allclose(pulled.predicted, plain.predicted, rtol=1e-2)


def test_a_condition_without_a_usable_model_stays_and_the_others_go_on():
    dynamics, cost, local = world()
    bent = cost._replace(C=cost.C - np.array([0.0, 1e40])[:, None, None, None] * np.eye(DX + DU))
    step, alone = (trajectory_step(local, dynamics, c, np.full(C, 1.0)) for c in (bent, cost))
    assert step.solved.tolist() == [True, False]
    assert step.kl[1] == step.predicted[1] == 0
    for mine, old, other in zip(step.controller, local.controller, alone.controller, strict=True):
        assert np.array_equal(mine[1], old[1])
        np.testing.assert_allclose(mine[0], other[0], atol=1e-9)
    np.testing.assert_allclose(
        step.mean[1], forward(dynamics, local.controller, initial_states(local)).mean[1], atol=1e-12
    )


def test_a_temperature_alone_gives_maximum_entropy_control():
    dynamics, cost, local = world()
    tau = np.random.default_rng(0).uniform(0.5, 2, size=(C, T))
    step = trajectory_step(local, dynamics, cost, np.full(C, 1e9), temperature=tau)
    best = backward(dynamics, cost, tau)[0]
    for a, b in zip(step.controller, best, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)
    np.testing.assert_allclose(step.eta, 0.0, atol=1e-12)
