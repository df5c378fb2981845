"""A user's function of a step becomes a cost: against closed forms, against each other, and what is
refused.
"""

import numpy as np
import pytest
import torch

from agents.tasks import make_task
from agents.tasks.costs.user_cost import UserCost, WithCost
from lqr import InputError
from lqr.costs import Action, WeightedNorm

T, DX, DU = 6, 3, 2


def smooth_torch(x, u):
    s = 2.0 * x[:, 0] ** 2 + x[:, 2] ** 2
    return torch.sqrt(1e-2 + s) + torch.sin(x[:, 1]) * u[:, 0] + 0.3 * u[:, 1] ** 2


def smooth_numpy(x, u):
    s = 2.0 * x[:, 0] ** 2 + x[:, 2] ** 2
    return np.sqrt(1e-2 + s) + np.sin(x[:, 1]) * u[:, 0] + 0.3 * u[:, 1] ** 2


def trajectory(shape=(4,), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*shape, T + 1, DX)), rng.normal(size=(*shape, T, DU))


def test_a_norm_in_torch_expands_to_the_closed_form_of_the_library():
    def written(x, u):
        return 0.7 * torch.sqrt(
            1e-3 + ((x - 0.2) ** 2 * torch.tensor([1.0, 0.0, 3.0])).sum(-1)
        ) + 0.1 * (u**2).sum(-1)

    ours = WeightedNorm([1.0, 0.0, 3.0], l1=0.7, l2=0.0, alpha=1e-3, target=0.2) + Action(0.2)
    X, U = trajectory((2, 3))
    cost = UserCost(written, DX, DU)
    assert cost.torch
    np.testing.assert_allclose(cost(X, U), ours(X, U), rtol=1e-12)
    for mine, closed in zip(cost.expand(X, U), ours.expand(X, U), strict=True):
        np.testing.assert_allclose(mine, closed, atol=1e-9)


def test_differences_of_a_numpy_function_agree_with_autograd():
    X, U = trajectory()
    by_torch, by_numpy = UserCost(smooth_torch, DX, DU), UserCost(smooth_numpy, DX, DU)
    assert by_torch.torch
    assert not by_numpy.torch
    np.testing.assert_allclose(by_torch(X, U), by_numpy(X, U), rtol=1e-12)
    for a, b in zip(by_torch.expand(X, U), by_numpy.expand(X, U), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert np.abs(by_torch.expand(X, U).C[..., 1, 3]).max() > 0.1  # the mixed derivative is there


def test_differences_keep_their_digits_far_from_zero():
    X, U = trajectory()
    cost = UserCost(lambda x, u: np.abs(x[:, 0]) ** 3.0, DX, DU)
    C = cost.expand(1000 * X, U).C
    np.testing.assert_allclose(C[..., 0, 0], 6 * np.abs(1000 * X[..., 0]), rtol=1e-4)


def test_the_step_is_the_third_argument_and_no_action_costs_after_the_last_step():
    X, U = trajectory()
    for cost in (
        UserCost(lambda x, u, t: (t == T) * x[:, 0] ** 2 + u[:, 0] + u[:, 1] ** 2, DX, DU),
        UserCost(
            lambda x, u, t: np.where(t == T, x[:, 0] ** 2, 0.0) + u[:, 0] + u[:, 1] ** 2, DX, DU
        ),
    ):
        C, c, _ = cost.expand(X, U)
        np.testing.assert_allclose(
            C[:, :, 0, 0], np.tile(np.r_[np.zeros(T), 2.0], (4, 1)), atol=1e-6
        )
        np.testing.assert_allclose(c[:, :T, DX], 1.0, atol=1e-6)
        assert not c[:, T, DX:].any()
        assert not C[:, T, DX:].any()
        np.testing.assert_allclose(cost(X, U)[:, T], X[:, T, 0] ** 2)


def test_a_cost_that_is_linear_or_constant_has_no_curvature():
    X, U = trajectory()
    for function in (lambda x, u: 2.0 * x[:, 1], lambda x, u: 0.0 * x[:, 0] + 3.0):
        C, c, const = UserCost(function, DX, DU).expand(X, U)
        assert not C.any()
        np.testing.assert_allclose(
            const + (c[..., :DX] * X).sum(-1), function(X.reshape(-1, DX), 0).reshape(4, T + 1)
        )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (3.0, "is a float; expected a function"),
        (lambda x: x[:, 0], r"takes \(x\); expected \(x, u\)"),
        (lambda x, u: x.sum(), r"returned shape \(\).*one number per row"),
        (lambda x, u: x, r"returned shape \(4, 3\)"),
        (lambda x, u: x[:, 0] - x[:, 0].mean(), "for a step among others, .* for it alone"),
        (lambda x, u: x[:, 7], "failed on x .*IndexError"),
        (lambda x, u: np.full(len(x), np.nan), "is not finite at x ="),
    ],
)
def test_what_is_no_cost_of_a_step_is_refused(function, message):
    with pytest.raises(InputError, match=message):
        UserCost(function, DX, DU, "the cost m:f")


