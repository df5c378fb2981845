"""The pusher's cost for plans that teach: what it says, and that its expansion is its own second order."""

import numpy as np
import pytest

from agents.tasks.pusher import GuidedPusher


@pytest.fixture(scope="module")
def task():
    return GuidedPusher(conditions=3, horizon=4)


def sample(task, rng):
    return rng.normal(size=(2, 5, task.dx)), rng.normal(size=(2, 4, task.du))


def test_it_costs_least_behind_the_object_as_seen_from_the_goal(task):
    X, U = np.zeros((1, 5, task.dx)), np.zeros((1, 4, task.du))
    X[..., 21:] = [0.0, -0.25, 0.048]  # the object lies short of the goal along y
    places = np.linspace(-0.1, 0.1, 201)
    costs = []
    for y in places:
        X[..., 18:21] = [0.0, y, 0.0]  # object - tip
        costs.append(task.guide(X, U).sum())
    best = places[np.argmin(costs)]
    assert best == pytest.approx(0.12 * 0.25, abs=1e-3)  # the tip is farther from the goal than the object
    X[..., 18:21] = [0.0, best, 0.0]
    expected = 1.5 * np.hypot(0.25, 0.048) * 4
    assert task.guide(X, U).sum() == pytest.approx(expected + 0.7 * 4 * 0.01, rel=1e-3)  # and the smoothing's 0.01


def test_actions_cost_as_they_do_in_the_task(task):
    X, U = sample(task, np.random.default_rng(0))
    assert task.guide(X, U) - task.guide(X, 0 * U) == pytest.approx(task.cost(X, U) - task.cost(X, 0 * U))


def test_its_expansion_agrees_with_central_differences(task):
    X, U = sample(task, np.random.default_rng(1))
    q, h = task.guide.expand(X, U), 1e-5
    xu = np.concatenate([X[:, :-1], U], -1)
    C, c = q.C[:, :-1], q.c[:, :-1]
    value = 0.5 * np.einsum("nti,ntij,ntj->nt", xu, C, xu) + np.einsum("nti,nti->nt", c, xu) + q.const[:, :-1]
    np.testing.assert_allclose(value, task.guide(X, U)[:, :-1], rtol=1e-9)
    slope = np.einsum("ntij,ntj->nti", C, xu) + c
    for i in (14, 18, 19, 20, 21, 22, 23, 24, 30):
        move = np.eye(31)[i] * h
        ends = [task.guide(X + s * move[:24], U + s * move[24:])[:, :-1] for s in (1, -1)]
        np.testing.assert_allclose(slope[..., i], (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-7)
        after = task.guide.expand(X + move[:24], U + move[24:]), task.guide.expand(X - move[:24], U - move[24:])
        steps = [np.concatenate([X[:, :-1] + s * move[:24], U + s * move[24:]], -1) for s in (1, -1)]
        slopes = [np.einsum("ntij,ntj->nti", e.C[:, :-1], z) + e.c[:, :-1] for e, z in zip(after, steps, strict=True)]
        np.testing.assert_allclose(C[..., i], (slopes[0] - slopes[1]) / (2 * h), rtol=1e-4, atol=1e-6)
