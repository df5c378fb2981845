"""The steps of Bayesian policy search: searches on functions whose minima are known, predictions by
moments and by particles against each other and the model, gradients against differences.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agents.bayesian import black_drops, mc_pilco, pilco
from agents.bayesian.steps import gaussian, particles
from agents.bayesian.steps.differentiable import expected_cost, goal_of, policy_bumps, tensors_of
from agents.bayesian.steps.gradients import descend, wander
from agents.bayesian.steps.loop import RandomActions
from agents.bayesian.steps.problem import episodes_of, loss_of
from agents.bayesian.steps.searches import search
from agents.bayesian.steps.spaces import SPACES, space_of
from agents.rollout import rollout
from agents.tasks import Pendulum
from dynamics import GaussianProcess
from dynamics.features import Featured
from lqr import Action, InputError, WeightedNorm


@pytest.fixture(scope="module")
def known():
    """A pendulum, a model of one random episode, and the space of its policies."""
    task, rng = Pendulum(), np.random.default_rng(0)
    found = rollout(task, RandomActions(task), np.arange(1), 1, rng)
    gp = GaussianProcess(slope=False, signal_to_noise=30.0, reject_outliers=False)
    model = Featured(gp, task.angles)  # rounding is seen in the derivatives of a surer one
    model.fit(*found.transitions, rng)
    return SimpleNamespace(task=task, model=model, x=found.x[0], rng=rng)


def short(steps):
    """A pendulum whose episodes have so many steps, and its cost at all of them."""
    task = Pendulum()
    task.horizon, task.width = steps, 1.5
    task.cost = WeightedNorm([1.0, 0.05], target=[np.pi, 0.0]) + Action(0.1)
    return task


def searched(objective, d, **more):
    pytest.importorskip("cmaes")
    rng = np.random.default_rng(0)
    given = {"box": 5.0, "std": 1.0, "evaluations": 3000, "population": 0} | more
    return search(objective, rng.uniform(-5, 5, (4, d)), rng=rng, **given)


def test_searches_find_the_lowest_point_of_a_sphere_in_the_box():
    centre = np.array([1.0, -2.0, 7.0])
    found = searched(lambda z: ((z - centre) ** 2).sum(1), 3)
    best = found.best[np.argmin(found.values)]
    np.testing.assert_allclose(best, [1.0, -2.0, 5.0], atol=1e-2)
    assert 3000 <= found.evaluations < 3400


def test_one_of_four_searches_that_start_again_finds_the_lowest_of_many_optima():
    """Rastrigin's function: 121 local minima in the box, 0 at 0."""

    def rastrigin(z):
        return (z**2 - 10 * np.cos(2 * np.pi * z) + 10).sum(1)

    found = searched(rastrigin, 2, population=30, evaluations=6000)
    assert found.values.min() < 1e-3
    np.testing.assert_allclose(rastrigin(found.best), found.values, atol=1e-9)


def test_what_is_no_number_is_worse_than_anything():
    found = searched(lambda z: np.where(z[:, 0] > 0, np.nan, z[:, 0] ** 2), 2, evaluations=400)
    assert found.values.min() < 1e-2
    assert (found.best[np.isfinite(found.values), 0] <= 0).all()


@pytest.mark.parametrize("word", SPACES)
def test_a_point_acts_as_its_policy_does_and_is_found_again(word, known):
    space = space_of(word, known.task, known.x, 5)
    points = space.first(3, np.random.default_rng(1))
    x = np.random.default_rng(2).normal(size=(3, 7, 2))
    u = space.act(points)(x, known.task.observation_of(x), 0)
    for point, at, action in zip(points, x, u, strict=True):
        policy = space.policy(point)
        seen = at if getattr(policy, "input", "o") == "x" else known.task.observation_of(at)
        np.testing.assert_allclose(np.clip(policy.mean(seen), -2.5, 2.5), action, atol=1e-9)
        np.testing.assert_allclose(space.point(policy), point, atol=1e-12)


def start(size=0.1):
    return gaussian.Belief(torch.zeros(2, dtype=torch.float64), torch.eye(2).double() * size**2)


def drawn_point(known, units=6):
    space = space_of("rbf", known.task, known.x, units)
    point = space.first(1, np.random.default_rng(3))[0]
    point[units * 3 : units * 4] *= 10  # actions of all sizes
    return space, point, tensors_of(known.task, known.model, space)


def test_the_policy_in_tensors_is_the_policy(known):
    space, point, model = drawn_point(known)
    x = np.random.default_rng(4).normal(size=(9, 2))
    seen = particles.known_of(model, torch.as_tensor(x))
    kept = torch.ones(9, 6, dtype=torch.float64)
    u = particles.action(model, policy_bumps(model, torch.as_tensor(point)), seen, kept)
    np.testing.assert_allclose(u, space.policy(point).mean(x), atol=1e-9)
    moved = particles.change(model, seen, u, torch.zeros(9, 2).double())
    mean, var = known.model.marginals(x, u.numpy())
    np.testing.assert_allclose(moved + torch.as_tensor(x), mean, atol=1e-9)
    more = particles.change(model, seen, u, torch.ones(9, 2).double()) - moved
    np.testing.assert_allclose(more**2, var, rtol=1e-6)


