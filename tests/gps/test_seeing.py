"""Filters that are learned before the policy: what they tell, what is fixed, and what is refused."""

import numpy as np
import pytest

from agents.policies import make_policy
from agents.policies.keypoints import KeypointPolicy
from agents.rollout import Trajectories
from agents.tasks.capabilities import Views
from dynamics.vision.colours import raw_colours
from dynamics.vision.pictures import observed
from experiments.reports.figures import FIGURES
from gps import badmm
from gps.steps.seeing import sights, with_filters
from lqr import InputError


class Spots:
    """A large spot and a small one; what a policy sees ends with nothing that tells where."""

    name, image, du = "spots", (16, 16, 3), 2
    do = 16 * 16 * 3 + 1
    label_names = ("x", "y", "small x", "small y")
    action_low, action_high = np.full(2, -3.0), np.full(2, 3.0)

    def views(self, count, rng):
        places, line = rng.uniform(-0.7, 0.7, (count, 2, 2)), np.linspace(-1, 1, 16)
        picture = np.full((count, 16, 16, 3), 0.4)
        for k, (colour, radius) in enumerate([((0.9, 0.9, 0.9), 0.3), ((0.7, 0.2, 0.2), 0.15)]):
            x, y = places[:, k, 0, None, None], places[:, k, 1, None, None]
            far = np.sqrt((line[None, None] - x) ** 2 + (line[None, :, None] - y) ** 2)
            cover = np.clip((radius - far) * 7.5 + 0.5, 0, 1)[..., None]
            picture = cover * np.array(colour) + (1 - cover) * picture
        return Views(np.rint(255 * picture).astype(np.uint8), places.reshape(count, 4))


def seeing(filters, fixed, count=600, steps=150):
    task, rng = Spots(), np.random.default_rng(0)
    policy = make_policy("keypoints", task, (16,), np.ones(2), rng)
    config = badmm.Config(
        policy="keypoints", filters=filters, fixed_filters=fixed, views=count, filter_steps=steps
    )
    return task, with_filters(policy, task, config, rng), rng


@pytest.mark.slow
def test_a_policy_with_filters_that_tell_places_learns_from_few_pictures_what_to_do():
    """From as few it learns little where nothing was learned before."""
    errors = {}
    for filters in ("poses", "none"):
        task, policy, rng = seeing(filters, filters != "none")
        before = {name: a.copy() for name, a in policy.filters.items()}
        views, test = task.views(40, rng), task.views(100, rng)
        o, fresh = (observed(v.pictures, np.zeros((len(v.labels), 1))) for v in (views, test))
        if filters == "poses":
            told = policy.features(fresh)[:, :4]
            r2 = 1 - ((told - test.labels) ** 2).mean(0) / test.labels.var(0)
            assert r2.min() > 0.9
        target, aim = (v.labels[:, :2] - v.labels[:, 2:] for v in (views, test))
        P = np.tile(np.eye(2), (40, 1, 1))
        policy.fit(o, target, P, rng, steps=200)
        errors[filters] = ((policy.mean(fresh) - aim) ** 2).mean()
        same = [np.array_equal(before[name], a) for name, a in policy.filters.items()]
        assert all(same) if filters == "poses" else not any(same)
    assert errors["poses"] < 0.1 * aim.var()
    assert errors["poses"] < 0.5 * errors["none"]


def test_filters_that_are_not_fixed_move():
    _, policy, rng = seeing("points", False, count=30, steps=2)
    before = {name: a.copy() for name, a in policy.filters.items()}
    o = rng.integers(0, 256, (12, policy.do)) / 255
    policy.fit(o, np.ones((12, 2)), np.tile(np.eye(2), (12, 1, 1)), rng, steps=3)
    assert not any(np.array_equal(before[name], a) for name, a in policy.filters.items())


def test_what_cannot_be_learned_for_is_refused():
    task, rng = Spots(), np.random.default_rng(0)
    policy = make_policy("keypoints", task, (4,), np.ones(2), rng)
    with pytest.raises(InputError, match="nothing was learned for"):
        with_filters(policy, task, badmm.Config(fixed_filters=True), rng)
    other = make_policy("convolutional", task, (4,), np.ones(2), rng)
    with pytest.raises(InputError, match="expected --policy keypoints"):
        with_filters(other, task, badmm.Config(filters="poses"), rng)
    task.views = None
    with pytest.raises(InputError, match="no `views`"):
        with_filters(policy, task, badmm.Config(filters="poses"), rng)


def test_a_policy_with_a_reading_is_restored_to_the_bit():
    _, policy, rng = seeing("points", True, count=30, steps=2)
    o = rng.integers(0, 256, (5, policy.do)) / 255
    again = KeypointPolicy.from_state(policy.state())
    assert np.array_equal(again.mean(o), policy.mean(o))
    assert again.fixed


def bright(policy):
    """A policy whose every point is where its picture is bright."""
    for name, a in policy.filters.items():
        a[:] = 0.0
        if name in ("W0", "W1", "W2"):
            a[:, 0, a.shape[2] // 2, a.shape[3] // 2] = 1.0
    policy.filters["temperature"][:] = np.log(0.01)
    policy.colours = raw_colours(policy.image)
    return policy


def test_the_report_shows_pictures_along_an_episode_and_the_points_where_they_are():
    task, rng = Spots(), np.random.default_rng(0)
    policy = bright(make_policy("keypoints", task, (4,), np.ones(2), rng))
    picture = np.full((3, 7, 16, 16, 3), 60, np.uint8)
    picture[:, :, 8:12, 2:6] = 255
    o = observed(picture.reshape(-1, 16, 16, 3), np.zeros((21, 1))).reshape(3, 7, -1)
    found = Trajectories(*(np.zeros((3, 1)),) * 2, o, *(np.zeros(3),) * 3)
    told = sights(policy, found)
    assert told["seen_pictures"].shape == (8, 16, 16, 3)
    np.testing.assert_allclose(told["seen_pictures"][0] * 255, picture[0, 0], atol=1e-3)
    middle = (np.array([3.0, 9.0]) / 2) / 7 * 2 - 1  # pixels of the maps are two of the picture's
    np.testing.assert_allclose(told["seen_points"][..., :2], np.tile(middle, (8, 16, 1)), atol=0.12)
    assert told["seen_points"][..., 2].min() > 0.15
    none = sights(policy, found._replace(o=np.full_like(o, np.nan)))
    assert np.isnan(none["seen_points"]).all()
    assert sights(make_policy("mlp", Blind(), (4,), np.ones(2), rng), found) == {}


class Blind:
    do, du, action_low, action_high = 3, 2, -np.ones(2), np.ones(2)


def test_the_figure_of_what_is_seen_has_every_picture_and_point(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    make, rng = FIGURES["sights"].make, np.random.default_rng(0)
    last = {
        "seen_pictures": rng.uniform(size=(8, 12, 10, 3)),
        "seen_points": rng.uniform(size=(8, 5, 3)),
    }
    figure = make(plt, last, None)
    figure.savefig(tmp_path / "a.png")
    assert len(figure.axes) == 8
    dots = figure.axes[3].collections[0].get_offsets()
    np.testing.assert_allclose(dots[:, 0], (last["seen_points"][3, :, 0] + 1) / 2 * 9)
    np.testing.assert_allclose(dots[:, 1], (last["seen_points"][3, :, 1] + 1) / 2 * 11)
    last["seen_points"][:] = np.nan
    assert make(plt, last, None) is None
    assert make(plt, {}, None) is None
    plt.close("all")
