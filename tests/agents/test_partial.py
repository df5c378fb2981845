"""Tasks that show a part of their state: what is hidden, what a picture shows, and what memory is
worth.
"""

import numpy as np
import pytest

from agents.policies import make_policy
from agents.rollout import rollout
from agents.tasks.wrappers.partial import PointMassHidden, ReacherFourHidden, ReacherImages
from dynamics.storage.tree import load_tree, save_tree
from gps import badmm
from gps.steps.distillation import distil
from gps.steps.initial_controllers import initial_controllers
from lqr import InputError


def test_what_is_hidden_is_the_velocities_and_nothing_else():
    task, rng = ReacherFourHidden(), np.random.default_rng(0)
    task.reset(np.arange(4), rng)
    for _ in range(5):
        x = task.step(rng.uniform(-1, 1, size=(4, 2)))
    expected = np.concatenate([np.cos(x[:, :2]), np.sin(x[:, :2]), task.targets, x[:, 4:]], 1)
    np.testing.assert_allclose(task.observe(), expected, atol=1e-9)
    point = PointMassHidden()
    point.reset(np.arange(4), rng)
    x = point.step(np.ones((4, 2)))
    assert np.array_equal(point.observe(), x[:, :2])


@pytest.fixture
def images():
    task = ReacherImages(conditions=6, size=48)
    task.reset(np.arange(6), np.random.default_rng(0))
    try:
        task.observe()
    except InputError as error:
        pytest.skip(str(error))
    return task


def test_the_red_in_the_picture_is_where_the_target_is(images):
    images.targets[:] = [
        [-0.1, 0.1],
        [-0.15, -0.05],
        [0.05, 0.15],
        [0.1, -0.12],
        [-0.05, -0.17],
        [0.0, 0.12],
    ]
    images.reset(np.arange(6), np.random.default_rng(0))
    o = images.observe()
    picture = o[:, : 48 * 48 * 3].reshape(6, 48, 48, 3)
    assert np.array_equal(picture, images.pictures() / np.float32(255))
    assert picture.min() >= 0
    assert picture.max() <= 1
    red = np.clip(picture[..., 0] - picture[..., 1:].max(-1) - 0.05, 0, None)
    red[:, 20:28, 20:28] = 0  # the root of the arm is pink
    weight = red / red.sum((1, 2), keepdims=True)
    column, row = (weight.sum(1) * np.arange(48)).sum(1), (weight.sum(2) * np.arange(48)).sum(1)
    for seen, where, sign in ((column, images.targets[:, 0], 1), (row, images.targets[:, 1], -1)):
        slope, level = np.polyfit(where, seen, 1)
        assert np.sign(slope) == sign  # x to the right, y up
        assert abs(slope * where + level - seen).max() < 1.0  # pixel


def test_a_method_learns_from_pictures_and_goes_on_from_its_state(images):
    task = ReacherImages(conditions=2, size=24)
    config = badmm.Config(
        policy="convolutional", hidden=(8,), policy_steps=4, inner=1, iterations=2, samples=1
    )
    first = next(badmm.train(task, config, np.random.default_rng(0)))
    assert first.policy.image == (24, 24, 3)
    second = next(badmm.train(task, config, np.random.default_rng(1), first.state))
    assert second.number == 2
    assert np.isfinite(second.scalars["policy_cost"])


FIXED = {"filters": "points", "fixed_filters": True, "views": 12, "filter_steps": 2}


@pytest.mark.parametrize(
    "settings",
    [{"policy": "convolutional"}, {"policy": "keypoints"}, {"policy": "keypoints", **FIXED}],
    ids=["convolutional", "keypoints", "fixed"],
)
def test_a_run_that_is_resumed_from_its_files_is_the_same_to_the_bit(images, tmp_path, settings):
    task, rng = ReacherImages(conditions=2, size=16), np.random.default_rng(0)
    config = badmm.Config(hidden=(8,), policy_steps=4, inner=1, iterations=3, samples=1, **settings)
    run, numbers = badmm.train(task, config, rng), []
    for step in (next(run), next(run)):
        save_tree(tmp_path / str(step.number), step.state)
        numbers.append(rng.bit_generator.state)
    whole = next(run)
    rng.bit_generator.state = numbers[-1]
    again = next(badmm.train(task, config, rng, load_tree(tmp_path / "2")[0]))
    o = np.random.default_rng(1).integers(0, 256, (3, task.do)) / 255
    assert np.array_equal(whole.policy.mean(o), again.policy.mean(o))
    assert whole.scalars == again.scalars
    pictures = 2 * 50 * 16 * 16 * 3  # of an iteration, in bytes
    size = [(tmp_path / n / "arrays.safetensors").stat().st_size for n in "12"]
    assert size[1] - size[0] < 0.5 * pictures


def test_convolutions_act_in_float32_as_they_would_in_float64(images):
    policy = make_policy("convolutional", images, (16,), np.ones(2), np.random.default_rng(0))
    o = images.observe()
    import torch

    exact = policy.program()(torch.as_tensor(o, dtype=torch.float64)).numpy()
    assert o.dtype == np.float32
    np.testing.assert_allclose(policy.act(o), exact, atol=2e-6)


@pytest.mark.slow
def test_with_memory_a_policy_brakes_whose_velocity_is_hidden_and_without_it_does_not():
    """Both are taught by the same controllers, which see the velocity, at the same states."""
    task, rng, cost = PointMassHidden(), np.random.default_rng(0), {}
    config = badmm.Config(
        initial="lqr", initial_authority=10.0, initial_stiffness=0.3, initial_std=0.05
    )
    teacher = initial_controllers(task, config, config.initial)
    episodes = rollout(task, teacher, np.arange(4), 8, rng)
    x, o = (a.reshape(4, 8, *a.shape[1:])[:, :, :-1] for a in (episodes.x, episodes.o))
    for word in ("mlp", "recurrent"):
        student = make_policy(word, task, (16, 16), np.ones(2), rng)
        distil(teacher, x, student, rng, observations=o, steps=400, rate=0.01)
        cost[word] = rollout(task, student, np.arange(4), 1, rng, noise=0.0).cost.sum(-1).mean()
    best = rollout(task, teacher, np.arange(4), 1, rng, noise=0.0).cost.sum(-1).mean()
    assert cost["recurrent"] < 1.3 * best
    assert cost["mlp"] > 1.6 * best
