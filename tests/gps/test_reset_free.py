"""Reset-free guided policy search: groups of episodes, their costs, the targets of the policy; it
learns.
"""

import numpy as np
import pytest
from linear_tasks import Point, controllers, linear_task, local_of, sampled

from agents.rollout import rollout
from agents.tasks.mujoco.reacher import Reacher, ReacherResetFree
from gps import reset_free
from gps.steps.local_data import initial_states
from gps.steps.local_models import expand_cost
from lqr import InputError, Quadratic
from lqr.costs import WeightedNorm

C, T, DX, DU = 2, 4, 3, 2


def episodes(seed=0, N=6):
    """Returns controllers of two groups and the episodes of each."""
    rng = np.random.default_rng(seed)
    dynamics, _, x0 = linear_task(rng)
    return controllers(rng), *sampled(rng, controllers(rng), dynamics, x0, N)


def test_small_groups_are_filled_up_with_episodes_that_do_not_count():
    rng = np.random.default_rng(0)
    N, group = 7, np.array([1, 0, 1, 1, 2, 1, 0])
    used = np.ones((N, T))
    used[3, 2:] = 0  # this one ended early
    past = reset_free.Past(
        rng.normal(size=(N, T + 1, DX)),
        rng.normal(size=(N, T, DU)),
        rng.normal(size=(N, T + 1, 1)),
        used,
        np.ones(N),
    )
    local = reset_free.by_cluster(past, group)
    assert local.x.shape == (3, 4, T + 1, DX)
    for k in range(3):
        rows = np.flatnonzero(group == k)
        assert local.used[k].sum() == used[rows].sum()
        counts = local.used[k] > 0
        assert sorted(local.x[k, :, :-1][counts][:, 0]) == sorted(
            past.x[rows, :-1][used[rows] > 0][:, 0]
        )
        np.testing.assert_allclose(initial_states(local).mean[k], past.x[rows, 0].mean(0))


def test_a_quadratic_cost_is_itself_in_every_group():
    controller, x, u = episodes()
    root = np.random.default_rng(1).normal(size=(DX + DU, DX + DU))
    cost = Quadratic(root @ root.T, np.arange(5.0))
    local = local_of(controller, x, u)
    found = reset_free.expand_cost(type("Any", (), {"cost": cost}), local)
    np.testing.assert_allclose(
        found.C[:, :-1], np.broadcast_to(root @ root.T, (C, T, 5, 5)), atol=1e-6
    )
    np.testing.assert_allclose(
        found.c[:, :-1], np.broadcast_to(np.arange(5.0), (C, T, 5)), atol=1e-6
    )


def test_a_quadratic_cost_is_what_it_is_of_episodes_from_one_start_wherever_they_end():
    controller, x, u = episodes()
    root = np.random.default_rng(1).normal(size=(DX + DU, DX + DU))
    cost = Quadratic(root @ root.T, np.arange(5.0))
    local = local_of(controller, x, u)
    used = local.used.copy()
    used[:, 0, 1:], used[:, 1, 2:] = 0, 0
    local = local._replace(used=used)
    found, plain = (
        reset_free.expand_cost(type("Any", (), {"cost": cost}), local),
        expand_cost(cost, local),
    )
    np.testing.assert_allclose(found.C, plain.C, atol=1e-6)
    np.testing.assert_allclose(found.c, plain.c, atol=1e-6)


def test_the_cost_of_a_group_has_the_mean_slope_of_its_episodes_at_their_mean():
    """By central differences, where the plain mean of expansions has another: the norm's slope
    turns over the group.
    """
    controller, x, u = episodes()
    cost = WeightedNorm(np.ones(DX), l1=1.0, l2=0.0, alpha=0.01)
    local = local_of(controller, x, u)
    found, plain = (
        reset_free.expand_cost(type("Any", (), {"cost": cost}), local),
        expand_cost(cost, local),
    )
    for i in range(DX):
        step = 1e-5 * np.eye(DX)[i]
        slope = ((cost(x + step, u) - cost(x - step, u)) / 2e-5).mean(1)  # (C, T+1)
        ours, theirs = (
            np.einsum("ctj,ctj->ct", q.C[..., i, :DX], x.mean(1))
            + np.einsum("ctj,ctj->ct", q.C[..., i, DX:], mean_of(u))
            + q.c[..., i]
            for q in (found, plain)
        )
        np.testing.assert_allclose(ours, slope, atol=1e-5)
        assert np.abs(theirs - slope).max() > 0.01


def mean_of(u):
    """Returns the mean actions, and none at the end, (C, T+1, du)."""
    return np.pad(u.mean(1), ((0, 0), (0, 1), (0, 0)))


def test_a_c_step_that_changes_nothing_teaches_the_policy_itself():
    controller, x, _ = episodes()
    own = np.random.default_rng(3).normal(size=(C, 6, T, DU))
    same = reset_free.changed_targets(own, controller, controller, x[:, :, :-1])
    np.testing.assert_allclose(same.mean, own, atol=1e-12)
    moved = controller._replace(k=controller.k + np.array([0.5, -1.0]))
    lesson = reset_free.changed_targets(own, controller, moved, x[:, :, :-1])
    np.testing.assert_allclose(lesson.mean, own + np.array([0.5, -1.0]), atol=1e-12)


def test_episodes_are_kept_for_so_many_iterations_and_those_that_diverged_not_at_all():
    task = Point()
    past = reset_free.no_episodes(task)
    for number in range(1, 5):
        seen = rollout(
            task, reset_free_policy(task), np.arange(3), 2, np.random.default_rng(number)
        )
        if number == 4:
            seen = seen._replace(failed=np.arange(6) == 2)
        past = reset_free.with_new(past, seen, number, 2)
    assert past.iteration.tolist() == [3.0] * 6 + [4.0] * 5
    assert past.x.shape == (11, task.horizon + 1, task.dx)
    assert past.cost == pytest.approx(np.delete(seen.cost.sum(-1), 2).mean())


def reset_free_policy(task):
    """Returns a policy as at the start."""
    config = reset_free.Config(hidden=(8,))
    return reset_free.GlobalPolicy(
        task, config, config.initial_std, np.random.default_rng(0)
    ).policy


def test_a_task_on_a_manifold_is_refused():
    task = Point()
    task.manifold = object()
    with pytest.raises(InputError, match="manifold"):
        next(reset_free.train(task, reset_free.Config(), np.random.default_rng(0)))


def test_no_start_of_the_task_comes_twice():
    task, rng = ReacherResetFree(), np.random.default_rng(0)
    first, second = (task.reset(np.arange(40), rng) for _ in range(2))
    assert (first != second).all(1).all()
    u = np.random.default_rng(1).uniform(-1, 1, size=(40, 2))
    other = Reacher()
    other.start(task.angles, first[:, 2:4] * 0 + second[:, 2:4], task.targets)
    np.testing.assert_allclose(task.step(u), other.step(u))  # the same arm


@pytest.mark.slow
def test_a_policy_learns_to_reach_from_starts_that_never_come_twice():
    config = reset_free.Config(iterations=5, policy_steps=500)
    costs = [
        it.scalars["policy_cost"]
        for it in reset_free.train(ReacherResetFree(), config, np.random.default_rng(2))
    ]
    assert costs[-1] < 7.0  # about 10 of no action
