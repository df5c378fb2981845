"""The box-QP kernel against its twin in plain NumPy and against all active sets, and what the
solver refuses.
"""

from itertools import product

import numpy as np
import pytest

from lqr import InputError, solve_box_qp
from lqr.kernels.ilqr_backward import box_qp


def random_programme(seed, d):
    rng = np.random.default_rng(seed)
    A, centre = rng.normal(size=(d + 1, d)), rng.normal(size=d)
    return (
        A.T @ A + 1e-3 * np.eye(d),
        2 * rng.normal(size=d),
        centre - rng.random(d),
        centre + rng.random(d),
    )


def twin(H, g, low, high):
    """Projected Newton steps with Armijo's rule (Tassa, Mansard & Todorov 2014, section 3): x,
    free, factor.
    """
    x = np.clip(np.zeros(len(g)), low, high)
    for _ in range(100):
        slope = g + H @ x
        free = ~(((x <= low) & (slope > 0)) | ((x >= high) & (slope < 0)))
        L = np.linalg.cholesky(np.where(np.outer(free, free), H, np.eye(len(g))))
        if np.max(abs(slope[free]), initial=0.0) <= 1e-12 * abs(g).max():
            break
        step = np.where(free, -np.linalg.solve(L @ L.T, np.where(free, slope, 0.0)), 0.0)
        for alpha in 0.5 ** np.arange(40):
            moved = np.clip(x + alpha * step, low, high) - x
            if slope @ moved + 0.5 * moved @ H @ moved <= 0.1 * slope @ moved:
                break
        if not moved.any() or alpha < 1e-12:
            break
        x = x + moved
    return x, free, L


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_the_kernel_takes_the_steps_of_its_twin(d):
    for seed in range(20):
        H, g, low, high = random_programme(seed, d)
        x, free, L = np.clip(np.zeros(d), low, high), np.ones(d, np.bool_), np.zeros((d, d))
        assert box_qp(H, g, low, high, x, free, L, *np.zeros((3, d)))
        expected, off, factor = twin(H, g, low, high)
        np.testing.assert_allclose(x, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(free, off)
        np.testing.assert_allclose(np.tril(L), factor, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_the_minimiser_is_the_best_of_all_active_sets(d):
    for seed in range(20):
        H, g, low, high = random_programme(100 + seed, d)
        best = np.inf
        for sides in product((-1, 0, 1), repeat=d):  # on the lower face, free, on the upper face
            side = np.array(sides)
            x, at = np.where(side < 0, low, high), side == 0
            x[at] = np.linalg.solve(H[np.ix_(at, at)], -g[at] - H[np.ix_(at, ~at)] @ x[~at])
            if (x >= low - 1e-12).all() and (x <= high + 1e-12).all():
                best = min(best, 0.5 * x @ H @ x + g @ x)
        x, _ = solve_box_qp(H, g, low, high)
        assert (x >= low).all()
        assert (x <= high).all()
        assert 0.5 * x @ H @ x + g @ x == pytest.approx(best, rel=1e-9, abs=1e-12)


GOOD = {"H": np.diag([1.0, 2.0]), "g": np.ones(2), "low": -np.ones(2), "high": np.ones(2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"H": np.eye(3)}, r"g \(2,\).*expected \(d, d\) and \(d,\)"),
        ({"H": np.ones(2)}, r"H has shape \(2,\); expected square matrices"),
        ({"low": np.zeros(1)}, r"low \(1,\)"),
        ({"high": np.ones((2, 1))}, r"high \(2, 1\)"),
        ({"g": ["a", "b"]}, "g is no array of real numbers"),
        ({"g": np.array([1.0, np.nan])}, r"g is nan at index \(1,\); expected finite"),
        ({"H": np.array([[1.0, np.inf], [np.inf, 1.0]])}, r"H is inf at index \(0, 1\)"),
        (
            {"H": np.array([[1.0, 0.5], [0.0, 1.0]])},
            r"H is not as expected: not symmetric; use 0\.5",
        ),
        ({"low": np.array([0.0, 2.0])}, "low is 2.0, high is 1.0 at index 1; expected low <= high"),
        ({"high": np.array([1.0, np.nan])}, "high is nan at index 1"),
    ],
)
def test_bad_programmes_are_refused_by_name(change, message):
    with pytest.raises(InputError, match=message):
        solve_box_qp(**(GOOD | change))


def test_infinite_limits_and_integers_are_welcome():
    x, free = solve_box_qp([[2, 0], [0, 4]], [2, -4], [-np.inf, -np.inf], [np.inf, 0])
    np.testing.assert_allclose(x, [-1.0, 0.0], rtol=1e-12)
    np.testing.assert_array_equal(free, [True, False])
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        solve_box_qp(**(GOOD | {"H": np.diag([1.0, -1.0])}))
