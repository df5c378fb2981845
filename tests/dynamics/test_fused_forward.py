"""The fused steps through networks, against the networks themselves, one layer after another in
torch.
"""

import numpy as np
import pytest
import torch

from dynamics import Ensemble, Network
from dynamics.networks import fused_forward, fused_page
from dynamics.networks.fused_forward import COLUMNS, POWER, _exp, advance, fuse
from dynamics.propagation import propagate
from lqr import InputError

DX, DU, H = 3, 2, 4
SHAPES = ((64, 64), (5,), (30, 7, 50))


def fitted(kind, hidden, seed=0):
    """Returns a model whose layers all matter: trained a little, then given weights of some
    size.
    """
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(300, DX)) * [1, 10, 0.1] + [0, 30, 0], rng.normal(size=(300, DU))
    model = kind(hidden=hidden, steps=5)
    model.fit(x, u, x + 0.3 * np.sin(x) + u[:, :1], rng)
    model.params = {
        name: value
        + torch.as_tensor(
            rng.normal(size=value.shape) / (2 * value.shape[-2] ** 0.5), dtype=torch.float32
        )
        for name, value in model.params.items()
    }
    return model


def assert_close(found, expected, unit):
    scale = np.abs(expected / unit).max()
    assert 0.1 < scale < 1000
    np.testing.assert_allclose(
        found / unit, expected / unit, rtol=0, atol=2e-6 * scale + 1e-5
    )  # single precision


@pytest.mark.parametrize("hidden", SHAPES)
@pytest.mark.parametrize("N", [1, COLUMNS + 5])
def test_each_particle_moves_as_its_member_and_its_noise_say(hidden, N):
    model, rng = fitted(Ensemble, hidden), np.random.default_rng(1)
    P, X, U = 3, np.empty((N, 3, H + 1, DX)), rng.normal(size=(N, H, DU))
    X[:, :, 0] = rng.normal([0, 30, 0], [1, 10, 0.1], (N, P, DX))
    member, noise = rng.integers(5, size=(H, P)), rng.standard_normal((H, P, DX), dtype=np.float32)
    advance(X, U, 0, H, member, noise, *fuse(model))
    for t in range(H):
        u = np.broadcast_to(U[:, None, t], (N, P, DU))
        mean, var = model.members(X[:, :, t], u)
        for p, e in enumerate(member[t]):
            expected = mean[e, :, p] + np.sqrt(var[e, :, p]) * noise[t, p]
            assert_close(
                X[:, p, t + 1] - X[:, p, t], expected - X[:, p, t], model.normaliser.change_std
            )


@pytest.mark.parametrize("kind", [Ensemble, Network])
@pytest.mark.parametrize("hidden", SHAPES)
def test_the_mean_of_all_members_is_followed(kind, hidden):
    model, rng = fitted(kind, hidden), np.random.default_rng(2)
    x0, U = np.array([0.1, 29.0, 0.0]), rng.normal(size=(COLUMNS + 1, H, DU))
    X = propagate(model, x0, U, rng, "mean", 1)[:, 0]
    assert (X[:, 0] == x0).all()
    for t in range(H):
        np.testing.assert_array_equal(model.mean(X[:, t], U[:, t]), X[:, t + 1])
        assert_close(
            X[:, t + 1] - X[:, t],
            model.predict(X[:, t], U[:, t]).mean - X[:, t],
            model.normaliser.change_std,
        )


@pytest.mark.parametrize("propagation", ["mean", "tsinf"])
def test_far_from_zero_nothing_is_lost(propagation):
    """In single precision 10 000.0004 is 10 000: a weight times such a state would drown what the
    network says.
    """
    found = []
    for far in (0.0, 2.0**17):
        model, rng = fitted(Ensemble, (8,)), np.random.default_rng(5)
        model.normaliser = model.normaliser._replace(
            mean=model.normaliser.mean + far * np.eye(5)[1]
        )
        U, x0 = rng.normal(size=(2, H, DU)), np.array([0.0, 30.0 + far, 0.0])
        X = propagate(model, x0, U, rng, propagation, 1 if propagation == "mean" else 5)
        found.append((X - [0, far, 0]) / model.normaliser.change_std)
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-6 * np.abs(found[0]).max())


def test_states_and_actions_of_another_size_are_refused():
    model, rng = fitted(Ensemble, (8,)), np.random.default_rng(6)
    for dx, du in ((DX - 1, DU), (DX + 1, DU), (DX, DU - 1), (DX, DU + 1)):
        for propagation, particles in (("mean", 1), ("ts1", 5), ("sample", 2)):
            with pytest.raises(InputError, match=r"expected \(..., 3\) and \(..., 2\)"):
                propagate(model, np.zeros(dx), np.zeros((4, H, du)), rng, propagation, particles)


def test_of_no_states_there_are_no_means():
    model = fitted(Network, (8,))
    assert model.mean(np.zeros((0, DX)), np.zeros((0, DU))).shape == (0, DX)
    assert model.predict(np.zeros((0, DX)), np.zeros((0, DU))).cov.shape == (0, DX, DX)


def test_a_sequence_that_breaks_spoils_no_other():
    model, rng = fitted(Ensemble, (8,)), np.random.default_rng(3)
    U = rng.normal(size=(4, H, DU))
    U[1, 2], U[2, 1, 0] = np.nan, np.inf
    X = propagate(model, np.array([0.0, 30.0, 0.0]), U, rng, "ts1", 5)
    assert np.isfinite(X[[0, 3]]).all()
    assert np.isfinite(X[1, :, :3]).all()
    assert np.isnan(X[1, :, 3:]).all()
    assert not np.isfinite(X[2, :, 2:]).any()


