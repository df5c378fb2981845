"""The global models: one contract for every word, then what each promises alone."""

from functools import partial

import numpy as np
import pytest

from dynamics import MODELS, Ensemble, GaussianProcess, Network
from dynamics.gp.gaussian_process import JITTER
from dynamics.graphs.network import GraphNetwork
from dynamics.outliers import inliers
from lqr import CheckpointError, InputError

DX, DU = 3, 2
SMALL = {
    "nn": partial(Network, hidden=(32,), steps=150),
    "ensemble": partial(Ensemble, hidden=(32,), steps=150),
    "gp": partial(GaussianProcess, subset=100, inducing=120),
    "graph": partial(GraphNetwork, hidden=(32,), steps=150),
}
A = np.array([[1.0, 0.1, 0.0], [-0.2, 0.9, 0.05], [0.0, 0.3, 0.8]])
B = np.array([[0.0, 0.1], [0.5, 0.0], [-0.2, 0.3]])


def linear(rng, M, noise=0.02):
    x, u = rng.normal(size=(M, DX)) * [1.0, 0.1, 10.0] + [5.0, 0.0, -3.0], rng.normal(size=(M, DU))
    return x, u, x @ A.T + u @ B.T + 0.7 + noise * rng.normal(size=(M, DX))


def bent(rng, M, noise=0.02):
    """A system with a sine and a product in it."""
    x, u = rng.uniform(-2, 2, size=(M, DX)), rng.uniform(-1, 1, size=(M, DU))
    change = np.column_stack([np.sin(2 * x[:, 1]), u[:, 0] * x[:, 2], 0.3 * x[:, 0] + u[:, 1]])
    return x, u, x + 0.3 * change + noise * rng.normal(size=(M, DX))


def fitted(word, data, seed=0, **settings):
    model = SMALL[word](**settings)
    model.fit(*data, np.random.default_rng(seed))
    return model


def test_every_word_is_under_contract():
    assert set(SMALL) == set(MODELS)
    assert all(MODELS[word].word == word for word in MODELS)


@pytest.mark.parametrize("word", MODELS)
def test_the_mean_and_the_jacobian_alone_are_those_told_with_the_uncertainty(word, tmp_path):
    rng = np.random.default_rng(0)
    model, (x, u, _) = fitted(word, bent(rng, 300)), bent(rng, 40)
    model.save(tmp_path / "model")
    for one in (model, SMALL[word].func.load(tmp_path / "model")):
        np.testing.assert_allclose(
            one.mean(x, u), model.predict(x, u).mean, rtol=0, atol=1e-6
        )  # single precision
        np.testing.assert_allclose(one.jacobian(x, u), model.linearise(x, u).jacobian, atol=1e-7)
    model.fit(
        *bent(np.random.default_rng(5), 300), rng
    )  # what was kept of the last fit is not used again
    np.testing.assert_allclose(model.mean(x, u), model.predict(x, u).mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize("word", MODELS)
def test_a_linear_system_is_recovered(word):
    rng = np.random.default_rng(0)
    model, (x, u, _) = fitted(word, linear(rng, 400)), linear(rng, 50)
    mean, jacobian, noise = model.linearise(x, u)
    np.testing.assert_allclose(mean, x @ A.T + u @ B.T + 0.7, atol=0.05)
    spread = np.array([1.0, 0.1, 10.0, 1.0, 1.0])
    np.testing.assert_allclose(
        jacobian * spread, np.broadcast_to(np.hstack([A, B]) * spread, jacobian.shape), atol=0.08
    )
    std = np.sqrt(np.diagonal(noise, axis1=-2, axis2=-1))
    assert (np.median(std, 0) > 0.015).all()
    assert (np.median(std, 0) < 0.04).all()


@pytest.mark.parametrize("word", MODELS)
def test_twenty_transitions_are_enough_for_a_linear_system(word):
    rng = np.random.default_rng(1)
    model, (x, u, xnext) = fitted(word, linear(rng, 20, 0.001)), linear(rng, 200, 0.0)
    error = model.predict(x, u).mean - xnext
    assert (np.sqrt((error**2).mean(0)) < 0.1 * (xnext - x).std(0)).all()


@pytest.mark.parametrize("word", MODELS)
def test_leading_axes_are_independent_questions(word):
    rng = np.random.default_rng(3)
    model, (x, u, _) = fitted(word, bent(rng, 100)), bent(rng, 6)
    flat, tangent = model.predict(x, u), model.linearise(x, u)
    assert flat.cov.shape == (6, DX, DX)
    assert tangent.jacobian.shape == (6, DX, DX + DU)
    for lead in ((2, 3), (6, 1), (1, 2, 3)):
        shaped = x.reshape(*lead, DX), u.reshape(*lead, DU)
        for a, b in zip(
            (*model.predict(*shaped), *model.linearise(*shaped)), (*flat, *tangent), strict=True
        ):
            assert a.shape == (*lead, *b.shape[1:])
            np.testing.assert_allclose(a.reshape(b.shape), b, atol=1e-5)
        assert model.sample(*shaped, rng).shape == (*lead, DX)
    one = model.linearise(x[0], u[0])
    assert one.mean.shape == (DX,)
    np.testing.assert_allclose(one.jacobian, tangent.jacobian[0], atol=1e-5)


@pytest.mark.parametrize("word", MODELS)
def test_the_tangent_is_that_of_the_predicted_mean(word):
    rng = np.random.default_rng(4)
    model, (x, u, _) = fitted(word, bent(rng, 200)), bent(rng, 10)
    z, h = np.concatenate([x, u], 1), 1e-2  # networks are of single precision
    jacobian = model.linearise(x, u).jacobian
    for i in range(DX + DU):
        step = h * np.eye(DX + DU)[i]
        up, down = (model.predict(w[:, :DX], w[:, DX:]).mean for w in (z + step, z - step))
        np.testing.assert_allclose(jacobian[..., i], (up - down) / (2 * h), atol=1e-3)


@pytest.mark.parametrize("word", MODELS)
def test_samples_have_the_predicted_moments(word):
    rng = np.random.default_rng(5)
    model = fitted(word, bent(rng, 60, noise=0.1))
    x, u = np.full((40_000, DX), 1.5), np.full((40_000, DU), 0.5)
    draws, (mean, cov) = model.sample(x, u, rng), model.predict(x[0], u[0])
    std = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.03 * std.max())
    np.testing.assert_allclose(
        np.cov(draws.T) / std / std[:, None], cov / std / std[:, None], atol=0.04
    )


