"""A loss on several steps ahead: runs end with episodes, slopes against finite differences, one
step as ever.
"""

from functools import partial

import numpy as np
import pytest
import torch

from dynamics import Ensemble, Network, open_loop_error
from dynamics.networks.multistep_loss import multi_step_loss, run_lengths
from lqr import InputError

A, B = np.array([[0.98, 0.2], [-0.35, 0.95]]), np.array([[0.0], [0.2]])


def swing(rng, episodes, T, noise=0.0):
    """A damped pendulum that is pushed, and a measurement that is noisy: states (N, T+1, 2),
    actions (N, T, 1).
    """
    x, u = np.empty((episodes, T + 1, 2)), rng.uniform(-2, 2, size=(episodes, T, 1))
    x[:, 0] = rng.normal(size=(episodes, 2))
    for t in range(T):
        speed = x[:, t, 1] + 0.1 * (-4.0 * np.sin(x[:, t, 0]) + 2.0 * u[:, t, 0])
        x[:, t + 1] = np.stack([x[:, t, 0] + 0.1 * speed, speed], -1)
    return x + noise * rng.normal(size=x.shape), u


def rows(x, u):
    return x[:, :-1].reshape(-1, 2), u.reshape(-1, 1), x[:, 1:].reshape(-1, 2)


def test_runs_end_with_the_episode_and_where_the_kind_changes():
    x, u = swing(np.random.default_rng(0), 3, 4)
    before, _, after = rows(x, u)
    kind = np.zeros(12, int)
    np.testing.assert_array_equal(run_lengths(before, after, kind), [4, 3, 2, 1] * 3)
    kind[5:7] = 1  # rows 1 and 2 of the second episode are held out
    np.testing.assert_array_equal(
        run_lengths(before, after, kind), [4, 3, 2, 1, 1, 2, 1, 1, 4, 3, 2, 1]
    )
    np.testing.assert_array_equal(run_lengths(before[:1], after[:1], kind[:1]), [1])


def made(kind, steps, seed=0, hidden=(6,)):
    rng = np.random.default_rng(seed)
    x, u = swing(rng, 4, 10)
    model = kind(hidden=hidden, steps=20, unroll=steps)
    model.fit(*rows(x, u), rng)
    before, _, after = rows(x, u)
    z = (
        np.concatenate([before, u.reshape(-1, 1)], 1) - model.normaliser.mean
    ) * model.normaliser.inverse_std
    y = (after - before - model.normaliser.change_mean) / model.normaliser.change_std
    many = run_lengths(before, after, np.zeros(len(z), int))
    return model, x, u, z, y, many


def total(model, params, z, y, many, first, steps, loss):
    gain = torch.as_tensor(model.normaliser.change_std * model.normaliser.inverse_std[:2])
    at = torch.as_tensor(first).expand(model.members_, -1)
    Z, Y = torch.as_tensor(z), torch.as_tensor(y)
    return multi_step_loss(partial(loss, params), Z, Y, at, torch.as_tensor(many)[at], gain, steps)


def test_the_loss_is_that_of_predictions_that_are_fed_back_and_stops_at_the_episodes_end():
    model, x, u, z, y, many = made(Network, 3)
    params = {name: value.double() for name, value in model.params.items()}
    first = np.array([0, 8, 9, 13])  # of episodes of 10 steps: 3, 2, 1 and 3 steps
    found = total(model, params, z, y, many, first, 3, model._loss)
    squares = []
    for row in first:
        i, t = divmod(row, 10)
        guess = x[i, t]
        for k in range(min(3, 10 - t)):
            guess = model.predict(guess, u[i, t + k]).mean
            squares.append((((guess - x[i, t + k + 1]) / model.normaliser.change_std) ** 2).mean())
    assert len(squares) == 3 + 2 + 1 + 3
    assert float(found[0]) == pytest.approx(np.mean(squares), rel=1e-4)


