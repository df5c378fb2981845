"""Augmented random search follows the slope of the return, and learns what a linear policy can."""

import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.baselines import ars
from agents.policies.linear import LinearPolicy
from agents.rollout import rollout
from agents.tasks import make_task


def cost_of(task, policy):
    every = np.arange(task.conditions)
    return rollout(task, policy, every, 1, np.random.default_rng(0), noise=0.0).costs.mean()


def test_the_step_is_along_the_slope_of_the_mean_return():
    """With many directions and little noise, against central differences gain by gain."""
    task = make_task("point_mass", conditions=2)
    config = ars.Config(iterations=1, directions=400, elites=400, noise=1e-3, step=1.0)
    moved = next(ars.train(task, config, np.random.default_rng(0))).policy.gain
    zero = LinearPolicy.zero(task)
    slope = np.zeros_like(zero.gain)
    for i in np.ndindex(*slope.shape):
        step = np.zeros_like(slope)
        step[i] = 1e-4
        ends = [LinearPolicy(sign * step, zero.low, zero.high) for sign in (1, -1)]
        slope[i] = -(cost_of(task, ends[0]) - cost_of(task, ends[1])) / 2e-4
    alike = (moved * slope).sum() / np.linalg.norm(moved) / np.linalg.norm(slope)
    assert alike > 0.95  # a transposed or negated step would be far from it


def test_a_point_is_brought_to_its_target():
    task = make_task("point_mass")
    costs = [
        row.scalars["cost"]
        for row in ars.train(task, ars.Config(iterations=20), np.random.default_rng(0))
    ]
    assert costs[-1] < 0.5 * cost_of(task, LinearPolicy.zero(task))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_unit_of_the_cost_and_a_constant_do_not_matter(scale):
    def gain(task):
        rows = ars.train(task, ars.Config(iterations=2), np.random.default_rng(0))
        return list(rows)[-1].policy.gain

    task, other = make_task("point_mass"), make_task("point_mass")
    own = task.cost
    other.cost = lambda x, u: scale * (own(x, u) + 7.0)
    np.testing.assert_allclose(gain(other), gain(task), rtol=1e-6)


def test_observations_are_normalised_by_the_mean_and_deviation_of_all_seen():
    task, rng = make_task("point_mass"), np.random.default_rng(0)
    policy, parts = LinearPolicy.zero(task), [rng.normal(2.0, 3.0, (n, task.do)) for n in (5, 1, 9)]
    for part in parts:
        policy = policy.moved(np.zeros_like(policy.gain), part)
    centre, spread = policy.normaliser
    every = np.concatenate(parts)
    np.testing.assert_allclose(centre, every.mean(0))
    np.testing.assert_allclose(spread, every.std(0, ddof=1))


def test_a_saved_policy_and_a_resumed_run_are_the_same(tmp_path):
    task, rng = make_task("point_mass"), np.random.default_rng(0)
    config = ars.Config(iterations=3, directions=2, elites=1)
    whole = list(ars.train(task, config, rng))
    again = np.random.default_rng(0)
    half = next(ars.train(task, config, again))
    rest = list(ars.train(task, config, again, half.state))
    np.testing.assert_array_equal(rest[-1].policy.gain, whole[-1].policy.gain)
    assert rest[-1].scalars == whole[-1].scalars
    save_policy(tmp_path / "p", whole[-1].policy)
    o = rng.normal(size=task.do)
    np.testing.assert_array_equal(load_policy(tmp_path / "p").act(o), whole[-1].policy.act(o))