@pytest.mark.parametrize("word", MODELS)
def test_the_seed_decides_everything(word):
    data = bent(np.random.default_rng(6), 120)
    x, u, _ = bent(np.random.default_rng(7), 5)
    a, b, c = (fitted(word, data, seed).predict(x, u) for seed in (0, 0, 1))
    assert np.array_equal(a.mean, b.mean)
    assert np.array_equal(a.cov, b.cov)
    assert not np.array_equal(a.mean, c.mean)


@pytest.mark.parametrize("word", MODELS)
def test_a_saved_model_predicts_and_learns_on_to_the_last_bit(word, tmp_path):
    rng = np.random.default_rng(8)
    data, (x, u, _) = bent(rng, 150), bent(rng, 5)
    model = fitted(word, tuple(a[:100] for a in data))
    model.save(tmp_path / "model")
    again = MODELS[word].load(tmp_path / "model")
    assert again.settings == model.settings
    for _ in range(2):  # as it is, and after learning more
        for a, b in zip(model.linearise(x, u), again.linearise(x, u), strict=True):
            assert np.array_equal(a, b)
        model.fit(*data, np.random.default_rng(9))
        again.fit(*data, np.random.default_rng(9))


def test_a_folder_with_another_model_is_refused(tmp_path):
    fitted("gp", bent(np.random.default_rng(10), 30)).save(tmp_path / "model")
    with pytest.raises(CheckpointError, match="got a model 'gp', expected 'nn'"):
        Network.load(tmp_path / "model")


@pytest.mark.parametrize("word", MODELS)
def test_metres_or_millimetres_make_no_difference(word):
    x, u, xnext = bent(np.random.default_rng(11), 150)
    ask, act, _ = bent(np.random.default_rng(12), 20)
    scale = np.array([1000.0, 1.0, 0.01])
    metres, milli = fitted(word, (x, u, xnext)), fitted(word, (x * scale, u, xnext * scale))
    a, b = metres.linearise(ask, act), milli.linearise(ask * scale, act)
    np.testing.assert_allclose(b.mean / scale, a.mean, atol=0.02)
    both = np.concatenate([scale, np.ones(DU)])
    np.testing.assert_allclose(b.jacobian / scale[:, None] * both, a.jacobian, atol=0.05)
    np.testing.assert_allclose(b.noise / scale / scale[:, None], a.noise, atol=0.003)