@pytest.mark.parametrize("kind", [Network, Ensemble])
def test_its_slope_is_that_of_finite_differences(kind):
    model, _, _, z, y, many = made(kind, 4)
    if kind is Ensemble:  # variances are held fixed: let them be the same everywhere
        model.params["W1"][..., 2:] = 0.0
    held = {
        name: value.double()
        for name, value in model.params.items()
        if "W" not in name and name != "A"
    }
    names = [name for name in model.params if name not in held]
    free = [model.params[name].double().requires_grad_() for name in names]
    first = np.array([0, 5, 17, 28])

    def loss(*values):
        return total(
            model,
            {**held, **dict(zip(names, values, strict=True))},
            z,
            y,
            many,
            first,
            4,
            model._score,
        ).sum()

    if kind is Network:
        assert torch.autograd.gradcheck(loss, free, atol=1e-6)
        return
    slopes = torch.autograd.grad(loss(*free), free)
    step, width = 1e-6, 2
    last = names.index("W1")
    for i in range(3):
        move = torch.zeros_like(free[last])
        move[1, i, :width] = step
        with torch.no_grad():
            up, down = (
                loss(*(f + s * move if j == last else f for j, f in enumerate(free)))
                for s in (1, -1)
            )
        wanted = (up - down) / (2 * step)
        assert float(slopes[last][1, i, :width].sum()) == pytest.approx(
            float(wanted), rel=1e-4, abs=1e-7
        )


@pytest.mark.parametrize("kind", [Network, Ensemble])
def test_one_step_is_the_usual_score(kind):
    model, _, _, z, y, many = made(kind, 1)
    params = {name: value.double() for name, value in model.params.items()}
    first = np.arange(20)
    found = total(model, params, z, y, many, first, 1, model._score)
    Z, Y = torch.as_tensor(z[:20]).expand(model.members_, -1, -1), torch.as_tensor(y[:20])
    if kind is Network:
        wanted = ((model._forward(params, Z) - Y) ** 2).mean((1, 2))
    else:
        mean, log = model.heads_of(params, Z)
        t = torch.distributions.StudentT(
            torch.tensor(4.0, dtype=torch.float64), mean, (0.5 * log).exp()
        )
        peak = torch.distributions.StudentT(torch.tensor(4.0, dtype=torch.float64)).log_prob(
            torch.tensor(0.0)
        )
        wanted = 2 * (peak - t.log_prob(Y)).mean((1, 2))
    np.testing.assert_allclose(found.detach(), wanted.detach())


def test_with_noisy_measurements_looking_ahead_predicts_better_far_ahead():
    """One noisy step says little of a slow drift; the sum of many says it."""
    rng = np.random.default_rng(1)
    x, u = swing(rng, 12, 40, noise=0.05)
    true, act = swing(rng, 6, 40)
    errors = []
    for steps in (1, 8):
        model = Network((16,), 400, unroll=steps)
        model.fit(*rows(x, u), np.random.default_rng(0))
        errors.append(
            open_loop_error(lambda a, b, m=model: m.predict(a, b).mean, true, act, 25)[0, -1]
        )
    assert errors[1] < 0.8 * errors[0]


def test_what_is_held_out_are_whole_blocks_and_a_saved_model_learns_on_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    x, u = swing(rng, 8, 30)
    model = Network((8,), 20, unroll=5)
    data = rows(x, u)
    model.fit(*(a[:150] for a in data), np.random.default_rng(1))
    assert model.held.reshape(-1, 5).all(1).sum() == model.held.sum() / 5 == 6
    model.save(tmp_path / "model")
    again = Network.load(tmp_path / "model")
    for m in (model, again):
        m.fit(*data, np.random.default_rng(2))
    np.testing.assert_array_equal(model.predict(*data[:2]).mean, again.predict(*data[:2]).mean)
    with pytest.raises(InputError, match="unroll is 0; expected"):
        Network(unroll=0)
