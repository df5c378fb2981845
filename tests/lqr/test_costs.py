"""Every cost term against finite differences of its own value, and the shapes and errors they
share.
"""

import numpy as np
import pytest

from lqr import (
    Action,
    ActionLimits,
    InputError,
    Lorentzian,
    Quadratic,
    Saturated,
    StateLimits,
    Sum,
    WeightedNorm,
    make_convex,
)
from lqr.costs import barrier
from lqr.expansion import ramp_weights
from lqr.types import QuadraticCost

N, T, DX, DU = 2, 4, 3, 2
RNG = np.random.default_rng(0)
X, U = RNG.normal(size=(N, T + 1, DX)), RNG.normal(size=(N, T, DU))
TERMS = {
    "quadratic": Quadratic(RNG.normal(size=(DX + DU, DX + DU)), RNG.normal(size=DX + DU), 0.3),
    "quadratic of x": Quadratic(np.eye(DX), ramp="final"),
    "quadratic per step": Quadratic(RNG.normal(size=(T + 1, DX, DX)), RNG.normal(size=(T + 1, DX))),
    "l2": WeightedNorm([1.0, 2.0, 0.0], target=[0.5, 0.0, 1.0], ramp="linear"),
    "l2 and l1": WeightedNorm(
        [1.0, 2.0, 0.0], l1=3.0, l2=0.5, alpha=1e-2, target=RNG.normal(size=(T + 1, DX))
    ),
    "lorentzian": Lorentzian([1.0, 2.0, 0.5], l1=3.0, l2=0.5, alpha=1e-2, ramp="quadratic"),
    "saturated": Saturated([1.0, 2.0, 0.5], width=2.0, alpha=1e-2, target=[0.5, 0.0, 1.0]),
    "action": Action([2.0, 3.0], target=0.1, ramp=np.arange(T + 1.0)),
    "state limits": StateLimits([-0.5, -np.inf, -0.3], [0.5, 0.1, np.inf], weight=7.0, margin=0.2),
    "action limits": ActionLimits(-0.5, 0.4, weight=3.0, margin=[0.2, 0.3]),
    "sum": WeightedNorm(1.0, l1=1.0) + Action(1e-2) + Lorentzian(1.0),
}


def perturbed(term, i, j, h, k):
    """Returns the cost with entries i and j of every step's xu moved by h and k."""
    x, u = X.copy(), U.copy()
    for index, step in ((i, h), (j, k)):
        if index < DX:
            x[..., index] += step
        else:
            u[..., index - DX] += step
    return term(x, u)


def model(cost: QuadraticCost, xu):
    return (
        0.5 * np.einsum("...i,...ij,...j->...", xu, cost.C, xu)
        + np.einsum("...i,...i->...", cost.c, xu)
        + cost.const
    )


@pytest.mark.parametrize("name", TERMS)
def test_the_expansion_has_the_value_gradient_and_hessian_of_finite_differences(name):
    term, h = TERMS[name], 1e-4
    xu = np.concatenate([X, np.concatenate([U, np.zeros((N, 1, DU))], 1)], -1)
    C, c, _ = cost = term.expand(X, U)
    gradient = np.einsum("...ij,...j->...i", C, xu) + c
    np.testing.assert_allclose(model(cost, xu), term(X, U), atol=1e-12)
    for i in range(DX + DU):
        slope = (perturbed(term, i, i, h, 0) - perturbed(term, i, i, -h, 0)) / (2 * h)
        np.testing.assert_allclose(gradient[..., i], slope, atol=1e-5)
        for j in range(DX + DU):
            corners = [
                perturbed(term, i, j, a * h, b * h) * a * b for a in (1, -1) for b in (1, -1)
            ]
            np.testing.assert_allclose(
                C[..., i, j], sum(corners) / (4 * h * h), atol=2e-4 * max(1, abs(C).max())
            )


