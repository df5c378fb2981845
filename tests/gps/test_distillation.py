"""Many teachers into one student, against the closed form of the weighted regression."""

import numpy as np
import pytest
from linear_tasks import Exact, controllers

from agents.policies.mlp import NeuralPolicy
from gps.steps.distillation import distil
from gps.steps.policy_data import PolicyData
from gps.steps.policy_step import distil as of_controllers
from gps.steps.policy_step import within_range
from lqr import InputError, LinearGaussianController

DX, DU = 3, 2


def lines(rng, spreads):
    """Linear callables with covariances, their matrices, and states for each."""
    A = rng.normal(size=(len(spreads), DU, DX))
    teachers = [lambda x, a=a, s=s: (x @ a.T, s) for a, s in zip(A, spreads, strict=True)]
    return A, teachers, rng.normal(size=(len(spreads), 50, DX))


def test_the_student_of_linear_teachers_is_their_precision_weighted_regression():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, DU, DU))
    spreads = root @ root.swapaxes(1, 2) + 0.1 * np.eye(DU)
    A, teachers, x = lines(rng, spreads)
    weight = rng.uniform(0.1, 2.0, size=(3, 50))
    student = Exact(DX, DU)
    distil(teachers, x, student, rng, weight=weight)
    P = np.linalg.inv(spreads)
    left = sum(np.kron(P[c], np.einsum("n,ni,nj->ij", weight[c], x[c], x[c])) for c in range(3))
    right = sum(
        (P[c] @ A[c] @ np.einsum("n,ni,nj->ij", weight[c], x[c], x[c])).ravel() for c in range(3)
    )
    np.testing.assert_allclose(student.B.T, np.linalg.solve(left, right).reshape(DU, DX), atol=1e-9)
    np.testing.assert_allclose(student.cov, np.linalg.inv(P.mean(0)), atol=1e-12)


def test_a_sure_teacher_wins_over_an_unsure_one():
    rng, x = np.random.default_rng(1), np.ones((2, 1, 1))
    student = Exact(1, 1)
    distil([lambda x: (x, np.eye(1) / 9), lambda x: (-x, np.eye(1))], x, student, rng)
    assert student.B[0, 0] == pytest.approx((9 * 1 + 1 * -1) / 10)


def test_controllers_alone_or_as_a_methods_step_teach_the_same():
    teacher = controllers(np.random.default_rng(2))
    x = np.random.default_rng(3).normal(size=(2, 6, 4, 3))
    a, b = Exact(3, 2), Exact(3, 2)
    distil(teacher, x, a, np.random.default_rng(0))
    of_controllers(b, teacher, PolicyData(x, x, np.ones((2, 6, 4))), np.random.default_rng(0))
    assert np.array_equal(a.B, b.B)


def test_a_policy_teaches_what_it_does_where_it_is_asked():
    rng = np.random.default_rng(4)
    teacher = NeuralPolicy.create(5, DU, (8,), np.array([0.1, 0.2]), rng)
    teacher.weights[-1] = teacher.weights[-1] * 100
    student = NeuralPolicy.create(5, DU, (32,), np.ones(DU), rng)
    x = rng.normal(size=(1, 400, 3))
    o = None
    o = rng.normal(size=(1, 400, 5))
    distil([teacher], x, student, rng, observations=o, steps=1500, rate=0.01)
    assert np.sqrt(((student.mean(o) - teacher.mean(o)) ** 2).mean()) < 0.1 * teacher.mean(o).std()
    np.testing.assert_allclose(student.cov, teacher.cov, atol=1e-12)


def test_callables_without_a_covariance_take_the_one_given():
    rng = np.random.default_rng(5)
    A, teachers, x = lines(rng, [np.eye(DU)] * 2)
    plain = [lambda x, a=a: x @ a.T for a in A]
    one, other = Exact(DX, DU), Exact(DX, DU)
    distil(plain, x, one, rng, cov=0.25 * np.eye(DU))
    distil(teachers, x, other, rng)
    np.testing.assert_allclose(one.B, other.B, atol=1e-9)
    np.testing.assert_allclose(one.cov, 0.25 * np.eye(DU), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teachers": []}, "0 teachers"),
        ({"states": np.zeros((3, 4, DX))}, "1 teachers, 3 sets"),
        ({"teachers": [lambda x: x[0]]}, "a row for each"),
        ({"teachers": [lambda x: (x, np.eye(2))]}, r"expected \(3, 3\)"),
        ({"teachers": [lambda x: (x, np.zeros((3, 3)))]}, "singular"),
        ({"teachers": [lambda x: x * np.nan]}, "not finite"),
        ({"weight": np.ones(3)}, "leading axes"),
        ({"observations": np.zeros((1, 5, DX))}, "leading axes"),
        ({"teachers": controllers(np.random.default_rng(0))}, r"expected \(2, N, 4, 3\)"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    how = {
        "teachers": [lambda x: x],
        "states": np.ones((1, 4, DX)),
        "student": Exact(DX, DX),
    } | change
    with pytest.raises(InputError, match=message):
        distil(**how, rng=np.random.default_rng(0))


def test_wishes_far_beyond_the_range_of_actions_are_bounded_at_twice_the_range():
    policy = NeuralPolicy.create(
        3, 2, (), np.ones(2), np.random.default_rng(0), low=[-1.0, 0.0], high=[1.0, 4.0]
    )
    wish = np.array([[0.5, 1.0], [-1.9, -1.9], [-300.0, 300.0]])
    np.testing.assert_array_equal(
        within_range(wish, policy), [[0.5, 1.0], [-1.9, -1.9], [-2.0, 6.0]]
    )
    free = NeuralPolicy.create(3, 2, (), np.ones(2), np.random.default_rng(0))
    np.testing.assert_array_equal(within_range(1e6 * wish, free), 1e6 * wish)


@pytest.mark.parametrize(("limit", "low", "high"), [(1.0, 0.0, 0.12), (np.inf, 0.5, np.inf)])
def test_an_episode_gone_astray_does_not_cost_a_policy_with_limits_what_it_knows(limit, low, high):
    rng, (N, T) = np.random.default_rng(0), (10, 20)
    x = 0.3 * rng.normal(size=(1, N, T, 2))
    o = x.copy()
    x[0, 0] *= 200  # where the controller, which is linear, asks for actions of 50
    o[0, 0] = 5 * rng.normal(size=(T, 2))
    teacher = LinearGaussianController(
        np.full((1, T, 1, 2), 0.5), np.zeros((1, T, 1)), np.ones((1, T, 1, 1))
    )
    policy = NeuralPolicy.create(2, 1, (32, 32), np.ones(1), rng, -limit, limit)
    of_controllers(policy, teacher, PolicyData(x, o, np.ones((1, N, T))), rng, steps=300)
    error = np.sqrt(((policy.mean(x[0, 1:]) - x[0, 1:] @ [[0.5], [0.5]]) ** 2).mean())
    assert low < error < high


def test_with_equal_precisions_distillation_is_least_squares_cloning_of_the_means():
    rng = np.random.default_rng(7)
    A, _, x = lines(rng, np.tile(np.eye(DU), (3, 1, 1)))
    student = Exact(DX, DU)
    distil([lambda x, a=a: x @ a.T for a in A], x, student, rng, cov=0.3 * np.eye(DU))
    y = np.einsum("cij,cnj->cni", A, x)
    expected = np.linalg.lstsq(x.reshape(-1, DX), y.reshape(-1, DU), rcond=None)[0]
    np.testing.assert_allclose(student.B, expected, atol=1e-9)
