"""Policies of parts of the starts, and teachers of one task each, against what they are made of."""

import numpy as np
import pytest

from agents.baselines import trpo
from agents.interfaces import Iteration
from agents.learners.gaussian_layers import Gaussians, divergences
from agents.tasks import make_task
from agents.tasks.mujoco.reacher_tasks import INERTIA, TARGETS
from agents.tasks.wrappers.one_condition import OneCondition
from agents.training import Training
from gps.multitask import dnc, policy_distillation
from gps.multitask.steps.lessons import lessons_of
from gps.multitask.steps.parts import Parts
from gps.multitask.steps.teachers import Teachers
from lqr import InputError

FEW = {"iterations": 3, "hidden": (8,), "evaluate_every": 0, "samples": 2}


def apart(penalty, seed=0):
    """Returns how far the policies of the reacher's parts are from each other, (k, k)."""
    task = make_task("reacher", conditions=12)
    config = dnc.Config(**FEW, penalty=penalty, distil_every=100, kl_step=0.1)
    *_, last = dnc.train(task, config, np.random.default_rng(seed))
    return last.arrays["pairwise_kl"][-2]


def test_with_one_part_a_step_is_that_of_trpo():
    task, state = make_task("reacher", conditions=3), None
    one = next(trpo.train(task, trpo.Config(**FEW), np.random.default_rng(0)))
    state = next(dnc.train(task, dnc.Config(**FEW, parts=1), np.random.default_rng(0))).state
    found = state["parts"]["policies"]["0"]
    for name, layer in one.state["policy"]["layers"].items():
        np.testing.assert_array_equal(found["layers"][name]["W"], layer["W"])
    np.testing.assert_array_equal(found["cov"], one.state["policy"]["cov"])


def test_a_penalty_holds_the_policies_together():
    free, held = apart(0.0), apart(3.0)
    assert np.diag(free).max() == 0
    assert (free[~np.eye(4, dtype=bool)] > 0).all()
    assert held.sum() < free.sum() / 2


def test_each_part_learns_from_the_episodes_of_its_own_conditions():
    task, config = make_task("reacher", conditions=12), dnc.Config(**FEW)
    parts, rng = Parts(task, config), np.random.default_rng(1)
    parts.begin(trpo.initial_policy(task, (8,), np.full(2, 0.5), rng))
    for first in (True, False):
        episodes = parts.rollout(rng)
        if first:
            parts.divide(episodes, rng)
        batches = parts.batches(episodes)
        assert len(batches) == len(set(parts.part_of)) > 1
        for i, batch in enumerate(batches):
            p = parts.central
            seen = {tuple(row) for row in np.round((batch.x * p.scale + p.centre)[:, 4:6], 9)}
            assert seen == {tuple(row) for row in np.round(task.targets[parts.part_of == i], 9)}
        parts.climb(batches)


def test_after_distillation_all_are_one_policy():
    task = make_task("reacher", conditions=6)
    config = dnc.Config(**FEW, distil_every=3, distil_steps=2000)
    *_, last = dnc.train(task, config, np.random.default_rng(0))
    kept, central = last.state["parts"]["policies"], last.policy.state()
    for part in kept.values():
        np.testing.assert_array_equal(
            part["layers"]["layer0"]["W"], central["layers"]["layer0"]["W"]
        )


def test_the_reachers_differ_in_target_and_inertia_and_say_which_they_are():
    task = make_task("reacher_tasks", tasks=(0, 1, 4))
    x = task.reset(np.array([0, 1, 2, 1]), np.random.default_rng(0))
    o = task.observe()
    np.testing.assert_array_equal(o[:, 10:].argmax(1), [0, 1, 4, 1])
    np.testing.assert_allclose(o[:, 4:6], TARGETS[[0, 1, 4, 1]])
    before = x[:, 2:4].copy()
    after = task.step(np.tile([1.0, 0.0], (4, 1)))[:, 2:4]
    change = (after - before)[:, 0] * INERTIA[[0, 1, 4, 1]]  # torque / inertia, but for damping
    np.testing.assert_allclose(change, change[0], rtol=0.03)
    with pytest.raises(InputError, match="tasks"):
        make_task("reacher_tasks", tasks=(5,))