@pytest.mark.parametrize("word", MODELS)
@pytest.mark.parametrize("M", [1, 2, 5, 12])
def test_a_handful_of_transitions_is_enough_to_begin(word, M):
    x, u, xnext = bent(np.random.default_rng(13), M)
    mean, jacobian, noise = fitted(word, (x, u, xnext)).linearise(x, u)
    assert np.isfinite(mean).all()
    assert np.isfinite(jacobian).all()
    assert np.linalg.eigvalsh(noise).min() > 0
    if M == 1:
        np.testing.assert_allclose(mean, xnext, atol=1e-4)


@pytest.mark.parametrize("word", MODELS)
def test_constant_and_duplicated_columns_do_no_harm(word):
    rng = np.random.default_rng(14)
    x, u, xnext = linear(rng, 200)
    x, xnext = (
        np.column_stack([a, a[:, 1], np.full(200, 0.3)]) for a in (x, xnext)
    )  # one twice, one constant
    u = np.column_stack([u, np.zeros(200)])
    model = fitted(word, (x, u, xnext))
    mean, jacobian, noise = model.linearise(x, u)
    np.testing.assert_allclose(mean[:, 4], 0.3, atol=1e-6)
    np.testing.assert_allclose(mean, xnext, atol=0.15)
    assert np.abs(jacobian).max() < 2
    assert np.linalg.eigvalsh(noise).min() > 0


@pytest.mark.parametrize("word", MODELS)
def test_what_a_model_cannot_use_is_refused(word):
    x, u, xnext = bent(np.random.default_rng(15), 20)
    model, rng = SMALL[word](), np.random.default_rng(0)
    with pytest.raises(InputError, match="has seen nothing; fit it first"):
        model.predict(x, u)
    for bad in (np.nan, np.inf):
        wrong = xnext.copy()
        wrong[3, 1] = bad
        with pytest.raises(InputError, match="not finite"):
            model.fit(x, u, wrong, rng)
    with pytest.raises(InputError, match="expected"):
        model.fit(x, u[:-1], xnext, rng)
    model.fit(x, u, xnext, rng)
    with pytest.raises(InputError, match=r"expected \(..., 3\) and \(..., 2\)"):
        model.predict(x, u[:, :1])
    with pytest.raises(InputError, match="expected 3 and 2, as at the first fit"):
        model.fit(x, u[:, :1], xnext, rng)


def test_settings_without_sense_are_refused():
    for make in (
        partial(Network, hidden=()),
        partial(Ensemble, members=0),
        partial(GaussianProcess, inducing=0),
    ):
        with pytest.raises(InputError, match="expected"):
            make()


@pytest.mark.parametrize("word", MODELS)
def test_an_impact_does_not_bend_the_model_elsewhere(word):
    rng = np.random.default_rng(16)
    x, u, xnext = linear(rng, 600, noise=0.001)
    xnext[::150] += 100.0
    x_test, u_test, wanted = linear(rng, 100, noise=0.0)
    np.testing.assert_allclose(
        fitted(word, (x, u, xnext)).predict(x_test, u_test).mean, wanted, atol=0.05
    )


def test_impacts_too_frequent_to_be_left_out_do_not_keep_an_ensemble_from_learning():
    """Held out among the others, they would outweigh by a Gaussian's likelihood all that is
    learned.
    """
    rng = np.random.default_rng(16)
    x, u, xnext = bent(rng, 400, noise=0.0)
    impacts = rng.choice(400, 16, replace=False)
    xnext[impacts] += 3 * (xnext - x).std(0) * rng.choice([-1, 1], (16, x.shape[1]))
    assert inliers(np.concatenate([x, u], 1), xnext - x).all()
    model = Ensemble(steps=300)
    model.fit(x, u, xnext, np.random.default_rng(0))
    x, u, xnext = bent(rng, 400, noise=0.0)
    gap = np.median(np.abs(model.predict(x, u).mean - xnext), 0) / (xnext - x).std(0)
    assert (gap < 0.3).all()


