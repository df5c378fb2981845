"""Each compiled kernel equals a few lines of plain NumPy; sizes on both sides of every block and of
the small limit.
"""

import numpy as np
import pytest
from numba import njit
from problems import random_controller, random_problem

from lqr import forward, kl_divergence
from lqr.kernels.inspection import _finite, _inspect
from lqr.kernels.matrix_products import (
    add_lower_product,
    add_product,
    mirror,
    padded,
    write_product,
)
from lqr.kernels.simd import add_dot, add_row, copy_row, scale_row, transpose, write_row
from lqr.lagrangian import _augment
from lqr.passes import SMALL, backward_flat, divergence_flat, forward_flat

SIZES = [(1, 1, 1), (3, 2, 5), (9, 3, 4), (10, 3, 4), (17, 9, 3)]


@njit
def products(A, B, written, added, lower, count, p, q):
    write_product(A, B, written, count, p, q)
    add_product(A, B, added, count, p, q)
    add_lower_product(A, B, lower, count, p)
    mirror(lower, p)


@njit
def rows(A, flat, out, back, turned, sums):
    copy_row(flat, 3, out, 1, 2, 11)
    scale_row(2.0, A, 0, out, 2, 11)
    add_row(-3.0, A, 1, out, 2, 11)
    write_row(A, 2, 1, back, 4, 11)
    transpose(A, 1, 2, turned, 0, 8)
    add_dot(A, 3, flat, 5, 11, sums)


@pytest.mark.parametrize("p", [1, 4, 5, 9, 25])
@pytest.mark.parametrize("count", [1, 3])
def test_products_by_tiles_equal_numpy(p, count):
    rng, width = np.random.default_rng(0), padded(40)
    A = rng.normal(size=(count, width))
    B = rng.normal(size=(count, width))
    start = rng.normal(size=(40, width))
    for q in (1, 8, 9, 16, 17, 24, 25, 33):
        B[:, :40] = A[:, :40] if q == 33 else B[:, :40]  # then the product is symmetric
        written, added, lower = (start.copy() for _ in range(3))
        products(A, B, written, added, lower, count, p, q)
        np.testing.assert_allclose(written[:p, :q], A[:, :p].T @ B[:, :q], atol=1e-13)
        np.testing.assert_allclose(added[:p, :q], start[:p, :q] + A[:, :p].T @ B[:, :q], atol=1e-13)
        half = np.tril(start[:p, :p] + A[:, :p].T @ B[:, :p])
        np.testing.assert_allclose(lower[:p, :p], half + np.tril(half, -1).T, atol=1e-13)


def test_rows_of_vectors_equal_numpy_and_touch_nothing_else():
    rng = np.random.default_rng(1)
    A = rng.normal(size=(9, 24))
    flat = rng.normal(size=30)
    out = np.full((3, 24), 7.0)
    back = np.full(20, 7.0)
    turned, sums = np.full((8, 16), 7.0), np.zeros((1, 8))
    rows(A, flat, out, back, turned, sums)
    np.testing.assert_array_equal(out[1, 2:13], flat[3:14])
    assert (out[0] == 7).all()
    np.testing.assert_allclose(out[2, :11], 2 * A[0, :11] - 3 * A[1, :11])
    np.testing.assert_array_equal(back[4:15], A[2, 1:12])
    assert (np.delete(back, np.s_[4:15]) == 7).all()
    np.testing.assert_array_equal(turned[:, 8:], A[1:9, 2:10].T)
    assert (turned[:, :8] == 7).all()
    assert sums.sum() == pytest.approx(A[3, :11] @ flat[5:16])


