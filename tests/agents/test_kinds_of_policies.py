"""Each kind of policy against something independent: autograd, closed forms, torch's own layers, a
blob's centre.
"""

import numpy as np
import pytest

from agents.policies.convolutional import ConvolutionalPolicy
from agents.policies.mlp_std import RANGE, StdPolicy, divergence
from agents.policies.recurrent import RecurrentPolicy
from dynamics.vision.networks import soft_argmax
from lqr import CheckpointError, InputError

DO, DU = 4, 2


def gaussians(M=5, seed=0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(M, DU, DU))
    return (
        rng.normal(size=(M, DU)),
        rng.normal(size=(M, DU)),
        rng.normal(size=(M, DU)),
        root @ root.swapaxes(1, 2) + 0.2,
    )


def kl(mean, log_std, target, P):
    import torch

    args = [torch.as_tensor(a) for a in (mean, log_std, target, P)]
    return divergence(*args, torch.logdet(args[-1])).numpy()


def test_the_divergence_is_that_of_torchs_distributions():
    import torch

    mean, log_std, target, P = gaussians()
    normal = torch.distributions.MultivariateNormal
    ours = normal(torch.as_tensor(mean), torch.diag_embed(torch.as_tensor(np.exp(2 * log_std))))
    theirs = normal(torch.as_tensor(target), precision_matrix=torch.as_tensor(P))
    np.testing.assert_allclose(
        kl(mean, log_std, target, P), torch.distributions.kl_divergence(ours, theirs), rtol=1e-9
    )


def test_the_gradient_of_the_divergence_is_the_closed_form_and_agrees_with_finite_differences():
    import torch

    mean, log_std, target, P = gaussians()
    m, s = (torch.as_tensor(a).requires_grad_() for a in (mean, log_std))
    p = torch.as_tensor(P)
    divergence(m, s, torch.as_tensor(target), p, torch.logdet(p)).sum().backward()
    np.testing.assert_allclose(m.grad, np.einsum("mij,mj->mi", P, mean - target), rtol=1e-9)
    np.testing.assert_allclose(
        s.grad, np.diagonal(P, axis1=1, axis2=2) * np.exp(2 * log_std) - 1, rtol=1e-9
    )
    h = 1e-6
    for i in range(DU):
        up, down = (log_std + sign * h * np.eye(DU)[i] for sign in (1, -1))
        slope = (kl(mean, up, target, P) - kl(mean, down, target, P)) / (2 * h)
        np.testing.assert_allclose(s.grad[:, i], slope, rtol=1e-5, atol=1e-7)


def test_a_policy_learns_how_sure_its_teachers_are_where_it_is_asked():
    rng, o = np.random.default_rng(0), np.repeat([[-1.0], [0.5]], 200, 0)
    P = np.where(o[:, :, None] < 0, 400.0, 4.0) * np.array([[1.0, 0.4], [0.4, 1.0]])
    policy = StdPolicy.create(1, DU, (16,), np.full(DU, 0.2), rng)
    policy.fit(o, np.tile([0.3, -0.2], (400, 1)) * o, P, rng, steps=1500, rate=0.01)
    for at, precision in ((-1.0, 400.0), (0.5, 4.0)):
        std = np.sqrt(np.diagonal(policy.covariance(np.array([at]))))
        np.testing.assert_allclose(std, precision**-0.5, rtol=0.05)  # s_i^2 = 1 / P_ii
        np.testing.assert_allclose(
            policy.mean(np.array([at])), np.array([0.3, -0.2]) * at, atol=0.02
        )


def test_the_standard_deviation_stays_within_its_bounds_whatever_the_network_says():
    policy = StdPolicy.create(1, DU, (4,), np.array([0.1, 0.2]), np.random.default_rng(0))
    policy.biases[-1] = np.array([0.0, 0.0, 1e9, -1e9])
    np.testing.assert_allclose(
        policy.log_std(np.zeros((1, 1)))[0], np.log([0.1, 0.2]) + RANGE * np.array([1, -1])
    )