@pytest.mark.parametrize("make", [Network, Ensemble])
def test_an_object_that_is_seldom_pushed_is_known_to_move_where_outliers_are_kept(make, tmp_path):
    """Of 1000 transitions 16 have an action of size 1, which moves the object by 1 whatever its
    sign.
    """
    rng = np.random.default_rng(18)
    x, u = rng.random((1000, 2)), np.zeros((1000, 1))
    u[rng.choice(1000, 16, replace=False), 0] = np.repeat([-1.0, 1.0], 8)
    xnext = x + 0.001 * rng.standard_normal((1000, 2)) + u**2 * [0.0, 1.0]
    moves = {}
    for reject_outliers in (True, False):
        model = make(steps=500, reject_outliers=reject_outliers)
        model.fit(x, u, xnext, np.random.default_rng(0))
        moves[reject_outliers] = [
            model.predict(x[:1], np.array([[push]])).mean[0, 1] - x[0, 1]
            for push in (-1.0, 0.0, 1.0)
        ]
    np.testing.assert_allclose(moves[True], 0.0, atol=0.05)
    np.testing.assert_allclose(moves[False], [1.0, 0.0, 1.0], atol=0.15)
    model.save(tmp_path / "kept")
    assert not make.load(tmp_path / "kept").reject_outliers
    with pytest.raises(InputError, match="reject_outliers is 'x'"):
        make(reject_outliers="x")


def test_no_outliers_are_seen_in_a_gaussian_sample_or_a_smooth_system():
    rng = np.random.default_rng(17)
    for data in (linear(rng, 2000), bent(rng, 2000), bent(rng, 2000, noise=0.0)):
        assert inliers(np.concatenate(data[:2], 1), data[2] - data[0]).all()


@pytest.fixture(scope="module")
def trained():
    """Each word as it comes, trained on a thousand noisy transitions."""
    models = {word: MODELS[word]() for word in MODELS}
    for model in models.values():
        model.fit(*bent(np.random.default_rng(18), 1000, noise=0.05), np.random.default_rng(0))
    return models


@pytest.mark.parametrize("word", MODELS)
def test_what_bends_is_learnt_and_explained_within_the_noise(word, trained):
    x, u, wanted = bent(np.random.default_rng(19), 500, noise=0.0)
    error = trained[word].predict(x, u).mean - wanted
    assert (np.sqrt((error**2).mean(0)) < 0.03).all()  # the noise is 0.05, a linear fit leaves 0.2


@pytest.mark.parametrize("word", MODELS)
def test_intervals_cover_what_they_say(word, trained):
    x, u, xnext = bent(np.random.default_rng(20), 3000, noise=0.05)
    mean, cov = trained[word].predict(x, u)
    gap = np.abs(xnext - mean) / np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    for wanted, width in ((0.5, 0.6745), (0.9, 1.645), (0.99, 2.576)):
        assert (gap < width).mean() == pytest.approx(wanted, abs=0.04)


@pytest.mark.parametrize("word", ["ensemble", "gp"])
def test_uncertainty_grows_away_from_the_data(word, trained):
    here = trained[word].predict(*bent(np.random.default_rng(21), 50)[:2])
    there = trained[word].predict(np.full((50, DX), 6.0), np.ones((50, DU)))
    near, far = (np.diagonal(p.cov, axis1=1, axis2=2).mean() for p in (here, there))
    assert far > 10 * near


def test_the_ensembles_moments_are_those_of_its_members(trained):
    x, u, _ = bent(np.random.default_rng(22), 7)
    mean, var = trained["ensemble"].members(x, u)
    assert mean.shape == var.shape == (5, 7, DX)
    total = trained["ensemble"].predict(x, u)
    np.testing.assert_allclose(total.mean, mean.mean(0), atol=1e-12)
    for i in range(7):
        cov = np.cov(mean[:, i].T, bias=True) + np.diag(var[:, i].mean(0))
        np.testing.assert_allclose(total.cov[i], cov, atol=1e-12)
    tangents = trained["ensemble"].tangents(x, u)
    np.testing.assert_allclose(
        trained["ensemble"].linearise(x, u).jacobian, tangents.mean(0), atol=1e-12
    )
    z, h = np.concatenate([x, u], 1), 1e-2
    up, down = (
        trained["ensemble"].members(w[:, :DX], w[:, DX:])[0]
        for w in (z + h * np.eye(5)[1], z - h * np.eye(5)[1])
    )
    np.testing.assert_allclose(tangents[..., 1], (up - down) / (2 * h), atol=1e-2)


def test_members_draw_their_data_once_and_keep_it_as_the_data_grow():
    rng = np.random.default_rng(23)
    x, u, xnext = bent(rng, 150)
    model = SMALL["ensemble"]()
    model.fit(x[:100], u[:100], xnext[:100], rng)
    held, rows = model.held, model.rows
    model.fit(x, u, xnext, rng)
    assert np.array_equal(model.held[:100], held)
    assert np.array_equal(model.rows[:, : rows.shape[1]], rows)
    assert model.rows[:, rows.shape[1] :].min() >= 100
    assert not model.held[model.rows].any()
    shares = [len(np.unique(row)) / rows.shape[1] for row in rows]
    np.testing.assert_allclose(shares, 1 - np.exp(-1), atol=0.1)  # of draws with replacement
    assert len({row.tobytes() for row in rows}) == 5