@pytest.mark.parametrize("name", TERMS)
def test_nothing_at_the_last_step_depends_on_actions_and_leading_axes_are_kept(name):
    term = TERMS[name]
    C, c, const = term.expand(X, U)
    assert C.shape == (N, T + 1, DX + DU, DX + DU)
    assert c.shape == (N, T + 1, DX + DU)
    assert const.shape == term(X, U).shape == (N, T + 1)
    assert not C[:, -1, DX:].any()
    assert not c[:, -1, DX:].any()
    np.testing.assert_allclose(term.expand(X[1], U[1]).C, C[1])


def test_ramps_are_those_of_the_docstring():
    expected = {
        "constant": [1, 1, 1, 1, 1],
        "linear": [0, 0.25, 0.5, 0.75, 1],
        "final": [0, 0, 0, 0, 1],
    }
    expected["quadratic"] = [0, 0.0625, 0.25, 0.5625, 1]
    for name, weights in expected.items():
        np.testing.assert_array_equal(ramp_weights(name, 4), weights)


def test_values_match_the_formulas_by_hand():
    x, u = np.array([[1.0], [3.0]]), np.array([[2.0]])
    np.testing.assert_allclose(
        WeightedNorm([4.0], l1=2.0, l2=0.5, alpha=0.0)(x, u), [1 + 4, 9 + 12]
    )
    far = np.array([0.0, 2.0])  # 1 - exp(-distance / width)
    np.testing.assert_allclose(
        Saturated([1.0], width=4.0, alpha=0.0)(far[:, None], u), 1 - np.exp(-far / 4)
    )
    np.testing.assert_allclose(Lorentzian([1.0], l1=2.0, l2=0.0, alpha=1.0)(x, u), np.log([2, 10]))
    np.testing.assert_allclose(Action(3.0)(x, u), [6, 0])


def test_barriers_vanish_inside_and_have_unit_curvature_outside():
    value, slope, curvature = barrier(np.array([-2.0, 0.0, 0.85, 0.9, 1.0, 5.0]), -1.0, 1.0, 0.1)
    np.testing.assert_allclose(value[[1, 2]], 0.0)
    np.testing.assert_allclose(slope[[1, 2, 3]], 0.0, atol=1e-15)
    np.testing.assert_allclose(curvature, [1, 0, 0, 0, 1, 1], atol=1e-12)


def test_make_convex_clips_eigenvalues_and_keeps_value_and_gradient_where_asked():
    cost = Lorentzian([1.0, 2.0, 0.5], l1=3.0, l2=0.0, alpha=1e-2).expand(X, U)
    xu = np.concatenate([X, np.concatenate([U, np.zeros((N, 1, DU))], 1)], -1)
    convex = make_convex(cost, floor=1e-3, around=(X, U))
    assert np.linalg.eigvalsh(cost.C).min() < -0.1
    assert np.linalg.eigvalsh(convex.C).min() >= 1e-3 - 1e-12
    np.testing.assert_allclose(model(convex, xu), model(cost, xu), atol=1e-10)
    for a, b in ((cost, convex),):
        np.testing.assert_allclose(
            np.einsum("...ij,...j->...i", a.C, xu) + a.c,
            np.einsum("...ij,...j->...i", b.C, xu) + b.c,
            atol=1e-10,
        )


def test_make_convex_leaves_a_convex_cost_alone():
    cost = WeightedNorm(1.0, l1=1.0).expand(X, U)
    np.testing.assert_array_equal(make_convex(cost, floor=-1e-9).C, cost.C)


