"""Which transitions are gross outliers: told by what was put in, at the bound that is documented."""

import numpy as np
import pytest

from dynamics import MODELS, Ensemble, GaussianProcess, Network
from dynamics.outliers import inliers
from lqr import InputError

BOUND = [(51, 1), (75, 1), (100, 1), (101, 2), (150, 2), (300, 5), (1000, 19), (3000, 59)]


def linear(rng, M, dx):
    """Returns inputs (M, dx + 2) and linear changes with a little noise, (M, dx)."""
    z = rng.standard_normal((M, dx + 2))
    change = z @ (0.3 * rng.standard_normal((dx + 2, dx)))
    return z, change + 0.01 * rng.standard_normal((M, dx))


@pytest.mark.parametrize(("M", "count"), BOUND)
@pytest.mark.parametrize("dx", [1, 6, 20])
@pytest.mark.parametrize("size", [100.0, 1e6])
def test_fewer_than_one_in_fifty_are_found_and_nothing_else(M, count, dx, size):
    """All on one side, each in a coordinate of its own, or all in all coordinates."""
    assert count < M / 50 <= count + 1  # as many as the docs promise
    for seed in range(10 if M < 1000 else 3):
        rng = np.random.default_rng(seed)
        z, y = linear(rng, M, dx)
        bad = rng.choice(M, count, replace=False)
        wanted = np.isin(np.arange(M), bad, invert=True)
        jumps = size * y.std() * rng.uniform(1, 2, (3, count, dx))
        jumps[1] *= np.arange(dx) == rng.integers(dx, size=(count, 1))
        jumps[2] *= rng.choice([-1, 1], (count, dx))
        for jump in jumps:
            jumped = y.copy()
            jumped[bad] += jump
            assert np.array_equal(inliers(z, jumped), wanted), (seed, np.flatnonzero(~wanted))


@pytest.mark.parametrize("M", [50, 51, 80, 200, 1000, 3000])
@pytest.mark.parametrize("dx", [1, 6, 20])
def test_ordinary_data_stay_whole(M, dx):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        z, y = linear(rng, M, dx)
        wide = 0.1 * rng.standard_t(8, size=y.shape)  # heavier tails than a Gaussian's
        for changes in (y, y + wide, np.sin(2 * z[:, :dx]), np.zeros((M, dx)), y * 0 + 3.0):
            assert inliers(z, changes).all()


def test_a_pendulum_that_mostly_rests_upright_has_no_outliers():
    """It swings up in 60 of 400 steps; x = [cos, sin, rate], so that no linear fit is right."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        angle, rate, rows = np.pi, 0.0, []
        for t in range(400):
            hold = -10 * angle - 3 * rate
            u = np.clip(2 * np.sign(rate + 0.01) if t < 60 else hold, -2, 2)
            if t == 60:
                angle, rate = 0.02 * rng.standard_normal(2)
            x = [np.cos(angle), np.sin(angle), rate]
            rate += 0.05 * (15 * np.sin(angle) + 3 * u)
            angle += 0.05 * rate
            rows.append([*x, u, np.cos(angle) - x[0], np.sin(angle) - x[1], rate - x[2]])
        rows = np.array(rows)
        assert inliers(rows[:, :4], rows[:, 4:]).all()


@pytest.mark.parametrize("word", MODELS)
def test_the_fit_of_ordinary_data_is_bit_for_bit_that_without_rejection(word):
    rng = np.random.default_rng(3)
    z, y = linear(rng, 120, 3)
    x, u = z[:, :3], z[:, 3:]
    told = []
    for reject in (True, False):
        settings = {"subset": 60} if word == "gp" else {"hidden": (8,), "steps": 20}
        model = MODELS[word](**settings, reject_outliers=reject)
        model.fit(x, u, x + y, np.random.default_rng(0))
        assert not model.rejected.any()
        told.append(model.predict(x, u).mean)
    assert np.array_equal(*told)


def test_five_impacts_of_three_hundred_do_not_bend_a_gaussian_process():
    rng = np.random.default_rng(4)
    z, y = linear(rng, 300, 6)
    x, u = z[:, :6], z[:, 6:]
    bad = rng.choice(300, 5, replace=False)
    jumped = y.copy()
    jumped[bad] += 1e6 * y.std(0)
    model = GaussianProcess(subset=100, inducing=100)
    model.fit(x, u, x + jumped, np.random.default_rng(0))
    assert np.array_equal(np.flatnonzero(model.rejected), np.sort(bad))
    assert (np.abs(model.mean(x, u) - x - y).max(0) < 0.2 * y.std(0)).all()


def test_an_action_that_is_seldom_taken_is_no_outlier_where_its_effect_is_linear():
    rng = np.random.default_rng(5)
    z, y = linear(rng, 1000, 2)
    z[:, 3] = 0.0
    z[rng.choice(1000, 16, replace=False), 3] = rng.choice([-1.0, 1.0], 16)
    y[:, 0] += 1000 * z[:, 3]
    assert inliers(z, y).all()


def with_reward(rng, M, ends):
    """Returns x, u, x' whose last coordinate is a reward: 1 in a few transitions, which the action
    tells, else 0.
    """
    z, y = linear(rng, M, 2)
    x, u = np.column_stack([z[:, :2], np.zeros(M)]), z[:, 2:].copy()
    reward = np.isin(np.arange(M), rng.choice(M, ends, replace=False)).astype(float)
    u[:, 0] = np.where(reward, 1.5, rng.uniform(-1, 1, M))
    return x, u, np.column_stack([x[:, :2] + y, reward])


def test_a_rare_reward_is_kept_where_its_coordinate_is_named_and_impacts_are_still_left_out():
    rng = np.random.default_rng(6)
    x, u, xnext = with_reward(rng, 2000, 20)
    ends = xnext[:, 2] == 1
    assert not inliers(np.concatenate([x, u], 1), xnext - x)[ends].any()  # the trap
    xnext[[7, 70, 700], 0] += 1000.0
    for model in (
        Network((16,), 20, rare=(2,)),
        Ensemble(2, (16,), 20, rare=[2]),
        GaussianProcess(40, 40, iterations=2, rare=np.array([2])),
    ):
        model.fit(x, u, xnext, np.random.default_rng(0))
        assert np.array_equal(np.flatnonzero(model.rejected), [7, 70, 700])


def test_rare_coordinates_are_saved_and_those_that_x_has_not_are_refused(tmp_path):
    x, u, xnext = with_reward(np.random.default_rng(7), 60, 1)
    model = Network((8,), 5, rare=(2,))
    model.fit(x, u, xnext, np.random.default_rng(0))
    model.save(tmp_path / "model")
    assert Network.load(tmp_path / "model").rare == (2,)
    with pytest.raises(InputError, match=r"rare has the coordinates .* expected 0 to 2"):
        Network((8,), 5, rare=(3,)).fit(x, u, xnext, np.random.default_rng(0))
    with pytest.raises(InputError, match="rare is -1; expected a whole number from 0 on"):
        Network((8,), 5, rare=(-1,))
