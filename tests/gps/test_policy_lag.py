"""Whether the policy keeps up, what is said and done where it does not, and which old states still
teach.
"""

import warnings

import numpy as np
import pytest
from linear_tasks import Point, linear_task, local_of, sampled

from gps import badmm, mdgps
from gps.steps.local_data import initial_states
from gps.steps.local_policies import LocalFit
from gps.steps.policy_data import PolicyData, within_trust_region
from gps.steps.policy_lag import PolicyLag
from gps.steps.policy_step import GlobalPolicy
from lqr import forward

C, T, DX, DU = 2, 4, 3, 2


def told(imitation, nats, epsilon=2.0, costs=None):
    """Reports a divergence of so many nats per trajectory."""
    return imitation.report(
        np.full((C, T, DU), 0.3), np.full((C, T), nats / T), np.full(C, epsilon), costs
    )


def test_it_lags_where_the_divergence_exceeds_so_many_steps():
    imitation = PolicyLag(badmm.Config(policy_kl_limit=10.0))
    assert told(imitation, 19.9) == {
        "policy_kl": pytest.approx(19.9),
        "policy_gap": pytest.approx(0.3),
        "policy_kl_above_limit": 0.0,
    }
    assert told(imitation, 20.1)["policy_kl_above_limit"] == 1.0


def test_it_is_said_once_when_three_iterations_in_a_row_lag():
    imitation = PolicyLag(badmm.Config(policy_kl_limit=10.0))
    with warnings.catch_warnings(action="error"):
        assert [told(imitation, nats)["policy_kl_above_limit"] for nats in (30, 30, 3, 30, 30)] == [
            1,
            1,
            0,
            1,
            1,
        ]
    with pytest.warns(
        UserWarning, match=r"for 3 iterations .* by 20\.1 nats, above 10 KL steps\. Harmless while"
    ):
        told(imitation, 20.1)
    with warnings.catch_warnings(action="error"):
        assert [told(imitation, nats)["policy_kl_above_limit"] for nats in (30, 30, 30)] == [
            1,
            1,
            1,
        ]


def test_nothing_is_said_while_the_policy_costs_no_more_than_its_controllers():
    imitation = PolicyLag(badmm.Config(policy_kl_limit=10.0))
    with warnings.catch_warnings(action="error"):
        for costs in ((5.0, 9.0), (5.0, 9.0), (5.0, 5.4), (-5.0, -4.6)):
            assert told(imitation, 30, costs=costs)["policy_kl_above_limit"] == 1.0
    with pytest.warns(UserWarning, match="for 5 iterations"):
        told(imitation, 30, costs=(-5.0, -4.4))
    with warnings.catch_warnings(action="error"):
        told(imitation, 30, costs=(5.0, 9.0))


@pytest.mark.parametrize(
    ("word", "steps", "share"), [("warn", 100, 1.0), ("train", 200, 1.0), ("slow", 100, 0.5)]
)
def test_while_it_lags_the_regression_is_longer_or_the_step_shorter(word, steps, share):
    rng = np.random.default_rng(0)
    known = LocalFit(None, None, None, None, None, None, rng.uniform(1, 5, C), np.ones(C))
    imitation = PolicyLag(badmm.Config(lag_response=word, policy_steps=100))
    assert imitation.policy_steps == 100
    assert imitation.scaled(known) is known
    told(imitation, 1e3)
    assert imitation.policy_steps == steps
    np.testing.assert_allclose(imitation.scaled(known).epsilon, share * known.epsilon)
    told(imitation, 1.0)
    assert imitation.policy_steps == 100
    assert imitation.scaled(known) is known


@pytest.mark.parametrize("method", [badmm, mdgps])
def test_a_policy_that_cannot_imitate_lags_and_one_that_can_does_not(method):
    """Trained for one step against 300, in a world where a linear policy is as good as any
    controller.
    """
    lags = {}
    for steps in (1, 300):
        alike = {"iterations": 5, "samples": 4, "hidden": (16,), "probe": False, "initial": "zero"}
        config = method.Config(policy_steps=steps, std_share=0.0, **alike)
        lags[steps] = [
            i.scalars["policy_kl_above_limit"]
            for i in method.train(Point(), config, np.random.default_rng(0))
        ]
    assert lags[1][-1] == 1.0
    assert lags[300][-1] == 0.0


def test_a_run_that_lags_goes_on_to_the_same_bits():
    config = mdgps.Config(
        iterations=3,
        samples=3,
        policy_steps=2,
        hidden=(4,),
        policy_kl_limit=0.1,
        lag_response="slow",
    )
    rng = np.random.default_rng(0)
    run = mdgps.train(Point(), config, rng)
    first = next(run)
    assert first.state["iterations_above_limit"] == 1
    frozen = np.random.default_rng()
    frozen.bit_generator.state = rng.bit_generator.state
    second = next(mdgps.train(Point(), config, frozen, first.state))
    assert next(run).scalars == second.scalars


def known_world(rng, N=40):
    dynamics, cost, x0 = linear_task(rng)
    from linear_tasks import controllers

    controller = controllers(rng)
    x, u = sampled(rng, controller, dynamics, x0, N)
    local = local_of(controller, x, u)
    fit = type("Fit", (), {"dynamics": dynamics})()
    return LocalFit(local, None, None, None, fit, cost, *np.ones((2, C))), x


def test_the_trust_region_is_that_of_the_forecast_distribution():
    known, x = known_world(np.random.default_rng(1))
    under = forward(known.dynamics, known.data.controller, initial_states(known.data))
    c, t = 1, 2
    root = np.linalg.cholesky(under.cov[c, t, :DX, :DX])
    for distance, inside in ((1.9, 1.0), (2.1, 0.0)):
        moved = x[:, :, :-1].copy()
        direction = np.random.default_rng(2).normal(size=DX)
        direction *= distance * np.sqrt(DX) / np.linalg.norm(direction)
        moved[c, 0, t] = under.mean[c, t, :DX] + root @ direction
        assert within_trust_region(moved, known, 2.0)[c, 0, t] == inside
    assert (
        within_trust_region(x[:, :, :-1], known, 2.0).mean() > 0.95
    )  # the controllers' own episodes


def test_old_episodes_far_from_the_present_trajectories_do_not_teach_and_new_ones_always_do():
    known, x = known_world(np.random.default_rng(3), N=5)
    world = Point()
    world.dx = DX
    world.du = DU
    world.do = DX
    world.conditions = C
    world.horizon = T
    world.action_low, world.action_high = -np.ones(DU), np.ones(DU)
    for radius in (None, 3.0):
        student = GlobalPolicy(
            world, badmm.Config(replay_radius=radius), 0.1, np.random.default_rng(0)
        )
        far = known.data._replace(x=x + 100.0)
        student.add(far)
        seen = student.within_trust_region(student.add(known.data._replace(x=x + 50.0)), known)
        assert isinstance(seen, PolicyData)
        assert seen.used.shape == (C, 10, T)
        assert (seen.used[:, 5:] == 1).all()
        assert (seen.used[:, :5] == (0.0 if radius else 1.0)).all()
