"""Distral on tables: its fixed points are those of soft value iteration, and it learns the rooms."""

from collections import deque

import numpy as np
import pytest

from agents.tasks import make_task
from agents.tasks.classic.rooms import DOOR, GOALS, HEIGHT, WALL, WIDTH
from gps.multitask import distral
from gps.multitask.steps.soft_q import SoftQ
from gps.multitask.steps.tables import without
from lqr import InputError

GAMMA = 0.9
MOVES = [(0, -1), (1, 0), (0, 1), (-1, 0)]


def small_world():
    """Returns rewards, successors and ends, (S, A) each, of a random world of six cells."""
    rng = np.random.default_rng(3)
    after = rng.integers(6, size=(6, 3))
    return -rng.uniform(0.1, 1.0, (6, 3)), after, after == 5


def soft_values(temperature):
    """Returns Q of the problem with that worth of a nat of entropy, by value iteration (S, A)."""
    r, after, end = small_world()
    Q = np.zeros(r.shape)
    for _ in range(400):
        V = temperature * np.log(np.exp(Q / temperature).sum(1))
        Q = r + GAMMA * np.where(end, 0.0, V[after])
    return Q


def swept(values, count=400):
    """Learns from every transition of the small world, `count` times."""
    r, after, end = small_world()
    s, a = (i.ravel() for i in np.indices(r.shape))
    for _ in range(count):
        values.update(s, a, r.ravel(), after.ravel(), end.ravel(), 1.0)


def test_without_a_price_of_divergence_it_is_soft_q_learning():
    values = SoftQ(np.arange(6), 3, 0.0, 0.2, GAMMA)
    values.visits[:, 0] = 100.0  # whatever the prior is
    swept(values)
    np.testing.assert_allclose(values.Q, soft_values(0.2), atol=1e-9)


def test_with_one_task_it_is_soft_q_learning_at_the_price_of_entropy_alone():
    """pi_0 = pi: the divergence costs nothing, whatever its weight is."""
    values = SoftQ(np.arange(6), 3, 0.3, 0.2, GAMMA)
    s, a = (i.ravel() for i in np.indices((6, 3)))
    for _ in range(80):
        swept(values, 60)
        values.distil(s, a, 1e9 * np.exp(values.log_policy()).ravel(), 0.0)
    Q = soft_values(0.2) / 0.2
    np.testing.assert_allclose(
        np.exp(values.log_policy()), np.exp(Q) / np.exp(Q).sum(1, keepdims=True), atol=1e-6
    )


def test_the_prior_is_the_most_likely_one_and_does_not_see_the_goal():
    seen = without(np.array([2, 3]), (1,))
    np.testing.assert_array_equal(seen, [0, 0, 0, 1, 1, 1])
    values = SoftQ(seen, 2, 1.0, 1.0, GAMMA)
    s, a = np.array([0, 1, 2, 3]), np.array([0, 1, 1, 0])
    values.distil(s, a, np.array([3e6, 2e6, 3e6, 1e6]), 0.5)
    prior = np.exp(values.log_prior())
    np.testing.assert_allclose(prior[:3], np.tile([3 / 8, 5 / 8], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(prior[3:], np.tile([1.0, 0.0], (3, 1)), atol=1e-5)


def distances(goal):
    """Returns the steps to a goal from each cell, (columns, rows), by breadth-first search."""
    found, queue = np.full((WIDTH, HEIGHT), np.inf), deque([tuple(GOALS[goal])])
    found[tuple(GOALS[goal])] = 0
    while queue:
        c, r = queue.popleft()
        for dc, dr in MOVES:
            to = c + dc, r + dr
            inside = 0 <= to[0] < WIDTH and 0 <= to[1] < HEIGHT
            if inside and (to[0] != WALL or to[1] == DOOR) and np.isinf(found[to]):
                found[to] = found[c, r] + 1
                queue.append(to)
    return found


def test_it_learns_the_rooms_and_a_new_goal_from_what_it_knows_of_the_others():
    weights = {"kl_cost": 0.08, "entropy_cost": 0.02, "goal_coordinates": (2,)}
    config = distral.Config(iterations=30, evaluate_every=0, **weights)
    task = make_task("rooms", goals=(5, 6))  # beside the door
    rows = list(distral.train(task, config, np.random.default_rng(0)))
    steps = np.array([row.scalars["episode_steps"] for row in rows])
    assert steps[-5:].mean() < steps[:5].mean() / 2
    assert rows[-1].scalars["kl"] > 0
    new, few = make_task("rooms", goals=(0,)), {"samples": 10, "evaluate_every": 0, **weights}
    more = distral.Config(iterations=31, **few)
    (again,) = distral.train(new, more, np.random.default_rng(1), rows[-1].state)
    first = next(distral.train(new, distral.Config(**few), np.random.default_rng(1)))
    assert again.number == 31
    assert again.scalars["episode_steps"] < 0.8 * first.scalars["episode_steps"]


@pytest.mark.parametrize("goal", range(len(GOALS)))
def test_each_goal_can_be_reached_and_costs_the_price_of_the_way(goal):
    task, way = make_task("rooms", goals=(goal,)), distances(goal)
    x = task.reset(np.zeros(1, int), np.random.default_rng(goal))
    first, steps = int(way[tuple(x[0, :2].astype(int))]), 0
    while not task.done()[0]:
        options = [task.advance(x, np.array([[a + 0.5]])) for a in range(4)]
        x = task.step(
            np.array([[np.argmin([way[tuple(o[0, :2].astype(int))] for o in options]) + 0.5]])
        )
        steps += 1
    assert steps == first
    states = np.tile(x, (first + 1, 1))
    states[:-1, :2] = 0.0
    assert task.cost(states, np.zeros((first, 1))).sum() == pytest.approx(0.1 * first)


def test_what_is_no_goal_or_coordinate_is_refused():
    with pytest.raises(InputError, match="goals"):
        make_task("rooms", goals=(8,))
    config = distral.Config(goal_coordinates=(3,))
    with pytest.raises(InputError, match="goal_coordinates"):
        next(distral.train(make_task("rooms"), config, np.random.default_rng(0)))