def test_adding_sums_gives_one_flat_sum():
    total = (Action(1.0) + Action(2.0)) + (Action(3.0) + Action(4.0))
    assert isinstance(total, Sum)
    assert len(total.terms) == 4
    np.testing.assert_allclose(total(X, U), 10 * Action(1.0)(X, U))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightedNorm([1.0, 2.0])(X, U), "weights"),
        (lambda: WeightedNorm([1.0, -2.0, 1.0])(X, U), "none below 0"),
        (lambda: WeightedNorm(1.0, target=np.zeros(5))(X, U), "target"),
        (lambda: WeightedNorm(1.0, ramp="cubic")(X, U), "constant, linear, quadratic, final"),
        (lambda: WeightedNorm(1.0, ramp=np.ones(T))(X, U), f"{T + 1} finite weights"),
        (lambda: Quadratic(np.eye(4))(X, U), "C has shape"),
        (lambda: StateLimits(1.0, -1.0)(X, U), "low <= high"),
        (lambda: StateLimits(-1.0, 1.0, margin=0.0)(X, U), "margin > 0"),
        (lambda: Action(1.0).expand(X[:, :-1], U), "T\\+1"),
        (lambda: Action(1.0)(X[:, :-1], U), "T\\+1"),
        (lambda: Action([1.0, np.nan]), r"weights is nan at index \(1,\)"),
        (lambda: Action(1.0, target=np.zeros(3))(X, U), "target has shape"),
        (lambda: Action(np.ones(3)).expand(X, U), "weights has shape"),
        (lambda: WeightedNorm(["a"]), "weights is no array of real numbers"),
        (
            lambda: WeightedNorm(1.0, target=np.array([0.0, np.inf, 0.0])),
            r"target is inf at index \(1,\)",
        ),
        (lambda: WeightedNorm(1.0, l1=-1.0), "l1 holds -1.0; expected none below 0"),
        (lambda: WeightedNorm(1.0, l1=1.0, alpha=0.0).expand(X, U), "alpha is 0"),
        (lambda: WeightedNorm(1.0, ramp=[1.0, np.nan]), r"ramp is nan at index \(1,\)"),
        (lambda: Saturated(1.0, width=0.0), "width is 0.0; expected a number above 0"),
        (lambda: Lorentzian(1.0, alpha=0.0), "alpha is 0.0; expected a number above 0"),
        (lambda: Lorentzian(np.ones(2)).expand(X, U), "weights have shape"),
        (lambda: Quadratic(np.eye(DX) * np.nan), r"C is nan at index \(0, 0\)"),
        (lambda: Quadratic(np.eye(DX), np.ones(2))(X, U), "c has shape"),
        (lambda: Quadratic(np.eye(DX), const=np.ones(2))(X, U), "const has shape"),
        (lambda: Quadratic(np.tile(np.eye(DX), (T, 1, 1))).expand(X, U), "C has shape"),
        (lambda: Quadratic(1.0)(X, U), "C has shape"),
        (lambda: StateLimits(np.nan, 1.0), "low <= high"),
        (lambda: StateLimits(-np.ones(2), 1.0)(X, U), "low has shape"),
        (lambda: ActionLimits(-1.0, 1.0, weight=-1.0), "weight holds -1.0"),
        (lambda: ActionLimits(-1.0, 1.0, weight=np.inf), "weight is inf"),
        (
            lambda: make_convex(
                QuadraticCost(np.full((2, 1, 1), np.nan), np.zeros((2, 1)), np.zeros(2))
            ),
            "cost.C is nan",
        ),
    ],
)
def test_bad_terms_say_what_is_wrong(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("name", TERMS)
def test_values_alone_are_those_of_the_expansion_to_the_last_digits(name):
    term = TERMS[name]
    xu = np.concatenate([X, np.concatenate([U, np.zeros((N, 1, DU))], 1)], -1)
    np.testing.assert_allclose(term(X, U), model(term.expand(X, U), xu), rtol=1e-12, atol=1e-12)


def test_a_diagonal_cost_is_made_convex_as_any_other():
    rng = np.random.default_rng(3)
    diagonal = rng.normal(size=(4, 5))
    C = diagonal[..., None] * np.eye(5)
    Q = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    for floor in (0.0, 0.3):
        raised = make_convex(QuadraticCost(C, np.zeros((4, 5)), np.zeros(4)), floor).C
        turned = make_convex(QuadraticCost(Q @ C @ Q.T, np.zeros((4, 5)), np.zeros(4)), floor).C
        np.testing.assert_allclose(Q.T @ turned @ Q, raised, atol=1e-12)
        assert (np.diagonal(raised, axis1=1, axis2=2) == np.maximum(diagonal, floor)).all()
