"""One price of a transition for whoever learns from steps, and ends that are functions of the
state.
"""

import numpy as np
import pytest

from agents.learners.stepwise import Stepwise
from agents.rollout import run
from agents.tasks import make_task
from agents.tasks.adapters.gymnasium_env import TaskEnv
from agents.tasks.capabilities import Ends, capability
from agents.tasks.costs.step_cost import StepCost
from dynamics import ReplayBuffer
from lqr import InputError

ENDING = ["inverted_pendulum", "hopper", "walker2d", "mbbl_hopper_et", "mountain_car", "reacher_v5"]


def episode(name, seed=0):
    """Returns a task and one episode of random actions."""
    task, rng = make_task(name), np.random.default_rng(seed)
    low, high = task.action_low, task.action_high
    return task, run(
        task, lambda x, o, t: rng.uniform(low, high, (1, task.du)), np.zeros(1, int), rng
    )


@pytest.mark.parametrize("name", ENDING)
def test_what_ends_an_episode_is_told_by_its_states(name):
    task, found = episode(name)
    told = capability(task, Ends)
    n = int(found.length[0])
    np.testing.assert_array_equal(told.ended(found.x[0, 1:n]), False)
    assert told.ended(found.x[0, n]) == (n < task.horizon)


def test_where_gymnasium_looks_elsewhere_no_rule_is_told():
    assert capability(make_task("inverted_double_pendulum"), Ends) is None


@pytest.mark.parametrize("name", ["pendulum_v1", "inverted_pendulum", "hopper"])
def test_batches_of_rewards_are_those_of_the_environment(name):
    """The same actions from the same start, in TaskEnv; the first step may have a price of its
    own.
    """
    task, found = episode(name)
    n = int(found.length[0])
    x, u, xnext = found.x[0, :n], found.u[0, :n], found.x[0, 1 : n + 1]
    end = (np.arange(n) == n - 1) & (n < task.horizon)
    rewards = StepCost(task).rewards(x, u, xnext, end)
    env = TaskEnv(task)
    env.reset(seed=0)
    start = task.to_physical if hasattr(task, "to_physical") else task.to_qpos_qvel
    state = start(x[:1])
    env._x = (task.start(*state) if isinstance(state, tuple) else task.start(state))[0]
    paid = []
    for action in u:
        _, reward, terminated, truncated, _ = env.step((action - env.middle) / env.half)
        paid.append(reward)
    assert terminated == end[-1]
    assert truncated != terminated
    np.testing.assert_allclose(rewards[1:], paid[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["inverted_pendulum", "pendulum_v1"])
def test_the_buffer_has_the_rewards_and_the_end_and_no_end_where_time_is_up(name):
    task, rng = make_task(name), np.random.default_rng(0)
    buffer, calls = ReplayBuffer(), []
    steps = Stepwise(task, buffer, lambda: calls.append(len(buffer)))
    low, high = task.action_low, task.action_high
    found = steps.episodes(lambda x, o, t: rng.uniform(low, high, (1, task.du)), 60, 0, rng)
    data, n = buffer.data, found.length
    assert calls == list(range(1, n.sum() + 1))  # asked after each step, with all so far
    assert buffer.lengths == n.tolist()
    np.testing.assert_array_equal(data.end, buffer.last & (name == "inverted_pendulum"))
    paid = [part.sum() for part in np.split(data.reward, np.cumsum(n)[:-1])]
    first = found.x[:, 0], found.u[:, 0], found.x[:, 1]
    price = [StepCost(task).parts(*first, t)[0] for t in (0, 1)]  # of the start, and in the midst
    np.testing.assert_allclose(paid, price[0] - price[1] - found.cost.sum(1), rtol=1e-9)


def test_a_cost_that_changes_with_time_is_refused():
    for name in ("pendulum_v1", "reacher_v5", "inverted_pendulum"):
        task, found = episode(name)
        StepCost(task).check_stationary(*found.transitions)
    task, found = episode("mountain_car")
    with pytest.raises(InputError, match="changes with time"):
        StepCost(task).check_stationary(*found.transitions)


def test_the_sparse_car_is_paid_what_gymnasium_pays():
    """A random episode that begins just below the top, in Gymnasium and in the task."""
    import gymnasium

    task, rng = make_task("mountain_car_sparse"), np.random.default_rng(0)
    env = gymnasium.make("MountainCarContinuous-v0").unwrapped
    env.reset(seed=0)
    env.state = np.array([0.35, 0.05])
    x, paid = task.start(np.array([[0.35, 0.05]])), []
    for t in range(20):
        u = rng.uniform(-1, 1, (1, 1))
        _, reward, over, *_ = env.step(u[0])
        xnext = task.step(u)
        paid.append(StepCost(task).rewards(x, u, xnext, task.ended(xnext), t)[0] - reward)
        assert task.done()[0] == over
        x = xnext
        if over:
            break
    assert over
    np.testing.assert_allclose(paid, 0.0, atol=1e-6)