@pytest.mark.parametrize("change", ["fit", "params", "in place"])
def test_what_the_model_has_learned_since_is_known(change):
    model, rng = fitted(Network, (8,)), np.random.default_rng(4)
    x0, U = np.array([0.0, 30.0, 0.0]), rng.normal(size=(1, 1, DU))
    before = propagate(model, x0, U, rng, "mean", 1)
    if change == "fit":
        x = rng.normal(size=(50, DX))
        model.fit(x, x[:, :DU], 2 * x, rng)
    elif change == "params":
        model.params = {name: 2 * value for name, value in model.params.items()}
    else:
        model.params["A"] += 1.0
    after = propagate(model, x0, U, rng, "mean", 1)
    assert (before[..., 1, :] != after[..., 1, :]).all()
    assert_close(after[0, 0, 1], model.predict(x0, U[0, 0]).mean, model.normaliser.change_std)


def test_a_model_that_has_seen_nothing_is_refused():
    with pytest.raises(InputError, match="fit it first"):
        fuse(Ensemble())


def test_powers_of_two_are_those_of_single_precision():
    f = np.linspace(-0.5, 0.5, 1001)
    np.testing.assert_allclose(
        np.polynomial.Polynomial(np.array(POWER, float))(f), np.exp2(f), rtol=1e-7
    )


def test_the_exponential_is_that_of_single_precision_and_ends_where_its_range_does():
    x = np.linspace(-20, 20, 2001, dtype=np.float32)
    found = np.array([_exp.py_func(a) for a in x], float)
    np.testing.assert_allclose(found, np.exp(x.astype(float)), rtol=2e-6)  # x / log 2 is rounded
    np.testing.assert_allclose(
        [_exp.py_func(np.float32(a)) for a in (-1e6, 1e6)], np.exp2([-126.0, 126.0]), rtol=1e-6
    )


@pytest.mark.parametrize("hidden", SHAPES)
def test_the_page_in_numpy_says_what_the_kernels_do(hidden):
    model, rng = fitted(Ensemble, hidden), np.random.default_rng(3)
    P, U, x0 = 3, rng.normal(size=(7, H, DU)), rng.normal([0, 30, 0], [1, 10, 0.1], (7, 3, DX))
    member, noise = rng.integers(5, size=(H, P)), rng.standard_normal((H, P, DX), dtype=np.float32)
    made, page = (np.repeat(x0[:, :, None], H + 1, 2) for _ in range(2))
    advance(made, U, 0, H, member, noise, *fuse(model))
    fused_page.advance(page, U, 0, H, member, noise, *fuse(model))
    assert_close(page[:, :, 1] - x0, made[:, :, 1] - x0, model.normaliser.change_std)
    one, two = (np.repeat(x0[:, :1, None], 2, 2) for _ in range(2))
    fused_forward.advance_mean(one, U[:, :1], *fuse(model)[:5])
    fused_page.advance_mean(two, U[:, :1], *fuse(model)[:5])
    assert_close(two[:, 0, 1] - x0[:, 0], one[:, 0, 1] - x0[:, 0], model.normaliser.change_std)
    begins, change = np.array([0, 2, 2, 5, 5, 7]), np.empty((2, 7, DX))
    args = x0[:, 0], U[:, 0], begins, noise[0, 0] * np.ones((7, 1), np.float32)
    fused_forward.change_each(*args, change[0], *fuse(model))
    fused_page.change_each(*args, change[1], *fuse(model))
    assert_close(change[1], change[0], model.normaliser.change_std)


@pytest.mark.parametrize("hidden", SHAPES)
def test_each_row_moves_as_its_own_member_and_its_own_noise_say(hidden):
    """Rows of all members, more than a tile of some and none of one."""
    model, rng = fitted(Ensemble, hidden), np.random.default_rng(5)
    x, u = rng.normal([0, 30, 0], [1, 10, 0.1], (11, 9, DX)), rng.normal(size=(11, 9, DU))
    member = rng.choice([0, 1, 3, 4], size=(11, 9), p=[0.7, 0.1, 0.1, 0.1])
    after = model.sample_members(x, u, member, np.random.default_rng(6))
    order = np.argsort(member.ravel(), kind="stable")
    noise = np.empty((99, DX))
    noise[order] = np.random.default_rng(6).standard_normal((99, DX), dtype=np.float32)
    mean, var = (np.take_along_axis(a, member[None, ..., None], 0)[0] for a in model.members(x, u))
    expected = mean + np.sqrt(var) * noise.reshape(x.shape)
    assert_close(after - x, expected - x, model.normaliser.change_std)


def test_members_disagree_where_they_have_seen_nothing_and_not_where_they_are_copies():
    model, rng = Ensemble(hidden=(16,), steps=200), np.random.default_rng(0)
    x, u = rng.normal(size=(400, DX)), rng.normal(size=(400, DU))
    model.fit(x, u, x + 0.3 * np.sin(2 * x) + u[:, :1], rng)
    mean = model.members(x, u)[0] / model.normaliser.change_std
    by_hand = np.sqrt(((mean - mean.mean(0)) ** 2).mean(0).mean(-1))
    np.testing.assert_allclose(model.disagreement(x, u), by_hand, rtol=1e-3)
    assert model.disagreement(6 * x, u).mean() > 3 * model.disagreement(x, u).mean()
    model.params = {k: v[:1].expand(v.shape).clone() for k, v in model.params.items()}
    assert model.disagreement(x, u).max() < 1e-6
