"""Filters that are learned before the policy: what they tell, what is fixed, and what is refused."""

import numpy as np
import pytest

from agents.policies import make_policy
from agents.policies.keypoints import KeypointPolicy
from agents.tasks.capabilities import Views
from dynamics.vision.pictures import observed
from gps import badmm
from gps.steps.seeing import with_filters
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
