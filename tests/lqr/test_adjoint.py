"""Derivatives of solutions against central differences, and of a scalar problem against paper."""

import numpy as np
import pytest
from problems import random_problem

from lqr import InputError, linear, quadratic, solve_lqr, solve_lqr_vjp


def test_every_gradient_is_that_of_central_differences():
    rng = np.random.default_rng(0)
    dynamics, cost, x0 = random_problem(rng, 3, 2, 5, (2,))
    solution = solve_lqr(dynamics, cost, x0.mean)
    weight = type(solution)(*(rng.normal(size=a.shape) for a in solution))

    def loss(dynamics, cost, x):
        return sum((a * b).sum() for a, b in zip(solve_lqr(dynamics, cost, x), weight, strict=True))

    found = solve_lqr_vjp(dynamics, cost, x0.mean, weight)
    for place, (given, gradient) in enumerate(
        [(dynamics, found.dynamics), (cost, found.cost), (x0.mean, found.x0)]
    ):
        fields = given._fields if place < 2 else ("x0",)
        for i, field in enumerate(fields):
            e = rng.normal(size=np.shape(given[i] if place < 2 else given))
            if field in ("C", "cov"):
                e = e + e.swapaxes(-1, -2)
            ends = []
            for sign in (1e-6, -1e-6):
                moved = (
                    given._replace(**{field: given[i] + sign * e})
                    if place < 2
                    else given + sign * e
                )
                problem = [dynamics, cost, x0.mean]
                problem[place] = moved
                ends.append(loss(*problem))
            slope = (gradient[i] * e).sum() if place < 2 else (gradient * e).sum()
            assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-5), field


def test_one_step_of_a_scalar_problem_is_that_on_paper():
    a, b, q, r, p, x = 0.9, 0.5, 1.0, 0.2, 2.0, 1.5  # u = -pab/(r + pbb) x
    dynamics, cost = linear([[a]], [[b]], 1), quadratic([[q]], [[r]], Qf=[[p]], T=1)
    found = solve_lqr_vjp(dynamics, cost, [x], {"U": np.ones((1, 1))})
    whole = r + p * b * b
    assert found.cost.C[0, 1, 1] == pytest.approx(p * a * b * x / whole**2)  # d u / d r
    assert found.x0[0] == pytest.approx(-p * a * b / whole)
    assert found.dynamics.F[0, 0, 0] == pytest.approx(-p * b * x / whole)
    assert found.dynamics.f[0, 0] == pytest.approx(-p * b / whole)


def test_what_is_no_field_or_has_another_shape_is_named():
    dynamics, cost = linear(np.eye(3), np.ones((3, 2)), 4), quadratic(np.eye(3), np.eye(2), T=4)
    with pytest.raises(InputError, match="gradient has W"):
        solve_lqr_vjp(dynamics, cost, np.zeros(3), {"W": np.zeros(3)})
    with pytest.raises(InputError, match=r"gradient\['X'\] has shape \(3, 2\); expected \(5, 3\)"):
        solve_lqr_vjp(dynamics, cost, np.zeros(3), {"X": np.ones((3, 2))})