@pytest.mark.parametrize("size", SIZES)
def test_the_forward_pass_equals_its_numpy_twin(size):
    rng = np.random.default_rng(2)
    dynamics, _, x0 = random_problem(rng, *size, lead=(3,))
    controller, (dx, _, T) = random_controller(rng, *size, lead=(3,)), size
    mean, cov = forward_flat(*controller, *dynamics, *x0)
    for b in range(3):
        m, P = x0.mean[b], x0.cov[b]
        for t in range(T):
            K, k, S = (field[b, t] for field in controller)
            F, f, W = (field[b, t] for field in dynamics)
            joint = np.block([[P, P @ K.T], [K @ P, K @ P @ K.T + S]])
            m = np.concatenate([m, K @ m + k])
            np.testing.assert_allclose(mean[b, t], m, rtol=1e-11, atol=1e-11)
            np.testing.assert_allclose(cov[b, t], joint, rtol=1e-11, atol=1e-11 * abs(joint).max())
            m, P = F @ m + f, F @ joint @ F.T + W
        np.testing.assert_allclose(mean[b, T, :dx], m, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(cov[b, T, :dx, :dx], P, rtol=1e-11, atol=1e-11 * abs(P).max())


@pytest.mark.parametrize("size", SIZES)
def test_the_divergence_kernels_equal_the_numpy_function_for_the_problems_named(size):
    rng = np.random.default_rng(3)
    dynamics, _, x0 = random_problem(rng, *size, lead=(3,))
    new, anchor = (random_controller(rng, *size, lead=(3,)) for _ in range(2))
    precision, logdet = np.linalg.inv(anchor.cov), np.linalg.slogdet(anchor.cov)[1]
    kl = np.full((3, size[2]), -1.0)
    divergence_flat(
        np.array([0, 2]), new, (anchor.K, anchor.k, precision, logdet), (*dynamics, *x0), kl
    )
    expected = kl_divergence(new, anchor, forward(dynamics, new, x0))
    np.testing.assert_allclose(kl[[0, 2]], expected[[0, 2]], rtol=1e-10)
    assert (kl[1] == -1).all()


@pytest.mark.parametrize("size", [(3, 2, 5), (9, 3, 4)])
def test_a_covariance_that_is_none_gives_a_divergence_that_is_no_number(size):
    rng = np.random.default_rng(4)
    dynamics, _, x0 = random_problem(rng, *size, lead=(1,))
    new = random_controller(rng, *size, lead=(1,))
    eye = np.tile(np.eye(size[1]), (1, size[2], 1, 1))
    kl = np.empty((1, size[2]))
    anchor = new.K, new.k, eye, np.zeros((1, size[2]))
    divergence_flat(np.arange(1), (new.K, new.k, -new.cov), anchor, (*dynamics, *x0), kl)
    assert np.isnan(kl).all()


def test_the_two_backward_kernels_agree_where_the_limit_between_them_lies():
    rng = np.random.default_rng(5)
    for dx in (SMALL - 2, SMALL - 1):
        dynamics, cost, _ = random_problem(rng, dx, 2, 6, lead=(1,))
        out = backward_flat(*dynamics, *cost, np.full((1, 6), 0.3))
        wide = [
            np.zeros((1, 6, dx + 4, dx + 6)),
            np.zeros((1, 6, dx + 4)),
            np.zeros((1, 6, dx + 4, dx + 4)),
        ]
        C, c = (
            np.tile(np.eye(dx + 6), (1, 7, 1, 1)),
            np.zeros((1, 7, dx + 6)),
        )  # four states more that nothing touches
        at = np.r_[0:dx, dx + 4 : dx + 6]
        wide[0][..., :dx, at] = dynamics.F
        wide[1][..., :dx] = dynamics.f
        wide[2][..., :dx, :dx] = dynamics.cov
        C[..., at[:, None], at], c[..., at] = cost.C, cost.c
        other = backward_flat(*wide, C, c, cost.const, np.full((1, 6), 0.3))
        np.testing.assert_allclose(other[0][..., :dx], out[0], rtol=1e-11, atol=1e-11)
        for index in (1, 2, 5):
            np.testing.assert_allclose(other[index], out[index], rtol=1e-11, atol=1e-11)


def test_the_cost_around_the_anchor_is_the_sum_and_the_last_step_stays():
    rng = np.random.default_rng(6)
    C, c, D, d = (rng.normal(size=(2, 5, *shape)) for shape in ((3, 3), (3,), (3, 3), (3,)))
    tau, eta = rng.uniform(size=(2, 2, 4))
    out = np.full_like(C, 7.0), np.full_like(c, 7.0), np.full_like(tau, 7.0)
    _augment(np.array([1]), C, c, D, d, tau, eta, *out)
    weight = np.append(eta[1], 0.0)
    np.testing.assert_allclose(out[0][1], C[1] + weight[:, None, None] * D[1])
    np.testing.assert_allclose(out[1][1], c[1] + weight[:, None] * d[1])
    np.testing.assert_allclose(out[2][1], tau[1] + eta[1])
    assert all((a[0] == 7).all() for a in out)


@pytest.mark.parametrize("d", [1, 2, 9])
def test_the_check_of_matrices_agrees_with_eigenvalues(d):
    rng = np.random.default_rng(7)
    for _ in range(50):
        A = rng.normal(size=(1, d, d)) * 10 ** rng.uniform(-5, 5)
        P = A @ A.swapaxes(-1, -2)
        assert _inspect(P, True, True) == (0, 0)
        low = P - np.eye(d) * (np.linalg.eigvalsh(P).min() + 1e-3 * abs(P).max())
        assert _inspect(low, True, True) == (3, 0)
        assert _inspect(low, True, False) == (0, 0)
        if d > 1:
            skew = P.copy()
            skew[0, 0, 1] += 1e-5 * abs(P).max()
            assert _inspect(np.concatenate([P, skew]), True, True) == (2, 1)
    assert _inspect(np.zeros((2, d, d)), True, True) == (0, 0)
    for value in (np.nan, np.inf, -np.inf):
        A = np.concatenate([P, P])
        A[1, d - 1, 0] = value
        assert _inspect(A, True, True) == (1, 1)
        assert not _finite(A.reshape(-1).view(np.int64))
    assert _finite(P.reshape(-1).view(np.int64))
    assert _inspect(np.array([[[0.0, 1.0], [1.0, 1.0]]]), True, True)[0] == 3
