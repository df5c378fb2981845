"""What passes from one round of episodes to the next, and from one run to its continuation."""

import numpy as np
from linear_tasks import Point

from gps import lqr_flm
from gps.steps.local_policies import LocalPolicies
from gps.steps.trajectory_step import trajectory_step


def leaves(tree, path=""):
    for name, value in tree.items():
        yield from (
            leaves(value, f"{path}/{name}")
            if isinstance(value, dict)
            else [(f"{path}/{name}", value)]
        )


def test_what_was_frozen_resumes_exactly():
    config, rng = (
        lqr_flm.Config(iterations=9, samples=3, initial_std=0.1, probe=False),
        np.random.default_rng(0),
    )
    local_policies = LocalPolicies(Point(), config, np.random.default_rng(9))
    known = local_policies.fit_models(local_policies.sample(rng))
    step = trajectory_step(known.data, known.dynamics, known.cost, known.epsilon)
    local_policies.update(known, step)
    state = local_policies.iteration(known, step, rng).state
    again = LocalPolicies(Point(), config, np.random.default_rng(9), state)
    assert list(again.iterations()) == list(range(2, 10))
    assert (again.training.episodes, again.training.steps) == (9, 9 * Point.horizon)
    a, b = dict(leaves(local_policies.state())), dict(leaves(again.state()))
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_the_prior_weighs_what_the_config_says_and_otherwise_what_the_data_say():
    def first(strength):
        config = lqr_flm.Config(iterations=1, samples=3, initial_std=0.1, prior_strength=strength)
        local_policies = LocalPolicies(Point(), config, np.random.default_rng(9))
        return local_policies.fit_models(local_policies.sample(np.random.default_rng(0))).models

    asked, free = first(7.0), first(None)
    assert asked.strength == 7.0
    np.testing.assert_allclose(asked.joint.n0 - asked.samples, 7.0)
    assert free.strength != 7.0
    assert free.evidence > asked.evidence