def test_without_spread_a_prediction_is_the_models_at_the_policys_action(known):
    space, point, model = drawn_point(known)
    states, acted = gaussian.predicted(model, torch.as_tensor(point), start(1e-7), 1)
    x = np.zeros(2)
    u = space.policy(point).mean(x)
    mean, var = known.model.marginals(x, u)
    np.testing.assert_allclose(acted[0].mean, [0, 0, *u], atol=1e-9)
    np.testing.assert_allclose(states[1].mean[:2], mean, atol=1e-9)
    np.testing.assert_allclose(np.diagonal(states[1].cov)[:2], var, rtol=1e-6)


def test_moments_particles_and_imagined_episodes_agree_for_a_few_steps(known):
    space, point, model = drawn_point(known)
    rng, T, M = np.random.default_rng(5), 4, 4000
    states, _ = gaussian.predicted(model, torch.as_tensor(point), start(), T)
    starts, noise = 0.1 * rng.standard_normal((M, 2)), rng.standard_normal((T, M, 2))
    act = space.act(point[None])
    x = episodes_of(short(T), known.model, act, starts, noise, 1).x[0]
    for t in range(1, T + 1):
        spread = x[:, t].std(0)
        np.testing.assert_allclose(states[t].mean[:2], x[:, t].mean(0), atol=0.06 * spread.max())
        np.testing.assert_allclose(np.diagonal(states[t].cov)[:2] ** 0.5, spread, rtol=0.1)
    goal, given = goal_of(known.task, 1.0), [torch.as_tensor(a) for a in (starts, noise)]
    kept = torch.ones(M, 6, dtype=torch.float64)
    found = particles.loss(model, known.task, goal, torch.as_tensor(point), *given, kept, 1.0)
    expected = loss_of(known.task, known.task)(x, np.zeros((M, T, 1))).mean()
    np.testing.assert_allclose(float(found), expected, rtol=1e-6)


@pytest.mark.parametrize("saturates", [True, False])
@pytest.mark.parametrize("kind", ["moments", "particles"])
def test_the_gradient_of_an_episode_is_that_of_differences(kind, saturates, known):
    _, point, model = drawn_point(known)
    rng, goal = np.random.default_rng(6), goal_of(known.task, 4.0) if saturates else None
    task = short(5)
    drawn = [torch.as_tensor(rng.standard_normal(s)) for s in ((8, 2), (5, 8, 2))]
    kept = torch.ones(8, 6, dtype=torch.float64)

    def value(theta):
        if kind == "moments":
            return gaussian.loss(model, task, goal, theta, start(), 5, 1.0)
        return particles.loss(model, task, goal, theta, 0.1 * drawn[0], drawn[1], kept, 1.0)

    theta = torch.tensor(point, requires_grad=True)
    slope = torch.autograd.grad(value(theta), theta)[0].numpy()
    move, h = rng.normal(size=len(point)), 1e-5
    up, down = (float(value(torch.as_tensor(point + s * h * move)).detach()) for s in (1, -1))
    np.testing.assert_allclose(slope @ move, (up - down) / (2 * h), rtol=1e-4, atol=1e-7)


def test_the_expected_cost_is_exact_where_the_cost_is_quadratic():
    task, rng = Pendulum(), np.random.default_rng(7)
    root = 0.3 * rng.normal(size=(task.horizon + 1, 3, 3))
    root[-1, 2] = 0.0
    mean, cov = rng.normal(size=(task.horizon + 1, 3)), root @ root.swapaxes(1, 2)
    mean[-1, 2] = 0.0
    draws = mean + np.einsum("tij,mtj->mti", root, rng.standard_normal((4000, 41, 3)))
    expected = task.cost(draws[..., :2], draws[:, :-1, 2:]).sum(-1).mean()
    found = expected_cost(task, *(torch.as_tensor(a) for a in (mean, cov)), 2.0)
    np.testing.assert_allclose(float(found), expected / 2, rtol=0.02)


def test_going_down_ends_at_the_lowest_point():
    def value(z):
        return ((z - 3.0) ** 2).sum()

    np.testing.assert_allclose(descend(value, np.zeros(4), 20), 3.0, atol=1e-5)
    np.testing.assert_allclose(wander(lambda: value, np.zeros(4), 400, 0.1), 3.0, atol=1e-2)


def test_stages_that_do_not_end_with_the_tasks_own_are_refused():
    config = pilco.Config(widths=(2.0,), growth=(0.5,))
    with pytest.raises(InputError, match="ends with 1"):
        next(pilco.train(Pendulum(), config, np.random.default_rng(0)))


SMALL = {
    black_drops: {"units": 5, "evaluations": 400, "searches": 2, "imagined": 2, "policy": "rbf"},
    pilco: {"units": 5, "search_steps": 4, "restarts": 1, "candidates": 1},
    mc_pilco: {"units": 5, "search_steps": 8, "particles": 10, "rate": 0.1},
}


@pytest.mark.parametrize("method", SMALL, ids=lambda method: method.__name__.split(".")[-1])
def test_a_search_promises_more_than_random_actions_brought_and_resumes_to_the_same_bits(method):
    task = short(8)
    config = replace(method.Config(iterations=2, starts=4, evaluate_every=0), **SMALL[method])
    rng = np.random.default_rng(0)
    runs = method.train(task, config, rng)
    first = next(runs)
    rest = np.random.default_rng(0)
    rest.bit_generator.state = rng.bit_generator.state
    (again,) = method.train(task, config, rest, first.state)
    (last,) = runs
    for name, value in last.policy.state().items():
        np.testing.assert_array_equal(again.policy.state()[name], value)
    assert again.scalars["predicted"] == last.scalars["predicted"]
    assert last.scalars["predicted"] > first.scalars["episode_reward"]
