"""Dyna-Q on Sutton's mazes: its values are those of value iteration, planning saves steps, and
curiosity finds what has changed.
"""

import numpy as np

from agents import load_policy, save_policy
from agents.imagination import dyna_q
from agents.learners.tabular import TabularQ
from agents.policies.tabular import Grid
from agents.rollout import rollout
from agents.tasks import make_task
from dynamics.storage.tree import load_tree, save_tree

GAMMA = 0.95


def steps_of(task):
    """Returns each cell's successor (cells, 4), and whether the goal is reached (cells, 4), by the
    task's physics.
    """
    grid = Grid(*task.cells)
    cells = np.array([(c, r) for c in range(task.size[0]) for r in range(task.size[1])], float)
    after = np.stack([task.advance(cells, np.full((len(cells), 1), a + 0.5)) for a in range(4)], 1)
    order = grid.cell_of(cells)
    np.testing.assert_array_equal(order, np.arange(len(cells)))
    return grid.cell_of(after), task.ended(after)


def optimal(task):
    """Returns Q* by value iteration, (cells, 4)."""
    after, goal = steps_of(task)
    Q = np.zeros(after.shape)
    for _ in range(500):
        Q = np.where(goal, 1.0, GAMMA * Q.max(1)[after])
    return Q


def test_planning_alone_ends_at_the_values_of_value_iteration():
    task = make_task("maze")
    after, goal = steps_of(task)
    made, rng = TabularQ(len(after), 4, 1.0, GAMMA), np.random.default_rng(0)
    for s, a in np.ndindex(after.shape):
        made.update(s, a, float(goal[s, a]), after[s, a], bool(goal[s, a]), 0, rng)
    for _ in range(60):
        made.update(0, 0, 0.0, int(after[0, 0]), False, 2000, rng)
    np.testing.assert_allclose(made.Q, optimal(task), atol=1e-6)
    start = Grid(*task.cells).cell_of(np.array(task.start_cell, float))
    assert np.isclose(made.Q[start].max(), GAMMA ** (task.shortest - 1))  # of the textbook


def first_good(n, seed):
    """Returns the real steps until an episode of at most 20 steps."""
    task, rng = make_task("maze"), np.random.default_rng(seed)
    after, goal = steps_of(task)
    start = s = int(Grid(*task.cells).cell_of(np.array(task.start_cell, float)))
    made, steps, total = TabularQ(54, 4, 0.1, GAMMA), 0, 0
    while True:
        a = made.choose(s, 0.1, rng)
        end = bool(goal[s, a])
        made.update(s, a, float(end), int(after[s, a]), end, n, rng)
        steps, total, s = steps + 1, total + 1, start if end else int(after[s, a])
        if end and steps <= 20:
            return total
        steps = 0 if end else steps


def test_remembered_steps_save_two_thirds_of_the_real_ones():
    few, none = ([first_good(n, seed) for seed in range(5)] for n in (5, 0))
    assert np.median(few) < np.median(none) / 3


def tally(kappa, seed):
    """Returns the goals reached in 3000 steps of the maze, and in 3000 with a shortcut."""
    rng, found = np.random.default_rng(seed), []
    tables = [steps_of(make_task("maze", which=which)) for which in ("shortcut", "opened")]
    start = int(Grid(*make_task("maze", which="shortcut").cells).cell_of(np.array([3.0, 5.0])))
    made = TabularQ(54, 4, 0.5, GAMMA, kappa)
    for after, goal in tables:
        s, goals = start, 0
        for _ in range(3000):
            a = made.choose(s, 0.1, rng)
            end = bool(goal[s, a])
            made.update(s, a, float(end), int(after[s, a]), end, 20, rng)
            goals, s = goals + end, start if end else int(after[s, a])
        found.append(goals)
    return found


def test_curiosity_finds_the_shortcut_and_a_settled_habit_does_not():
    """Without the shortcut, of 10 steps, a path has at least 16."""
    assert tally(0.0, 0)[1] <= 3000 / 16
    assert tally(1e-3, 0)[1] > 3000 / 16


def test_a_run_goes_on_to_the_same_bits_on_cells_and_on_what_is_cut_into_cells(tmp_path):
    for name, more in (("maze", {}), ("pendulum_v1", {"warm_up": 150, "planning_steps": 3})):
        task, config = make_task(name), dyna_q.Config(iterations=2, iteration_steps=1, **more)
        rng, rows, at = np.random.default_rng(0), [], []
        for row in dyna_q.train(task, config, rng):
            rows.append(row)
            at.append(rng.bit_generator.state)
            save_tree(tmp_path / f"{name}{row.number}", row.state)
        again = np.random.default_rng()
        again.bit_generator.state = at[0]
        (last,) = dyna_q.train(task, config, again, load_tree(tmp_path / f"{name}1")[0])
        assert last.scalars == rows[1].scalars
        save_policy(tmp_path / name, last.policy)
        kept, every = load_policy(tmp_path / name), np.arange(1)
        runs = [rollout(task, p, every, 1, np.random.default_rng(1), noise=0.0).u
                for p in (kept, last.policy)]  # fmt: skip
        np.testing.assert_array_equal(*runs)
