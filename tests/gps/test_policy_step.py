"""Each policy under each method: it learns, and a run goes on to the same bits."""

import numpy as np
import pytest
from linear_tasks import Point

from agents.saving import state_of
from agents.tasks.wrappers.partial import ReacherImages
from gps import badmm, mdgps, pigps
from lqr import InputError


@pytest.mark.parametrize("method", [badmm, mdgps, pigps])
@pytest.mark.parametrize("policy", ["mlp_std", "recurrent"])
def test_any_policy_learns_under_any_method_and_goes_on_to_the_same_bits(method, policy):
    settings = {"samples": 4, "policy_steps": 40, "hidden": (12,), "policy": policy}
    settings |= {"forecasts": 0} if method is mdgps and policy == "recurrent" else {}
    config, rng = method.Config(iterations=3, **settings), np.random.default_rng(0)
    run = method.train(Point(), config, rng)
    first = next(run)
    assert state_of(first.policy)["kind"] == policy
    again = np.random.default_rng()
    again.bit_generator.state = rng.bit_generator.state
    resumed = next(method.train(Point(), config, again, first.state))
    second = next(run)
    assert second.scalars == resumed.scalars
    assert np.isfinite(list(second.scalars.values())).all()
    if method is badmm:
        assert second.scalars["policy_cost"] < first.scalars["policy_cost"]


def test_derivatives_are_asked_only_of_policies_that_have_them():
    config = badmm.Config(
        iterations=1, samples=2, policy="recurrent", hidden=(4,), linearisation="jacobian"
    )
    with pytest.raises(
        InputError, match="jacobian with a RecurrentPolicy, which has none; expected regression"
    ):
        next(badmm.train(Point(), config, np.random.default_rng(0)))


@pytest.mark.parametrize("word", ["mixture", "jacobian"])
def test_the_other_linearisations_learn_a_pushed_point(word):
    config = badmm.Config(
        iterations=3, samples=4, policy_steps=150, hidden=(16,), initial_std=0.2, linearisation=word
    )
    costs = [
        i.scalars["policy_cost"] for i in badmm.train(Point(), config, np.random.default_rng(0))
    ]
    assert costs[-1] < 1.02 * Point().optimum().mean() < 0.9 * costs[0]


def test_neither_pictures_nor_episodes_are_forecast():
    with pytest.raises(InputError, match="with memory; expected --forecasts 0"):
        next(mdgps.train(Point(), mdgps.Config(policy="recurrent"), np.random.default_rng(0)))
    with pytest.raises(InputError, match="--forecasts 0"):
        next(
            mdgps.train(
                ReacherImages(conditions=1, size=16),
                mdgps.Config(policy="convolutional"),
                np.random.default_rng(0),
            )
        )