def test_a_precision_that_is_none_is_refused():
    policy = StdPolicy.create(1, 1, (4,), np.ones(1), np.random.default_rng(0))
    with pytest.raises(InputError, match="positive definite"):
        policy.fit(
            np.zeros((3, 1)),
            np.zeros((3, 1)),
            np.array([[[1.0]], [[-1.0]], [[1.0]]]),
            np.random.default_rng(0),
        )


def remembering(seed=0):
    """A recurrent policy whose every parameter differs from its first value."""
    rng = np.random.default_rng(seed)
    policy = RecurrentPolicy.create(DO, DU, (5, 6), np.ones(DU), rng)
    policy.weights[-1] = policy.weights[-1] * 100
    policy.biases = [rng.normal(size=b.shape) for b in policy.biases]
    policy.centre, policy.scale = rng.normal(size=DO), np.exp(rng.normal(size=DO))
    return policy


def test_the_memory_is_that_of_torchs_gated_recurrent_unit():
    import torch

    policy, o = remembering(), np.random.default_rng(1).normal(size=(3, 9, DO))
    unit = torch.nn.GRU(DO, 5, batch_first=True, dtype=torch.float64)
    for name, value in zip(
        ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), policy.gru.values(), strict=True
    ):
        getattr(unit, name + "_l0").data = torch.as_tensor(value)
    x = torch.as_tensor((o - policy.centre) / policy.scale)
    h = torch.cat([unit(x)[0], x], -1).detach().numpy()
    expected = (
        np.tanh(h @ policy.weights[0].T + policy.biases[0]) @ policy.weights[1].T + policy.biases[1]
    )
    np.testing.assert_allclose(policy.mean(o), expected, atol=1e-12)


def test_a_recurrent_policy_learns_what_an_observation_does_not_show():
    """The target is the change of the observation since the step before: no function of what is
    seen now.
    """
    rng = np.random.default_rng(2)
    o = np.cumsum(rng.normal(size=(60, 12, 1)), 1)
    target = np.diff(o, axis=1, prepend=0.0)
    policy = RecurrentPolicy.create(1, 1, (16, 16), np.ones(1), rng)
    policy.fit(o, target, np.ones((60, 12, 1, 1)), rng, steps=400, rate=0.01)
    fresh = np.cumsum(np.random.default_rng(3).normal(size=(40, 12, 1)), 1)
    error = policy.mean(fresh) - np.diff(fresh, axis=1, prepend=0.0)
    assert (
        error**2
    ).mean() < 0.15  # without memory no better than the variance, 1, less what is correlated


def test_the_gradient_of_training_goes_back_through_the_whole_episode():
    """What is seen at step 0 alone tells what to do at the last one."""
    rng = np.random.default_rng(4)
    o = np.zeros((64, 8, 1))
    o[:, 0, 0] = rng.choice([-1.0, 1.0], 64)
    target, weight = np.repeat(o[:, :1], 8, 1), np.zeros((64, 8))
    weight[:, -1] = 1
    policy = RecurrentPolicy.create(1, 1, (8,), np.ones(1), rng)
    policy.centre, policy.scale = np.zeros(1), np.ones(1)
    policy.fit(o, target, np.ones((64, 8, 1, 1)), rng, steps=400, rate=0.02, weight=weight)
    np.testing.assert_allclose(policy.mean(o)[:, -1], target[:, -1], atol=0.1)


def test_episodes_that_are_not_those_of_the_step_before_are_refused():
    policy = remembering()
    policy.sample(np.zeros((3, DO)), 0, None)
    with pytest.raises(InputError, match="got 2 episodes after 3"):
        policy.sample(np.zeros((2, DO)), 1, None)
    with pytest.raises(InputError, match="whole episodes"):
        policy.fit(
            np.zeros((9, DO)), np.zeros((9, DU)), np.ones((9, DU, DU)), np.random.default_rng(0)
        )
    with pytest.raises(InputError, match=r"memory of shape \(2, 5\)"):
        policy.predict(np.zeros((3, DO)), state=(np.zeros((1, 2, 5)),))