def test_where_all_transitions_are_inducing_the_process_is_scikit_learns():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    rng = np.random.default_rng(24)
    (x, u, xnext), (x_test, u_test, _) = bent(rng, 60), bent(rng, 20)
    model = fitted("gp", (x, u, xnext))
    mean, cov = model.predict(x_test, u_test)
    normaliser = model.normaliser
    z, test = (
        (np.concatenate(a, 1) - normaliser.mean) * normaliser.inverse_std
        for a in ((x, u), (x_test, u_test))
    )
    for i, theta in enumerate(np.exp(model.theta)):
        kernel = ConstantKernel(theta[0]) * RBF(theta[1:6]) + ConstantKernel(theta[6]) * DotProduct(
            0.0, "fixed"
        )
        exact = GaussianProcessRegressor(kernel + WhiteKernel(theta[7]), optimizer=None)
        exact.fit(z, (xnext - x - normaliser.change_mean)[:, i] / normaliser.change_std[i])
        wanted, std = exact.predict(test, return_std=True)
        np.testing.assert_allclose(
            mean[:, i],
            x_test[:, i] + normaliser.change_mean[i] + normaliser.change_std[i] * wanted,
            atol=1e-5,
        )
        np.testing.assert_allclose(np.sqrt(cov[:, i, i]), normaliser.change_std[i] * std, rtol=1e-3)


def test_the_sparse_posterior_is_that_of_the_projected_process():
    """Dense algebra of Quinonero-Candela & Rasmussen (2005), equations 20a and 20b, with test
    variance added.
    """
    rng = np.random.default_rng(25)
    (x, u, xnext), (x_test, u_test, _) = bent(rng, 150), bent(rng, 20)
    model = fitted("gp", (x, u, xnext), inducing=25)
    assert model.points.shape == (25, DX + DU)
    mean, cov = model.predict(x_test, u_test)
    normaliser = model.normaliser
    z, test = (
        (np.concatenate(a, 1) - normaliser.mean) * normaliser.inverse_std
        for a in ((x, u), (x_test, u_test))
    )
    for i, theta in enumerate(np.exp(model.theta)):

        def kernel(a, b, theta=theta):
            gap = (a[:, None] - b) / theta[1:6]
            return theta[0] * np.exp(-0.5 * (gap**2).sum(-1)) + theta[6] * a @ b.T

        prior = kernel(model.points, model.points)
        P = np.linalg.inv(prior + JITTER * np.diag(np.diag(prior)))
        Q, Qs = (kernel(a, model.points) @ P @ kernel(model.points, z) for a in (z, test))
        gain = np.linalg.solve(Q + theta[7] * np.eye(150), Qs.T).T
        y = (xnext - x - normaliser.change_mean)[:, i] / normaliser.change_std[i]
        np.testing.assert_allclose(
            mean[:, i],
            x_test[:, i] + normaliser.change_mean[i] + normaliser.change_std[i] * gain @ y,
            atol=1e-3,
        )
        var = np.diag(kernel(test, test)) - (gain * Qs).sum(1) + theta[7]
        np.testing.assert_allclose(cov[:, i, i], normaliser.change_std[i] ** 2 * var, rtol=1e-2)


def test_hyper_parameters_are_a_maximum_of_the_marginal_likelihood():
    rng = np.random.default_rng(26)
    x, u, xnext = bent(rng, 80, noise=0.1)
    model = fitted("gp", (x, u, xnext), iterations=200)
    normaliser = model.normaliser
    z = (np.concatenate([x, u], 1) - normaliser.mean) * normaliser.inverse_std
    y = ((xnext - x - normaliser.change_mean) / normaliser.change_std)[:, 0]

    def likelihood(theta):
        v = np.exp(theta)
        gap = (z[:, None] - z) / v[1:6]
        K = v[0] * np.exp(-0.5 * (gap**2).sum(-1)) + v[6] * z @ z.T + (v[7] + 1e-9) * np.eye(80)
        return -0.5 * y @ np.linalg.solve(K, y) - 0.5 * np.linalg.slogdet(K)[1]

    best = likelihood(model.theta[0])
    for i in (0, 2, 7):  # variance, the length scale that matters, noise
        for step in (-0.3, 0.3):
            assert likelihood(model.theta[0] + step * np.eye(8)[i]) < best
