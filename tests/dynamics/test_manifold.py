"""Manifolds: exponentials and logarithms that undo each other, derivatives against finite
differences, two turns.
"""

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dynamics.manifold import Manifold, quaternion, rotation_vector, wrapped
from lqr import InputError

BODY = Manifold("real", "angle", "quaternion", "real", "angle", "quaternion")
TURN = Manifold("quaternion")


def states(rng, manifold, *shape):
    """Random states: angles over several turns, orientations from all of the rotations."""
    x, at = 3.0 * rng.normal(size=(*shape, manifold.size)), 0
    for part in manifold.parts:
        if part == "quaternion":
            x[..., at : at + 4] /= np.linalg.norm(x[..., at : at + 4], axis=-1, keepdims=True)
        at += 4 if part == "quaternion" else 1
    return x


def rotations(q):
    return Rotation.from_quat(np.asarray(q)[..., [1, 2, 3, 0]])


def numerical(f, x, manifold, h=1e-5):
    """Returns the derivative of f as x moves by tangent vectors."""
    steps = h * np.eye(manifold.dim)
    return np.stack(
        [(f(manifold.retract(x, e)) - f(manifold.retract(x, -e))) / (2 * h) for e in steps], -1
    )


def test_sizes_are_those_of_the_parts():
    assert (BODY.size, BODY.dim) == (12, 10)
    assert BODY.zero.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_the_exponential_undoes_the_logarithm():
    rng = np.random.default_rng(0)
    x, x0 = states(rng, BODY, 200), states(rng, BODY, 200)
    again = BODY.retract(x0, BODY.difference(x, x0))
    np.testing.assert_allclose(BODY.difference(again, x), 0.0, atol=1e-9)


def test_the_logarithm_undoes_the_exponential_up_to_half_a_turn():
    rng = np.random.default_rng(1)
    x0, d = (
        states(rng, BODY, 200),
        rng.uniform(-1.7, 1.7, size=(200, BODY.dim)),
    )  # |rotation| < 1.7 sqrt 3 < pi
    np.testing.assert_allclose(BODY.difference(BODY.retract(x0, d), x0), d, atol=1e-9)


def test_an_angle_just_across_the_wrap_is_a_small_difference():
    angle = Manifold("angle", "real")
    np.testing.assert_allclose(angle.difference([-3.1, 5.0], [3.1, -5.0]), [2 * np.pi - 6.2, 10.0])
    np.testing.assert_allclose(angle.retract([3.1, 0.0], [0.1, 0.0]), [3.2 - 2 * np.pi, 0.0])
    np.testing.assert_allclose(
        angle.difference([0.1 + 8 * np.pi, 0.0], [0.1, 0.0]), 0.0, atol=1e-12
    )
    assert np.abs(wrapped(np.linspace(-50, 50, 999))).max() <= np.pi + 1e-12


def test_a_quaternion_and_its_negative_are_the_same_orientation():
    rng = np.random.default_rng(2)
    q, p = states(rng, TURN, 50), states(rng, TURN, 50)
    for a, b in ((-q, p), (q, -p), (-q, -p)):
        np.testing.assert_allclose(TURN.difference(a, b), TURN.difference(q, p), atol=1e-12)
        np.testing.assert_allclose(TURN.jacobian(a, b), TURN.jacobian(q, p), atol=1e-12)


def test_rotations_are_scipys_and_tangents_are_mujocos():
    rng = np.random.default_rng(3)
    q, p = states(rng, TURN, 50), states(rng, TURN, 50)
    np.testing.assert_allclose(
        TURN.difference(q, p), (rotations(p).inv() * rotations(q)).as_rotvec(), atol=1e-9
    )
    d = rng.normal(size=(50, 3))
    turned = TURN.retract(p, d)
    np.testing.assert_allclose(
        (rotations(turned).inv() * rotations(p)).magnitude(), np.linalg.norm(d, axis=1) % 7
    )
    for i in range(50):
        mine = p[i].copy()
        mujoco.mju_quatIntegrate(
            mine, d[i], 1.0
        )  # an angular velocity in the body's frame, for a second
        np.testing.assert_allclose(turned[i], mine, atol=1e-12)
        there = np.zeros(3)
        mujoco.mju_subQuat(there, q[i], p[i])
        np.testing.assert_allclose(TURN.difference(q[i], p[i]), there, atol=1e-9)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-5, 1e-3, 3.0])
def test_small_and_large_rotation_vectors_survive_the_round_trip(size):
    r = size * np.array([0.6, -0.8, 0.0])
    np.testing.assert_allclose(rotation_vector(quaternion(r)), r, atol=1e-15, rtol=1e-9)


@pytest.mark.parametrize("spread", [1e-6, 1e-2, 1.0, 3.0])
def test_the_jacobian_is_that_of_finite_differences(spread):
    rng = np.random.default_rng(4)
    x0 = states(rng, BODY, 20)
    d = rng.normal(size=(20, BODY.dim))
    d[:, [2, 3, 4]] *= 1 / np.linalg.norm(d[:, [2, 3, 4]], axis=1, keepdims=True)
    x = BODY.retract(x0, spread * d * [1, 0.9, 1, 1, 1, 1, 0.9, 0.3, 0.3, 0.3])
    J = numerical(lambda y: BODY.difference(y, x0), x, BODY, h=1e-6)
    np.testing.assert_allclose(BODY.jacobian(x, x0), J, atol=2e-7 * (1 + spread))


def test_the_embedding_and_its_curvature_are_those_of_finite_differences():
    rng = np.random.default_rng(5)
    x, slope = states(rng, BODY, 20), rng.normal(size=(20, BODY.size))
    x[:, [1, 7]] = wrapped(x[:, [1, 7]]) * 0.9
    np.testing.assert_allclose(BODY.embedding(x), numerical(lambda y: y, x, BODY), atol=1e-8)
    H = numerical(lambda y: (slope[:, None] @ BODY.embedding(y))[:, 0], x, BODY)
    np.testing.assert_allclose(BODY.curvature(x, slope), 0.5 * (H + H.swapaxes(-1, -2)), atol=1e-8)


def test_unknown_parts_and_wrong_shapes_are_refused():
    with pytest.raises(
        InputError,
        match="got the part 'euler'; expected at least one, each of real, angle, quaternion",
    ):
        Manifold("real", "euler")
    with pytest.raises(InputError, match="got the part none"):
        Manifold()
    with pytest.raises(
        InputError, match=r"got states of shape \(3,\); expected \(..., 4\) for quaternion"
    ):
        TURN.difference(np.zeros(3), TURN.zero)