@pytest.mark.parametrize(("height", "width"), [(12, 12), (14, 31)])
def test_the_soft_argmax_of_a_blob_is_its_centre(height, width):
    import torch

    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    centres, spread = np.array([[0.3, -0.2], [-0.4, 0.1], [0.0, 0.0]]), 0.12
    maps = -((x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2) / (
        2 * spread**2
    )
    found = soft_argmax(torch.as_tensor(maps[None])).numpy()[0]
    np.testing.assert_allclose(
        found, centres, atol=2e-3
    )  # a Gaussian's mean, on a grid that it fits well into
    even = soft_argmax(torch.zeros(1, 1, height, width, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(even, 0.0, atol=1e-12)


def spots(M, rng, side=24, far=0.7):
    """Pictures with a red and a blue spot, as observations, and where the spots are, in [-1, 1]."""
    where = rng.uniform(-far, far, size=(M, 2, 2))
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    picture = np.zeros((M, side, side, 3))
    for i, channel in enumerate((0, 2)):
        square = (x - where[:, i, :1, None]) ** 2 + (y - where[:, i, 1:, None]) ** 2
        picture[..., channel] = np.exp(-square / (2 * 0.1**2))
    return np.concatenate([picture.reshape(M, -1), rng.normal(size=(M, 1))], 1), where


def test_the_pixels_are_read_row_by_row_and_channel_by_channel():
    policy = ConvolutionalPolicy.create(
        24 * 24 * 3 + 1, 2, (8,), np.ones(2), np.random.default_rng(0), image=(24, 24, 3)
    )
    o, where = spots(6, np.random.default_rng(1), far=0.35)
    policy.filters["W0"][:] = policy.filters["W1"][:] = 0.0
    policy.filters["b1"][:] = 0.0
    for i, channel in enumerate((0, 2)):  # map i sees channel `channel` alone
        policy.filters["W0"][i, channel, 2, 2] = 1.0
        policy.filters["W1"][i, i, 1, 1] = 30.0
    for i in range(2):
        pixel = (where[:, i] + 1) / 2 * 23
        expected = (
            pixel - 4
        ) / 7 - 1  # the last maps' pixels lie on pixels 4, 6 ... 18 of the picture
        np.testing.assert_allclose(
            policy.points(o)[:, i], expected, atol=0.15
        )  # half a pixel there


@pytest.mark.slow
def test_a_convolutional_policy_learns_the_way_from_one_spot_to_the_other():
    rng = np.random.default_rng(5)
    o, where = spots(400, rng)
    target = where[:, 0] - where[:, 1]
    policy = ConvolutionalPolicy.create(
        o.shape[1], 2, (32,), np.ones(2), rng, image=(24, 24, 3), maps=8
    )
    policy.fit(o, target, np.tile(np.eye(2), (400, 1, 1)), rng, steps=250, batch=64, rate=0.01)
    fresh, there = spots(100, np.random.default_rng(6))
    assert ((policy.mean(fresh) - there[:, 0] + there[:, 1]) ** 2).mean() < 0.1 * target.var()


@pytest.mark.parametrize("image", [None, (4, 24, 3), (24, 24, 4), (24, 24)])
def test_a_picture_that_is_not_there_or_does_not_fit_is_refused(image):
    with pytest.raises(InputError, match="picture of shape"):
        ConvolutionalPolicy.create(
            24 * 24 * 3, 2, (4,), np.ones(2), np.random.default_rng(0), image=image
        )


def test_filters_of_another_shape_are_refused():
    state = ConvolutionalPolicy.create(
        300, 2, (4,), np.ones(2), np.random.default_rng(0), image=(10, 10, 3)
    ).state()
    state["filters"] = state["filters"] | {"W1": np.zeros((2, 2, 3, 3))}
    with pytest.raises(CheckpointError, match="W1"):
        ConvolutionalPolicy.from_state(state)
