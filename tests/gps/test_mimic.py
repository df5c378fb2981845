"""Features and temperatures: gradients against finite differences, limits against cloning."""

import numpy as np
import pytest

from agents.baselines import trpo
from agents.policies.mlp import NeuralPolicy
from agents.policies.numpy_training import views
from agents.tasks import make_task
from gps.multitask import actor_mimic
from gps.multitask.steps import discrete, mimic
from gps.multitask.steps.discrete import MoveNetwork, soft_targets
from gps.multitask.steps.lessons import Lessons
from gps.multitask.steps.teachers import Teachers
from lqr import InputError


def differences(f, theta, h=1e-6):
    """Returns the gradient of f by central differences."""
    rows = np.eye(len(theta)) * h
    return np.array([(f(theta + row) - f(theta - row)) / (2 * h) for row in rows])


def test_the_gradient_of_actions_and_features_is_that_of_the_loss():
    rng = np.random.default_rng(0)
    shapes = [(4, 3), (5, 4), (2, 5), (4,), (5,), (2,), (2, 6, 5), (2, 6)]
    theta = rng.standard_normal(sum(int(np.prod(s)) for s in shapes))
    x, target = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    root = rng.standard_normal((9, 2, 2))
    precision, which = root @ root.swapaxes(1, 2), rng.integers(2, size=9)
    features = rng.standard_normal((9, 6))

    def loss(at):
        W0, W1, W2, b0, b1, b2, maps, offsets = views(at.copy(), shapes)
        h = np.tanh(np.tanh(x @ W0.T + b0) @ W1.T + b1)
        gap = h @ W2.T + b2 - target
        off = np.einsum("mfh,mh->mf", maps[which], h) + offsets[which] - features
        squares = np.einsum("mi,mij,mj->m", gap, precision, gap)
        return 0.5 * squares.mean() + 0.7 * (off**2).mean()

    slope = np.empty_like(theta)
    found, error = mimic.backpropagate(
        views(theta, shapes), x, target, precision, which, features, 0.7, views(slope, shapes)
    )
    assert found == pytest.approx(loss(theta))
    np.testing.assert_allclose(slope, differences(loss, theta), atol=1e-6)
    assert 0 < error < found / 0.7


def taught(weight):
    """Returns a student of two random teachers, the error of its features, and what it was taught."""
    task, rng = make_task("reacher_tasks", tasks=(0, 1)), np.random.default_rng(0)
    config = actor_mimic.Config(teacher_hidden=(6,), hidden=(16,))
    teachers = Teachers(task, config, rng)
    for i in range(2):
        made = NeuralPolicy.create(15, 2, (6,), 0.1, rng, -1.0, 1.0)
        made.weights[-1] *= 30
        teachers.policies[i] = made
    o = rng.standard_normal((2, 30, 10, 15))
    o[..., 4:], o[0, ..., 14], o[1, ..., 14] = 0.0, -1.0, 1.0  # four numbers, and which it is
    mean = np.stack([teachers.policies[i].mean(o[i]) for i in range(2)])
    precision = np.broadcast_to(100 * np.eye(2), (*mean.shape, 2))
    lessons = Lessons(o, mean, precision, np.ones(mean.shape[:-1]))
    student = NeuralPolicy.create(15, 2, (16,), 0.1, rng, -1.0, 1.0)
    learner = mimic.Mimic(2, 6, 16, weight)
    error = learner.fit(student, lessons, teachers, rng, 1500, 1e-2)
    return student, error, lessons


def test_a_student_learns_the_features_beside_the_actions():
    (_, plain, _), (student, error, lessons) = taught(1e-6), taught(1.0)
    assert error < plain / 3
    gap = student.mean(lessons.o) - lessons.mean
    assert gap.std() < 0.3 * lessons.mean.std()
    np.testing.assert_allclose(student.cov, np.eye(2) / 100)


def test_hidden_units_are_what_the_last_layer_sees():
    rng = np.random.default_rng(1)
    policy = NeuralPolicy.create(3, 2, (4, 5), 0.1, rng)
    policy.centre, policy.scale = rng.standard_normal(3), rng.uniform(1, 2, 3)
    o = rng.standard_normal((7, 3))
    h = mimic.hidden_units(policy, o)
    np.testing.assert_allclose(h @ policy.weights[-1].T + policy.biases[-1], policy.mean(o))
    with pytest.raises(InputError, match="mlp"):
        mimic.hidden_units(object(), o)


def test_a_new_task_begins_with_the_students_actions():
    student, _, lessons = taught(0.1)
    state = trpo.begun_from(student, np.array([0.2, 0.3]))
    task = make_task("reacher_tasks", tasks=(4,))
    config = trpo.Config(iterations=1, kl_step=1e-12)
    (row,) = trpo.train(task, config, np.random.default_rng(0), state)
    o = lessons.o[0, 0]
    np.testing.assert_allclose(row.policy.mean(o), student.mean(o), atol=1e-4)
    np.testing.assert_allclose(np.diag(row.policy.cov), [0.04, 0.09], rtol=1e-4)


def test_the_gradient_of_moves_is_that_of_the_cross_entropy():
    rng = np.random.default_rng(2)
    shapes = [(4, 3), (3, 4), (4,), (3,)]
    theta = rng.standard_normal(sum(int(np.prod(s)) for s in shapes))
    x, weight = rng.standard_normal((8, 3)), rng.uniform(0.5, 2.0, 8)
    target = rng.dirichlet(np.ones(3), 8)

    def loss(at):
        W0, W1, b0, b1 = views(at.copy(), shapes)
        p = np.exp(np.tanh(x @ W0.T + b0) @ W1.T + b1)
        return -(weight[:, None] * target * np.log(p / p.sum(1, keepdims=True))).sum(1).mean()

    slope = np.empty_like(theta)
    discrete.backpropagate(views(theta, shapes), x, target, weight, views(slope, shapes))
    np.testing.assert_allclose(slope, differences(loss, theta), atol=1e-7)


def test_a_temperature_of_nought_is_cloning_of_the_best_moves():
    rng = np.random.default_rng(3)
    Q, x = rng.standard_normal((20, 4)), rng.standard_normal((20, 3))
    best = np.eye(4)[Q.argmax(1)]
    np.testing.assert_allclose(soft_targets(Q, 1e-5), best, atol=1e-12)
    p = np.exp(Q / 2.0)
    np.testing.assert_allclose(soft_targets(Q, 2.0), p / p.sum(1, keepdims=True))
    losses = []
    for target in (best, soft_targets(Q, 1e-5)):
        student = MoveNetwork(3, (16,), 4, np.random.default_rng(4))
        losses.append(student.fit(x, target, np.random.default_rng(5), steps=1500))
        assert student.size == 3 * 16 + 16 + 16 * 4 + 4
    assert losses[0] == pytest.approx(losses[1], abs=1e-9)
    assert (student.logits(x).argmax(1) == Q.argmax(1)).mean() > 0.9


def test_the_divergence_from_a_teacher_that_can_be_matched_goes_to_nought():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((200, 2))
    target = soft_targets(x @ rng.standard_normal((2, 3)), 1.0)
    student = MoveNetwork(2, (6,), 3, rng)
    assert student.fit(x, target, rng, steps=1500) < 2e-3
