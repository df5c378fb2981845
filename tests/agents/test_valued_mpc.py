"""A value at the end of a horizon is what the critics say in units of cost, and what is saved plans as
what was trained.
"""

import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.learners.learned_value import LearnedValue
from agents.learners.off_policy import OffPolicySettings, make_learner
from agents.learners.sac import Units
from agents.mpc import valued_mpc
from agents.planners import CEM, Objective
from agents.planners.models import SimulatorModel
from agents.tasks import make_task
from dynamics.storage.tree import load_tree, save_tree
from lqr import CheckpointError, window


def learner_of(task, seed=0):
    """Returns a learner that has seen nothing but its units."""
    sac = make_learner(task, OffPolicySettings(hidden=(6, 5)), np.random.default_rng(seed))
    rng = np.random.default_rng(1)
    sac.measure(Units.of(3 + 2 * rng.standard_normal((50, task.do)), rng.standard_normal(50)))
    return sac


def test_the_value_is_the_lower_critic_at_the_policys_action_in_units_of_cost():
    """The same by the learner's own functions, of one state at a time."""
    task = make_task("pendulum_v1")
    sac, angle = learner_of(task), np.random.default_rng(2).uniform(-3, 3, (4, 5))
    x = np.stack([np.cos(angle), np.sin(angle), 2 * angle], -1)
    found = LearnedValue.of(task, sac)(x)
    assert found.shape == (4, 5)
    for i in np.ndindex(4, 5):
        o = ((x[i] - sac.units.o_mean) / sac.units.o_std).astype(np.float32)[None]
        a = (sac.policy.mean(x[i]) - sac.policy.middle) / sac.policy.half
        q = sac.value(sac.critic, o, a[None].astype(np.float32))
        assert found[i] == pytest.approx(-float(sac.units.r_std) * q.min(), rel=1e-4)


def test_a_value_is_saved_and_one_of_another_task_is_refused(tmp_path):
    task, x = make_task("pendulum_v1"), np.random.default_rng(2).standard_normal((7, 3))
    value = LearnedValue.of(task, learner_of(task))
    save_tree(tmp_path / "value", value.state())
    state, _ = load_tree(tmp_path / "value")
    np.testing.assert_allclose(LearnedValue.from_state(state, task)(x), value(x), rtol=1e-6)
    with pytest.raises(CheckpointError, match="expected"):
        LearnedValue.from_state(state, make_task("point_mass"))
    with pytest.raises(CheckpointError, match="expected"):
        LearnedValue.from_state({**state, "critic": state["critic"][:-1]}, task)


def test_the_gradient_of_a_plan_has_that_of_the_value_in_it():
    """Central differences of what the plan costs; the value is a cubic function of the state."""
    task, rng = make_task("pendulum_v1"), np.random.default_rng(0)

    def value(x):
        return (x**3).sum(-1)

    x0 = task.reset(np.zeros(1, int), rng)[0]
    objective = Objective(SimulatorModel(task), task.cost, x0, 1, 3, task.horizon, rng, value=value)
    U = 0.3 * rng.standard_normal((2, 3, task.du))
    total, slope = objective.gradient(U)
    np.testing.assert_allclose(total, objective(U))
    for i in np.ndindex(3, task.du):
        move = np.zeros(U.shape[1:])
        move[i] = 1e-5
        expected = (objective(U + move) - objective(U - move)) / 2e-5
        np.testing.assert_allclose(slope[:, *i], expected, rtol=1e-4, atol=1e-5)


def test_a_state_is_paid_once_by_the_cost_or_by_the_value_and_nothing_follows_the_episodes_end():
    """The value is a hundred times the cost of a state: it takes the place of the last one's."""
    task, rng = make_task("pendulum_v1"), np.random.default_rng(0)
    x0, U = task.reset(np.zeros(1, int), rng)[0], 0.3 * rng.standard_normal((2, 3, task.du))
    model, zero, H = SimulatorModel(task), np.zeros((1, 1, task.du)), 3
    step = window(task.cost, 0, 1, task.horizon)

    def value(x):
        rows = x.reshape(-1, 1, x.shape[-1])
        costs = [step(np.repeat(row, 2, 0)[None], zero)[0, 1] for row in rows]
        return 100 * np.reshape(costs, x.shape[:-1])

    def plan(t, value=None):
        return Objective(model, task.cost, x0, t, H, task.horizon, rng, value=value)(U)

    last = value(model.roll(x0, U, 0, rng)[:, 0, -1])
    np.testing.assert_allclose(plan(0, value), plan(0) - last / 100 + last, rtol=1e-9)
    at = task.horizon - H
    np.testing.assert_array_equal(plan(at, value), plan(at))


def test_a_planner_with_a_value_is_trained_and_saved(tmp_path):
    task = make_task("pendulum_v1")
    config = valued_mpc.Config(
        iterations=2, iteration_steps=200, warm_up=200, update_ratio=0.1, hidden=(4,), horizon=2,
        model_hidden=(8,), fit_steps=30, members=2, rollouts=20, planner=CEM(8, 2, 2),
    )  # fmt: skip
    row = list(valued_mpc.train(task, config, np.random.default_rng(0)))[-1]
    assert row.scalars["model_calls"] == pytest.approx(8 * 2 * 2, rel=0.02)
    save_policy(tmp_path / "policy", row.policy, task=task.name)
    again = load_policy(tmp_path / "policy")
    x = task.reset([0], np.random.default_rng(0))[0]
    assert again.value is not None
    np.testing.assert_allclose(again.act(x, 0), row.policy.act(x, 0), atol=1e-4)
    plain = load_policy(tmp_path / "policy").with_cost(task.cost)
    assert plain.value is None
