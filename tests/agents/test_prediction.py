"""Predicting the future: the world of food and poison, what is regressed on, and goals that change."""

from pathlib import Path

import numpy as np
import pytest

from agents.imagination import dfp
from agents.imagination.steps.futures import changes, slope_of
from agents.policies.future import futures
from agents.rollout import Trajectories, rollout
from agents.tasks import Gather, make_task
from agents.tasks.base.ode_task import MapTask
from agents.tasks.classic.gather import FIRST, PIECES, SIDE, new_cells
from lqr import InputError

ALL = ("health", "food", "poison")


def world(food, poison, at=(0, 0)):
    """Returns the state with one piece of each kind near the agent, and the others far away."""
    s = np.zeros((1, Gather.dx))
    s[0, :2], s[0, 2], s[0, 7] = at, 0.25, -1
    pieces = np.full((2, PIECES, 2), 7.0)
    pieces[0, 0], pieces[1, 0] = food, poison
    s[0, FIRST:] = pieces.ravel()
    return s


def test_food_adds_six_poison_takes_six_and_a_step_takes_one():
    task = Gather()
    for move, (change, food, poison) in {0: (5, 1, 0), 3: (-7, 0, 1), 1: (-1, 0, 0)}.items():
        task.start(world(food=(SIDE - 1, 0), poison=(0, SIDE - 1)))  # above and left, on the torus
        x = task.step(np.array([[move + 0.5]]))
        np.testing.assert_array_equal(x[0, 3:8], [change, change, food, poison, move])
        moved = (x[0, FIRST:] != world((SIDE - 1, 0), (0, SIDE - 1))[0, FIRST:]).any()
        assert moved == bool(food or poison)
        assert task.cost(x, np.zeros((1, 1)))[0] == -change


def test_the_window_shows_where_pieces_are_from_the_agent():
    task = Gather()
    task.start(world(food=(SIDE - 2, 1), poison=(3, SIDE - 3)))
    window = task.observe()[0, :98].reshape(2, 7, 7)
    assert list(zip(*np.nonzero(window[0]), strict=True)) == [(1, 4)]  # two above, one to the right
    assert list(zip(*np.nonzero(window[1]), strict=True)) == [(6, 0)]
    np.testing.assert_array_equal(task.observe()[0, 98:], [0, 0, 0, 0, 0, 0, 0])


def test_pieces_reappear_anywhere_alike():
    rng = np.random.default_rng(0)
    cells = new_cells(rng.random(2000), rng.integers(100, size=2000).astype(float))
    counts = np.bincount((cells[..., 0] * SIDE + cells[..., 1]).astype(int).ravel())
    assert len(counts) == SIDE**2
    expected = counts.sum() / SIDE**2
    chi = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi - (SIDE**2 - 1)) < 5 * np.sqrt(2 * (SIDE**2 - 1))
    one = new_cells(np.full(2, 0.3), np.array([4.0, 5.0]))
    assert (one[0] != one[1]).any(-1).mean() > 0.9  # the next time elsewhere


def test_changes_are_of_what_is_measured_and_end_with_the_episode():
    x = np.cumsum(np.arange(1.0, 13).reshape(2, 6, 1), 1) * np.ones(Gather.dx)
    x[..., 4:7] = x[..., :1] * [1, 10, 100]
    length = np.array([5, 3])
    told = Trajectories(x, np.zeros((2, 5, 1)), x, np.zeros((2, 6)), length, np.zeros(2, bool))
    change, within = changes(Gather(), told, np.array([1, 3]))
    for n, t, j in np.ndindex(2, 5, 2):
        tau = (1, 3)[j]
        assert within[n, t, j] == (t + tau <= length[n])
        if within[n, t, j]:
            expected = (x[n, t + tau, 0] - x[n, t, 0]) * np.array([1, 10, 100])
            np.testing.assert_allclose(change[n, t, j], expected)


def test_where_nothing_is_measured_it_is_what_the_step_and_those_up_to_then_earn():
    cost = np.array([[1.0, 2, 4, 8]])
    x, u = np.zeros((1, 4, 4)), np.zeros((1, 3, 1))
    told = Trajectories(x, u, x, cost, np.array([3]), np.zeros(1, bool))
    change, within = changes(make_task("cartpole"), told, np.array([1, 2]))
    np.testing.assert_array_equal(change[0, :, 0, 0], [-3, -6, -12])
    np.testing.assert_array_equal(change[0, :2, 1, 0], [-7, -14])
    np.testing.assert_array_equal(within[0], [[1, 1], [1, 1], [1, 0]])