def test_a_kink_at_the_place_itself_is_refused_with_the_remedy():
    cost = UserCost(lambda x, u: torch.linalg.norm(x, dim=-1), DX, DU)
    X, U = np.zeros((1, T + 1, DX)), np.zeros((1, T, DU))
    with pytest.raises(
        InputError, match=r"derivative that is not finite .* take sqrt\(1e-5 \+ s\)"
    ):
        cost.expand(X, U)


def quadratic(x, u):
    return 2.0 * (x**2).sum(-1) + 0.5 * (u**2).sum(-1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, u: np.asarray(quadratic(x, u), np.float32),
        lambda x, u: np.asarray(quadratic(np.float32(x), np.float32(u)), float),
        lambda x, u: np.asarray(quadratic(x, u)) + 1e8,
        lambda x, u: quadratic(x.float(), u),
    ],
    ids=["returns float32", "computes in float32", "a large constant", "torch in float32"],
)
def test_values_with_fewer_digits_have_the_derivatives_of_the_closed_form(function):
    X, U = trajectory((2,))
    C, c, _ = UserCost(function, DX, DU).expand(X, U)
    np.testing.assert_allclose(
        C[:, 0], np.tile(np.diag([4.0] * 3 + [1.0] * 2), (2, 1, 1)), atol=0.01
    )
    np.testing.assert_allclose(c[:, 0], 0.0, atol=0.05)


def torch_number(value):
    return torch.as_tensor(value)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, u: quadratic(x.detach(), u),
        lambda x, u: quadratic(x, u).detach(),
        lambda x, u: torch_number(np.cos(x.detach().numpy()).sum(-1)),
        lambda x, u: quadratic(x, u) + torch.sin(x[:, 0].detach()) * x[:, 1],
    ],
    ids=["detached", "detached at the end", "by way of NumPy", "detached in part"],
)
def test_a_derivative_that_torch_does_not_have_is_refused_when_the_cost_is_made(function):
    with pytest.raises(InputError, match=r"by torch, .* by differences .*without detach"):
        UserCost(function, DX, DU)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, u: np.where(x[:, 1] > 0.5, 1.0, 0.0) + (u**2).sum(-1),
        lambda x, u: (x[:, 1] > 0.5).double() + (u**2).sum(-1),
        lambda x, u: np.round(np.asarray(x[:, 1])).astype(int),
    ],
    ids=["NumPy", "torch", "whole numbers"],
)
def test_a_cost_that_jumps_has_values_and_no_derivatives(function):
    X, U = trajectory()
    cost = UserCost(function, DX, DU)
    assert np.isfinite(cost(X, U)).all()
    with pytest.raises(InputError, match=r"jumps in x\[1\] .*sigmoid"):
        cost.expand(X, U)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, u: np.maximum(0.0, x[:, 0] - 1.9) + (u**2).sum(-1),
        lambda x, u: -np.exp(-(x[:, 0] ** 2) / 0.01**2) + (u**2).sum(-1),
        lambda x, u: np.abs(x).sum(-1) + 100.0 * (x[:, 0] > 1),
        lambda x, u: np.sin(200 * x[:, 0]) + (u**2).sum(-1),
    ],
    ids=["a hinge", "a narrow bump", "a kink and a bonus", "fast"],
)
def test_a_cost_with_kinks_bumps_or_waves_is_none_that_jumps(function):
    X, U = trajectory()
    cost = UserCost(function, DX, DU)
    C, c, const = cost.expand(X, U)  # it is not refused, and at the trajectory it is the cost
    xu = np.concatenate([X, np.pad(U, [(0, 0)] * (U.ndim - 2) + [(0, 1), (0, 0)])], -1)
    there = 0.5 * np.einsum("...i,...ij,...j", xu, C, xu) + (c * xu).sum(-1) + const
    np.testing.assert_allclose(there, cost(X, U), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("what", ["None", "a word", "NaN", "exits"])
def test_a_cost_in_torch_that_goes_wrong_is_named(what):
    def function(x, u):
        if what == "exits":
            raise SystemExit(0)
        return {"None": None, "a word": "word", "NaN": quadratic(x, u) * np.nan}[what]

    with pytest.raises(InputError, match="the cost m:f"):
        UserCost(function, DX, DU, "the cost m:f")


def test_a_task_with_another_cost_keeps_all_else_and_its_own_measures():
    plain = make_task("pusher", horizon=10)
    other = WithCost(plain, UserCost(lambda x, u: x[:, 0] ** 2, plain.dx, plain.du))
    x = other.reset(np.array([0]), np.random.default_rng(0))
    X, U = np.tile(x[:, None], (1, 11, 1)), np.zeros((1, 10, 7))
    assert other.name == "pusher"
    np.testing.assert_allclose(other.cost(X, U), X[..., 0] ** 2)
    np.testing.assert_array_equal(other.metrics(X, U)["return"], -plain.cost(X, U).sum(-1))