class Told:
    """A policy that does the same everywhere, and is as sure as it is told."""

    def __init__(self, mean, std):
        self.value, self.std = np.array(mean), std

    def mean(self, o):
        return np.broadcast_to(self.value, (*o.shape[:-1], 2))

    def covariance(self, o):
        return np.broadcast_to(self.std**2 * np.eye(2), (*o.shape[:-1], 2, 2))


def told(soft):
    """Returns lessons of two teachers on the reachers, and their episodes."""
    task, rng = make_task("reacher_tasks", tasks=(0, 1)), np.random.default_rng(0)
    teachers = Teachers(task, policy_distillation.Config(), rng)
    teachers.policies = {0: Told([0.1, 0.2], 0.1), 1: Told([-0.3, 0.0], 0.2)}
    episodes = teachers.rollout(3, rng)
    return lessons_of(episodes, teachers, soft), episodes


def test_lessons_are_each_conditions_own_teachers():
    lessons, episodes = told(soft=True)
    assert lessons.o.shape == (2, 3, 50, 15)
    np.testing.assert_array_equal(lessons.mean[1], np.broadcast_to([-0.3, 0.0], (3, 50, 2)))
    np.testing.assert_allclose(lessons.precision[0, 0, 0], 100 * np.eye(2))
    np.testing.assert_allclose(lessons.precision[1, 0, 0], 25 * np.eye(2))
    np.testing.assert_allclose(told(soft=False)[0].precision[1, 2, 7], np.eye(2) / 0.025)
    acted = episodes.u.reshape(2, 150, 2)
    np.testing.assert_allclose(acted.mean(1), [[0.1, 0.2], [-0.3, 0.0]], atol=0.06)
    np.testing.assert_allclose(acted.std(1), [[0.1] * 2, [0.2] * 2], rtol=0.2)


def test_a_student_of_an_eighth_of_the_size_does_what_its_teachers_do():
    config = policy_distillation.Config(
        iterations=14, rounds=2, samples=10, teacher="trpo", teacher_samples=10,
        teacher_hidden=(64,), hidden=(7,), distil_steps=1500, evaluate_every=13,
    )  # fmt: skip
    task = make_task("reacher_tasks", tasks=(0, 3))
    rows: list[Iteration] = list(policy_distillation.train(task, config, np.random.default_rng(0)))
    last = rows[-1]
    sizes = [
        sum(a.size for a in (*p.weights, *p.biases))
        for p in (
            last.policy,
            trpo.initial_policy(task, (64,), np.ones(2), np.random.default_rng()),
        )
    ]
    assert sizes[0] <= sizes[1] / 8
    assert last.scalars["teacher_cost"] < 0.7 * rows[0].scalars["cost"]
    np.testing.assert_allclose(last.arrays["policy_cost"], last.arrays["teacher_cost"], rtol=0.35)
    assert last.scalars["policy_loss"] > 0


def test_one_condition_is_a_task():
    task = OneCondition(make_task("reacher_tasks"), 2)
    task.reset(np.zeros(3, int), np.random.default_rng(0))
    assert task.observe()[:, 10:].argmax(1).tolist() == [2, 2, 2]
    assert Training(task, 1).task.conditions == 1


def test_rounds_leave_the_teachers_an_iteration():
    with pytest.raises(InputError, match="rounds"):
        policy_distillation.Config(iterations=5, rounds=5)


def test_divergences_of_pairs_are_those_from_the_distilled_policy():
    """Of Gaussians as sure as each other: the sum over pairs is 2 k times the sum over the k, so that
    DnC's penalty is the divergence from the policy that GPS distils.
    """
    rng, k = np.random.default_rng(0), 5
    means, log_std = rng.standard_normal((k, 7, 3)), rng.standard_normal(3)
    parts = [Gaussians(mean, log_std) for mean in means]
    central = Gaussians(means.mean(0), log_std)  # the closest to all of them
    pairs = sum(divergences(a, b) for a in parts for b in parts)
    np.testing.assert_allclose(pairs, 2 * k * sum(divergences(a, central) for a in parts))