def test_the_action_stream_sums_to_zero_and_the_slope_is_that_of_differences():
    rng = np.random.default_rng(1)
    A, J, K, M = 3, 2, 2, 5
    out = rng.normal(size=(M, (1 + A) * J * K))
    F, parts = futures(out, A, K), out.reshape(M, 1 + A, J, K)
    np.testing.assert_allclose(F.mean(1), parts[:, 0], atol=1e-14)
    np.testing.assert_allclose(F[:, 0] - F[:, 2], parts[:, 1] - parts[:, 3], atol=1e-14)
    rows = {
        "goal": np.zeros((M, K)),
        "move": rng.integers(A, size=M),
        "change": rng.normal(size=(M, J, K)),
        "within": rng.integers(2, size=(M, J)).astype(float),
    }
    slope, _ = slope_of(out, rows, A, 7.0)
    for i in np.ndindex(*out.shape):
        step = np.zeros_like(out)
        step[i] = 1e-6
        ends = [slope_of(out + sign * step, rows, A, 7.0)[1] for sign in (1, -1)]
        assert slope[i] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


class Counter(MapTask):
    """x is a count, to which the whole number below u, 0 to 2, less 1, is added twice over."""

    name, horizon, dt, dx, du, do = "counter", 12, 1.0, 1, 1, 1
    action_low, action_high = np.array([0.0]), np.array([2.999])
    measurements, moves = ("count",), np.arange(3.0)[:, None] + 0.5

    def __init__(self):
        super().__init__(1)
        self.cost = Gather().cost

    def starts(self, conditions, rng):
        return np.zeros((len(conditions), 1))

    def advance(self, s, u):
        return s + 2 * (np.floor(u) - 1)

    def states(self, s):
        return s.copy()

    see = states

    def measure(self, x):
        return x

    def metrics(self, x, u):
        return {}


def test_what_is_predicted_is_what_happens_and_a_goal_is_told_at_any_time():
    task = Counter()
    task.cost = lambda X, U: -X[..., 0]
    config = dfp.Config(
        iterations=3, samples=16, ahead=(1,), weights=(1.0,), hidden=(16,), updates=300,
        training_goals="fixed", evaluate_every=0,
    )  # fmt: skip
    *_, last = dfp.train(task, config, np.random.default_rng(0))
    o = np.array([[-3.0], [0.0], [2.0]])
    found = last.policy.predicted(o, last.policy.goal)[..., 0, 0]
    unit = found[:, 2] - found[:, 1]
    np.testing.assert_allclose(found / unit[:, None], [[-1, 0, 1]] * 3, atol=0.1)
    for goal, move in ((1.0, 2.5), (-1.0, 0.5)):
        np.testing.assert_array_equal(last.policy.with_goal((goal,)).mean(o), np.full((3, 1), move))
    with pytest.raises(InputError, match="expected 1 weights"):
        last.policy.with_goal((1.0, 0.0))


def test_episodes_that_are_shorter_than_all_steps_ahead_are_refused():
    with pytest.raises(
        InputError, match=r"ahead is \(16, 32\); expected one of them within the 12"
    ):
        next(
            dfp.train(
                Counter(), dfp.Config(ahead=(16, 32), weights=(1, 1)), np.random.default_rng(0)
            )
        )


def test_it_learns_to_gather_and_to_want_something_else():
    """A third of the job: the goal is health; asked for it, the same policy eats poison."""
    task = Gather()
    config = dfp.Config(iterations=12, samples=24, evaluate_every=0)
    *_, last = dfp.train(task, config, np.random.default_rng(0))
    ends = {}
    for name, goal in {"health": (1, 0, 0), "poison": (0, 0, 1), "neither": (0, -1, -1)}.items():
        actor, rng = last.policy.with_goal(goal), np.random.default_rng(1)
        x = rollout(task, actor, np.zeros(1, int), 32, rng, noise=0.0).x
        ends[name] = dict(zip(ALL, task.measure(x[:, -1]).mean(0), strict=True))
    assert ends["health"]["health"] > -120  # random: -200
    assert ends["poison"]["poison"] > 3 * 10.3  # random: 10.3
    assert ends["neither"]["food"] + ends["neither"]["poison"] < 6  # random: 20.6


def test_the_example_of_the_page_runs():
    page = Path(__file__).resolve().parents[2] / "docs" / "prediction.md"
    code, found = page.read_text().split("```python\n")[1].split("```")[0], {}
    exec(compile(code, str(page), "exec"), found)
    np.testing.assert_array_equal(found["wants_poison"].goal, [0, 0, 1])
